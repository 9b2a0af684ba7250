"""What one caller may see and write, as SQL: the only way from `access` into a statement."""

from collections.abc import Hashable, Iterable
from functools import lru_cache, partial

from sqlalchemy import ColumnElement, FromClause, True_, and_, bindparam, case, false, func, or_, select

from fhir_server.access import Interaction, Restriction, Terms, algebra, restriction, written
from fhir_server.access.terms import NO_TERMS
from fhir_server.caller import Caller
from fhir_server.errors import Forbidden
from fhir_server.store.compiler import Lookup
from fhir_server.store.conditions import Numbering
from fhir_server.store.models import STATE, resource
from fhir_server.store.slots import open_list
from fhir_server.store.visibility import KEPT, can_be_listed, condition, condition_of_one, condition_of_patient


class Sign:
    """Stands for a restriction in keys: a consultant's is a tree of hundreds of values, slow to hash."""


@lru_cache(maxsize=4 * KEPT)
def _granted_to(caller: Caller, interaction: Interaction, resource_type: str, terms: Terms) -> Restriction:
    """Raises Forbidden."""
    return restriction(caller, interaction, resource_type, terms)


@lru_cache(maxsize=KEPT)
def _sign(granted: Restriction) -> Sign:
    return Sign()


@lru_cache(maxsize=4 * KEPT)
def _sign_for(caller: Caller, resource_type: str, terms: Terms) -> Sign:
    """The same for all callers of whom the same holds. Raises Forbidden."""
    return _sign(_granted_to(caller, "search", resource_type, terms))


@lru_cache(maxsize=KEPT)
def _read(granted: Restriction, number: Numbering) -> Lookup:
    statement = select(*(resource.c[name] for name in STATE)).where(
        resource.c.resource_type == bindparam("resource_type"),
        resource.c.resource_id == bindparam("resource_id"),
        condition_of_one(granted, number),
    )
    return Lookup(statement)


@lru_cache(maxsize=KEPT)
def _read_by(caller: Caller, resource_type: str, terms: Terms, number: Numbering) -> Lookup:
    """One look-up instead of three for the commonest of all requests."""
    return _read(_granted_to(caller, "read", resource_type, terms), number)


@lru_cache(maxsize=KEPT)
def _many(granted: Restriction, number: Numbering, size: int) -> Lookup:
    statement = select(*(resource.c[name] for name in STATE)).where(
        resource.c.resource_type == bindparam("resource_type"),
        open_list(resource.c.resource_id, size),
        condition(granted, resource, number),
    )
    return Lookup(statement)


@lru_cache(maxsize=KEPT)
def _existing(readable: Restriction | None, writable: Restriction | None, number: Numbering, size: int) -> Lookup:
    """What is there of some ids, locked, and whether the one and the other may be done with it."""
    of_one = condition_of_one if size == 1 else partial(condition, table=resource)

    def told(granted: Restriction | None, name: str) -> ColumnElement[int]:
        allowed = false() if granted is None else of_one(granted, parameter=number)
        return case((allowed, 1), else_=0).label(name)

    statement = (
        select(*(resource.c[name] for name in STATE), told(readable, "readable"), told(writable, "writable"))
        .where(resource.c.resource_type == bindparam("resource_type"), open_list(resource.c.resource_id, size))
        .order_by(resource.c.resource_id)
        .with_for_update()
    )
    return Lookup(statement)


@lru_cache(maxsize=KEPT)
def _left_behind(granted: Restriction, number: Numbering, size: int) -> Lookup | None:
    allowed = condition(granted, resource, number)
    if isinstance(allowed, True_):
        return None
    statement = select(func.count().label("count")).select_from(resource)
    of_ids = open_list(resource.c.resource_id, size)
    return Lookup(statement.where(resource.c.resource_type == bindparam("resource_type"), of_ids, allowed))


class Grants:
    """Restrictions of one request, each asked for once."""

    def __init__(self, caller: Caller, number: Numbering, terms: Terms = NO_TERMS) -> None:
        self.caller = caller
        self.terms = terms
        self._number = number

    def restriction(self, interaction: Interaction, resource_type: str) -> Restriction:
        """The restriction itself; raises Forbidden when nothing can be granted."""
        return _granted_to(self.caller, interaction, resource_type, self.terms)

    def identity(self, resource_types: Iterable[str]) -> Hashable:
        """What two callers have in common of whom the same search of these types is the same statement."""
        return tuple(self._sign(resource_type) for resource_type in resource_types)

    def _sign(self, resource_type: str) -> "Sign | None":
        try:
            return _sign_for(self.caller, resource_type, self.terms)
        except Forbidden:
            return None

    def _searching(self, resource_type: str) -> Restriction | None:
        return self._possibly("search", resource_type)

    def _possibly(self, interaction: Interaction, resource_type: str) -> Restriction | None:
        try:
            return self.restriction(interaction, resource_type)
        except Forbidden:
            return None

    def existing(self, interaction: Interaction, resource_type: str, size: int) -> Lookup:
        """The current versions of so many ids of an open list, locked, each `readable` and `writable` (by this
        interaction) or not.
        """
        readable, writable = (self._possibly(each, resource_type) for each in ("read", interaction))
        return _existing(readable, writable, self._number, size)

    def left_behind(self, interaction: Interaction, resource_type: str, size: int) -> Lookup | None:
        """How many of the ids of an open list the caller may leave behind by a write; None where that is all of them.
        Raises Forbidden.
        """
        return _left_behind(self.written(interaction, resource_type), self._number, size)

    def condition(self, interaction: Interaction, resource_type: str, table: FromClause) -> ColumnElement[bool]:
        """Rows of one type that the interaction may touch. Raises Forbidden."""
        return condition(self.restriction(interaction, resource_type), table, self._number)

    def are_few(self, resource_type: str) -> bool:
        """Whether rows of the type that a search may meet are listed from the caller's own cases. Raises Forbidden."""
        return can_be_listed(self.restriction("search", resource_type))

    def of_patient(self, resource_type: str, patient: ColumnElement[str]) -> ColumnElement[bool]:
        """Rows of one type that a search of what is about one patient may meet. Raises Forbidden."""
        return condition_of_patient(self.restriction("search", resource_type), self._number, patient)

    def read(self, resource_type: str) -> Lookup:
        """The current version by `resource_type` and `resource_id`, where it may be read. Raises Forbidden."""
        return _read_by(self.caller, resource_type, self.terms, self._number)

    def many(self, resource_type: str, size: int) -> Lookup | None:
        """Those with the ids of an open list that a search may meet on its way; None where the type is forbidden."""
        granted = self._searching(resource_type)
        return None if granted is None else _many(granted, self._number, size)

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

    def written(self, interaction: Interaction, resource_type: str) -> Restriction:
        """What the caller may leave behind by a write. Raises Forbidden."""
        return written(self.caller, interaction, resource_type, self.terms)

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

    def restriction(self, interaction: Interaction, resource_type: str) -> Restriction:
        """None."""
        return algebra.Everything()

    def identity(self, resource_types: Iterable[str]) -> Hashable:
        """The same for every caller."""
        return tuple(_sign(algebra.Everything()) for _ in resource_types)

    def written(self, interaction: Interaction, resource_type: str) -> Restriction:
        """None: the half of a step that the server writes may be one that the caller could not."""
        return algebra.Everything()

    def read(self, resource_type: str) -> Lookup:
        """Every row."""
        return _read(algebra.Everything(), self._number)
