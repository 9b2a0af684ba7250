"""Reading: every SELECT carries what the caller may see.  https://hl7.org/fhir/R4/http.html"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    and_,
    case,
    exists,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    tuple_,
    union_all,
)

from fhir_server.errors import Gone, NotFound
from fhir_server.search.hashing import hash64
from fhir_server.search.query import Include, Query
from fhir_server.search.registry import Registry
from fhir_server.store.compiler import Lookup
from fhir_server.store.conditions import Conditions, Numbering
from fhir_server.store.database import Database, Row, Transaction
from fhir_server.store.explained import Explained
from fhir_server.store.few import Few, either
from fhir_server.store.grants import Grants
from fhir_server.store.models import STATE, history, index_reference, resource
from fhir_server.store.prepared import prepared
from fhir_server.store.slots import filled_list, open_list, size_of, slot
from fhir_server.store.sorting import beyond, keys_of, ordering
from fhir_server.store.visibility import is_everything

Shown = Callable[[Iterable["Version"]], None]
COUNTED_EXACTLY, TARGETS_KEPT = 10_000, 1000
IDS_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a resource as stored. A deletion has no content."""

    row_id: int
    resource_type: str
    resource_id: str
    version_id: int
    last_updated: int
    patient: str | None
    organization: str | None
    quarantined: bool
    content: bytes | None
    interaction: str = "update"

    @property
    def reference(self) -> str:
        """`Type/id`."""
        return f"{self.resource_type}/{self.resource_id}"


@dataclass(frozen=True, slots=True)
class Page:
    """Matches of a search and the sort values of the last one; `more` when others follow."""

    matches: list[Version]
    last: tuple[Any, ...] | None
    more: bool


def version_of(row: Row) -> Version:
    """A row as a value."""
    return _version(row, "create" if row["version_id"] == 1 else "update")


def _version(row: Row, interaction: str) -> Version:
    return Version(
        row["row_id"],
        row["resource_type"],
        row["resource_id"],
        row["version_id"],
        row["last_updated"],
        row["patient"],
        row["organization"],
        bool(row["quarantined"]),
        row["content"],
        interaction,
    )


