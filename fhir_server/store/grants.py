"""What one caller may see and write, as SQL: the only way from `access` into a statement."""

from collections.abc import Iterable
from functools import lru_cache

from sqlalchemy import ColumnElement, FromClause, and_, bindparam, false, or_, select, true

from fhir_server.access import Interaction, Restriction, algebra, restriction, written
from fhir_server.caller import Caller
from fhir_server.errors import Forbidden
from fhir_server.store.compiler import Lookup
from fhir_server.store.conditions import Numbering
from fhir_server.store.models import STATE, resource
from fhir_server.store.visibility import KEPT, condition


@lru_cache(maxsize=KEPT)
def _read(granted: Restriction, number: Numbering) -> Lookup:
    statement = select(*(resource.c[name] for name in STATE)).where(
        resource.c.resource_type == bindparam("resource_type"),
        resource.c.resource_id == bindparam("resource_id"),
        condition(granted, resource, number),
    )
    return Lookup(statement)


class Grants:
    """Restrictions of one request, each asked for once."""

    def __init__(self, caller: Caller, number: Numbering) -> None:
        self.caller = caller
        self._number = number
        self._asked: dict[tuple[Interaction, str], Restriction] = {}

    def restriction(self, interaction: Interaction, resource_type: str) -> Restriction:
        """The restriction itself; raises Forbidden when nothing can be granted."""
        key = interaction, resource_type
        if key not in self._asked:
            self._asked[key] = restriction(self.caller, interaction, resource_type)
        return self._asked[key]

    def condition(self, interaction: Interaction, resource_type: str, table: FromClause) -> ColumnElement[bool]:
        """Rows of one type that the interaction may touch. Raises Forbidden."""
        return condition(self.restriction(interaction, resource_type), table, self._number)

    def read(self, resource_type: str) -> Lookup:
        """The current version by `resource_type` and `resource_id`, where it may be read. Raises Forbidden."""
        return _read(self.restriction("read", resource_type), self._number)

    def visible(self, resource_type: str, table: FromClause) -> ColumnElement[bool]:
        """Rows that a search may meet on its way (chains, includes); none where the type is forbidden."""
        try:
            return self.condition("search", resource_type, table)
        except Forbidden:
            return false()

    def possible(self, interaction: Interaction, resource_type: str, table: FromClause) -> ColumnElement[bool]:
        """Like `condition`, with no row instead of Forbidden."""
        try:
            return self.condition(interaction, resource_type, table)
        except Forbidden:
            return false()

    def written(self, interaction: Interaction, resource_type: str, table: FromClause) -> ColumnElement[bool]:
        """Rows that the caller may leave behind by a write. Raises Forbidden."""
        return condition(written(self.caller, interaction, resource_type), table, self._number)

    def of_any_type(
        self, interaction: Interaction, resource_types: Iterable[str], table: FromClause
    ) -> ColumnElement[bool]:
        """Rows of all types that the interaction may touch; types with the same restriction share one test."""
        groups: dict[Restriction, list[str]] = {}
        for resource_type in resource_types:
            try:
                groups.setdefault(self.restriction(interaction, resource_type), []).append(resource_type)
            except Forbidden:
                continue
        if not groups:
            raise Forbidden(f"Nothing may be read by {interaction}.")
        return or_(
            *(
                and_(table.c.resource_type.in_(types), condition(granted, table, self._number))
                for granted, types in groups.items()
            )
        )


class Everything(Grants):
    """The server's own view, for its rules: never that of a request."""

    def read(self, resource_type: str) -> Lookup:
        """Every row."""
        return _read(algebra.Everything(), self._number)

    def condition(self, interaction: Interaction, resource_type: str, table: FromClause) -> ColumnElement[bool]:
        """Every row."""
        return true()

    def written(self, interaction: Interaction, resource_type: str, table: FromClause) -> ColumnElement[bool]:
        """Every row: the half of a step that the server writes may be one that the caller could not."""
        return true()