class Repository:
    """Reads for one caller, from the database or inside a transaction."""

    def __init__(
        self,
        source: Database | Transaction,
        grants: Grants,
        registry: Registry,
        number: Numbering,
        shown: Shown | None = None,
    ) -> None:
        self.source = source
        self.grants = grants
        self.registry = registry
        self.number = number
        self._shown = shown
        self.conditions = Conditions(registry, number, grants.visible)

    def shown(self, versions: list[Version]) -> list[Version]:
        """Note for the audit journal what the caller is shown."""
        if self._shown is not None:
            self._shown(versions)
        return versions

    async def read(self, resource_type: str, resource_id: str) -> Version:
        """The current version. Raises NotFound, Gone, Forbidden."""
        identity = {"resource_type": resource_type, "resource_id": resource_id}
        found = await self.source.fetch(self.grants.read(resource_type), identity)
        if found:
            return self.shown([version_of(found[0])])[0]
        if await self._deleted(resource_type, resource_id):
            raise Gone(f"{resource_type}/{resource_id} has been deleted.")
        raise NotFound(f"{resource_type}/{resource_id} is not known.")

    async def vread(self, resource_type: str, resource_id: str, version_id: int) -> Version:
        """One version, current or superseded. Raises NotFound, Gone, Forbidden."""
        for table in (resource, history):
            found = await self.source.fetch(
                select(*_state(table)).where(
                    *_identity(table, resource_type, resource_id),
                    table.c.version_id == version_id,
                    self.grants.condition("history", resource_type, table),
                )
            )
            if found and found[0]["content"] is None:
                raise Gone(f"Version {version_id} of {resource_type}/{resource_id} is its deletion.")
            if found:
                return self.shown([version_of(found[0])])[0]
        raise NotFound(f"Version {version_id} of {resource_type}/{resource_id} is not known.")

    async def _deleted(self, resource_type: str, resource_id: str) -> bool:
        """Whether the caller may know that it was deleted."""
        living = select(resource.c.row_id).where(*_identity(resource, resource_type, resource_id))
        found = await self.source.fetch(
            select(history.c.row_id)
            .where(
                *_identity(history, resource_type, resource_id),
                history.c.content.is_(None),
                self.grants.possible("read", resource_type, history),
                ~living.exists(),
            )
            .limit(1)
        )
        return bool(found)

    async def search(self, query: Query, after: Sequence[Any] | None = None, ceiling: int | None = None) -> Page:
        """One page of matches after these sort values; nothing created after `ceiling`. Raises Forbidden."""
        rows = await self._rows_of(query, after, ceiling)
        shown = rows[: query.count]
        keys = len(query.sort) + 1
        last = tuple(shown[-1][f"key_{n}"] for n in range(keys)) if shown else None
        return Page(self.shown([version_of(row) for row in shown]), last, len(rows) > query.count)

    async def _rows_of(self, query: Query, after: Sequence[Any] | None, ceiling: int | None) -> Sequence[Row]:
        if after is not None or ceiling is not None:
            return await self.source.fetch(self.page_of(query, after, ceiling))
        return await self.source.fetch(*prepared(self.grants, self.number, "page", query, self.page_of))

    def page_of(self, query: Query, after: Sequence[Any] | None = None, ceiling: int | None = None) -> Select[Any]:
        """The statement of a page: one row more than the page holds. Raises Forbidden."""
        keys = keys_of(query, self.conditions.numbers)
        statement = select(*_state(resource), *(key.expression.label(f"key_{n}") for n, key in enumerate(keys)))
        statement = statement.order_by(*ordering(keys)).limit(query.count + 1)
        if after is not None:
            statement = statement.where(beyond(keys, after))
        if ceiling is not None:
            statement = statement.where(resource.c.row_id <= ceiling)
        several = self.source.dialect == "postgresql" and not self._are_few(query)
        dates = self.conditions.range_of_dates(query) if several else None
        if dates is None:
            return statement.where(*self.matching(query))
        few = Few(dates)
        listed = statement.where(few.known, *self.matching(query, few.among(resource.c.row_id)))
        return either(listed, statement.where(not_(few.known), *self.matching(query)), keys)

    async def count(self, query: Query) -> int:
        """How many resources match. Raises Forbidden."""
        rows = await self.source.fetch(*prepared(self.grants, self.number, "count", query, self._counted))
        return int(rows[0]["total"])

    def _counted(self, query: Query) -> Select[Any]:
        """An index has rows of living resources only: where the caller may see all of a type, they are enough."""
        total, alone = func.count().label("total"), self.conditions.of_one_index(query)
        if alone is not None and is_everything(self.grants.condition("search", query.types[0], resource)):
            return select(total).select_from(alone.subquery())
        return select(total).select_from(resource).where(*self.matching(query))

    async def estimate(self, query: Query) -> int:
        """About how many match: exact up to 10,000, beyond that what PostgreSQL's planner says. Raises Forbidden."""
        matching = self.matching(query)
        first = select(literal(1).label("one")).select_from(resource).where(*matching).limit(COUNTED_EXACTLY + 1)
        rows = await self.source.fetch(select(func.count().label("total")).select_from(first.subquery()))
        counted = int(rows[0]["total"])
        if counted <= COUNTED_EXACTLY:
            return counted
        if self.source.dialect == "sqlite":
            return await self.count(query)
        (plan,) = await self.source.fetch(Explained(select(resource.c.row_id).where(*matching)))
        return max(counted, int(orjson.loads(plan["QUERY PLAN"])[0]["Plan"]["Plan Rows"]))

    def matching(self, query: Query, leading: ColumnElement[bool] | None = None) -> list[ColumnElement[bool]]:
        """What a row of `resource` must meet: the query's type and conditions, and that the caller may see it;
        `leading`: what stands for its range of dates.
        """
        conditions = self.conditions.of(query, resource, leading, along=self._are_few(query))
        if query.resource_type is None:
            return [self.grants.of_any_type("search", query.types, resource) if query.types else false(), *conditions]
        tests = [self._granted(query, query.resource_type), *conditions]
        if self.conditions.implies_type(query):
            return tests
        return [resource.c.resource_type == query.resource_type, *tests]

    def _are_few(self, query: Query) -> bool:
        """Whether what the caller may see of all patients is listed, so that conditions are asked of that."""
        return query.resource_type is not None and self.grants.are_few(query.resource_type)

    def _granted(self, query: Query, resource_type: str) -> ColumnElement[bool]:
        patient = self.conditions.patient_of(query)
        if patient is None:
            return self.grants.condition("search", resource_type, resource)
        return self.grants.of_patient(resource_type, slot(resource.c.patient, patient, "id"))

    async def included(self, include: Include, versions: Sequence[Version], limit: int) -> list[Version]:
        """What `_include` or `_revinclude` adds to these versions."""
        if include.reverse:
            return await self._pointing(include, versions, limit)
        sources = [version.row_id for version in versions if include.source_type in {None, version.resource_type}]
        if not sources:
            return []
        number = include.parameter and self.number(include.parameter.resource_type, include.parameter.code)
        statement = _targets(number, include.target_type, size_of(sources), limit)
        rows = await self.source.fetch(statement, filled_list(sources))
        return await self.many([(row["target_type"], row["target_id"]) for row in rows])

    async def many(self, identities: Iterable[tuple[str, str]]) -> list[Version]:
        """The current versions of these that the caller may see."""
        by_type: dict[str, list[str]] = {}
        for resource_type, resource_id in identities:
            by_type.setdefault(resource_type, []).append(resource_id)
        found: list[Version] = []
        for resource_type, ids in sorted(by_type.items()):
            ordered = sorted(ids)
            for start in range(0, len(ordered), IDS_AT_ONCE):
                found.extend(await self._some(resource_type, ordered[start : start + IDS_AT_ONCE]))
        return self.shown(found)

    async def _some(self, resource_type: str, ids: Sequence[str]) -> list[Version]:
        statement = self.grants.many(resource_type, size_of(ids))
        if statement is None:
            return []
        rows = await self.source.fetch(statement, {"resource_type": resource_type, **filled_list(ids)})
        return [version_of(row) for row in rows]

    async def _pointing(self, include: Include, versions: Sequence[Version], limit: int) -> list[Version]:
        """What of one type points to these versions."""
        targets = [v for v in versions if include.target_type in {None, v.resource_type}]
        if not targets:
            return []
        hashes = [hash64(version.resource_type, version.resource_id) for version in targets]
        wanted = [(version.resource_type, version.resource_id) for version in targets]
        links = select(index_reference.c.row_id).where(
            index_reference.c.target_hash.in_(hashes),
            tuple_(index_reference.c.target_type, index_reference.c.target_id).in_(wanted),
            *self._numbered(include),
        )
        statement = select(*_state(resource)).where(resource.c.row_id.in_(links), self._visible(include.source_type))
        rows = await self.source.fetch(statement.order_by(resource.c.row_id).limit(limit))
        return self.shown([version_of(row) for row in rows])

    def _visible(self, resource_type: str | None) -> ColumnElement[bool]:
        """What may be met on the way, of one type or of any."""
        if resource_type is None:
            return self.grants.of_any_type("search", sorted(self.registry.definitions.resource_types), resource)
        return and_(resource.c.resource_type == resource_type, self.grants.visible(resource_type, resource))

    def _numbered(self, include: Include) -> list[ColumnElement[bool]]:
        if include.source_type is None:
            return []
        codes = [include.parameter.code] if include.parameter else _reference_codes(self.registry, include.source_type)
        return [index_reference.c.parameter.in_([self.number(include.source_type, code) for code in codes])]

    async def history(self, scope: "HistoryScope", limit: int) -> list[Version]:
        """Versions, newest first, deletions among them. Raises Forbidden."""
        parts = [self._history_part(table, scope, limit) for table in (resource, history)]
        both = union_all(*(select(part.subquery()) for part in parts)).subquery()
        order = both.c.last_updated.desc(), both.c.row_id.desc(), both.c.version_id.desc()
        rows = await self.source.fetch(select(both).order_by(*order).limit(limit))
        return self.shown([_version(row, row["interaction"]) for row in rows])

    def _history_part(self, table: FromClause, scope: "HistoryScope", limit: int) -> Select[Any]:
        first = case((table.c.version_id == 1, "create"), else_="update")
        interaction = history.c.interaction if table is history else first
        statement = select(*_state(table), interaction.label("interaction")).where(*self._in_scope(table, scope))
        order = table.c.last_updated.desc(), table.c.row_id.desc(), table.c.version_id.desc()
        return statement.order_by(*order).limit(limit)

    def _in_scope(self, table: FromClause, scope: "HistoryScope") -> list[ColumnElement[bool]]:
        if scope.resource_type is None:
            types = self.registry.definitions.resource_types
            tests = [self.grants.of_any_type("history", sorted(types), table)]
        else:
            tests = [
                table.c.resource_type == scope.resource_type,
                self.grants.condition("history", scope.resource_type, table),
            ]
        if scope.resource_id is not None:
            tests.append(table.c.resource_id == scope.resource_id)
        if scope.since is not None:
            tests.append(table.c.last_updated >= scope.since)
        if scope.until is not None:
            tests.append(table.c.last_updated < scope.until)
        if scope.current_from is not None and table is history:
            tests.append(_still_current(scope.current_from))
        if scope.after is not None:
            place = tuple_(table.c.last_updated, table.c.row_id, table.c.version_id)
            tests.append(place < tuple_(*(literal(value) for value in scope.after)))
        return tests


@dataclass(frozen=True, slots=True)
class HistoryScope:
    """Which history: of one resource, of a type, or of everything; from `since` on, before `until`, after a cursor;
    `current_from`: only what had not been replaced or deleted by then.
    """

    resource_type: str | None = None
    resource_id: str | None = None
    since: int | None = None
    until: int | None = None
    after: tuple[int, int, int] | None = None
    current_from: int | None = None


def _still_current(moment: int) -> ColumnElement[bool]:
    """Of superseded versions those that nothing had followed by this moment; of deletions those from it on."""
    followed = []
    for table in (resource.alias(), history.alias()):
        followed.append(
            exists(
                select(table.c.row_id)
                .where(
                    *_identity(table, history.c.resource_type, history.c.resource_id),
                    table.c.version_id == history.c.version_id + 1,
                    table.c.last_updated <= moment,
                )
                .correlate(history)
            )
        )
    return case((history.c.content.is_(None), history.c.last_updated >= moment), else_=~or_(*followed))


@lru_cache(maxsize=TARGETS_KEPT)
def _targets(number: int | None, target_type: str | None, size: int, limit: int) -> Lookup:
    """What the rows of an open list point to, by one parameter or any, of one type or any."""
    statement = select(index_reference.c.target_type, index_reference.c.target_id).distinct()
    statement = statement.where(open_list(index_reference.c.row_id, size), index_reference.c.target_type != "")
    if number is not None:
        statement = statement.where(index_reference.c.parameter == number)
    if target_type is not None:
        statement = statement.where(index_reference.c.target_type == target_type)
    return Lookup(statement.limit(limit))


def _state(table: FromClause) -> list[ColumnElement[Any]]:
    return [table.c[name] for name in STATE]


def _identity(table: FromClause, resource_type: Any, resource_id: Any) -> tuple[ColumnElement[bool], ...]:
    return table.c.resource_type == resource_type, table.c.resource_id == resource_id


def _reference_codes(registry: Registry, resource_type: str) -> list[str]:
    return [code for code, parameter in registry.of(resource_type).items() if parameter.type == "reference"]
