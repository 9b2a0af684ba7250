"""All that belongs to a patient or an encounter, and what that refers to, in pages.  R4 operations $everything

Two parts, each in the order of `row_id`: the compartment, then what its members refer to and what is about nobody else.
Both carry the caller's visibility; nothing is filtered after the query.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CTE, ColumnElement, FromClause, Select, and_, or_, select, union

from fhir_server.search.dates import EARLIEST
from fhir_server.search.hashing import hash64
from fhir_server.search.registry import Registry
from fhir_server.store.conditions import same_target
from fhir_server.store.joins import ordered
from fhir_server.store.models import STATE, index_reference, resource
from fhir_server.store.repository import Repository, Version, version_of

COMPARTMENT, REFERENCED = 0, 1
MAIN_DATE = "date"


@dataclass(frozen=True, slots=True)
class Everything:
    """Whose record: `focus` is Patient or Encounter, `patient` the id of the patient it is about. Only these `types`
    (empty: all), updated at `since` or later, cared for from `start` on and before `end`, made no later than `ceiling`.
    """

    focus: tuple[str, str]
    patient: str | None
    types: frozenset[str]
    since: int | None
    start: int | None
    end: int | None
    ceiling: int


Place = tuple[int, int]


async def everything(repository: Repository, asked: Everything, after: Place, limit: int) -> list[tuple[Version, int]]:
    """At most `limit` versions after a place (part, row id), each with its part. Raises Forbidden."""
    part, row_id = after
    found: list[tuple[Version, int]] = []
    if part == COMPARTMENT:
        found = [(one, COMPARTMENT) for one in await _page(repository, asked, (COMPARTMENT, row_id), limit)]
        row_id = 0
    if len(found) < limit:
        rest = await _page(repository, asked, (REFERENCED, row_id), limit - len(found))
        found += [(one, REFERENCED) for one in rest]
    return found


async def _page(repository: Repository, asked: Everything, after: Place, limit: int) -> list[Version]:
    members = _members(repository, asked)
    part, row_id = after
    inside: ColumnElement[bool] = resource.c.row_id.in_(select(members.c.row_id))
    if part == REFERENCED:
        inside = and_(resource.c.row_id.in_(_referenced(members, asked)), ~inside)
    statement = (
        select(*(resource.c[name] for name in STATE))
        .where(
            inside,
            _visible(repository, resource),
            resource.c.row_id > row_id,
            resource.c.row_id <= asked.ceiling,
            *_narrowed(asked, repository.registry),
        )
        .order_by(resource.c.row_id)
        .limit(limit)
    )
    return repository.shown([version_of(row) for row in await repository.source.fetch(statement)])


def _visible(repository: Repository, table: FromClause) -> ColumnElement[bool]:
    types = sorted(repository.registry.definitions.resource_types)
    return repository.grants.of_any_type("search", types, table)


def _members(repository: Repository, asked: Everything) -> CTE:
    """The rows of the compartment that the caller may see: by the definition's parameters, and by whom it is about."""
    type_, id_ = asked.focus
    link, itself, own = index_reference.alias(), resource.alias(), resource.alias()
    linked = select(link.c.row_id).where(
        link.c.target_hash == hash64(type_, id_),
        link.c.target_type == type_,
        link.c.target_id == id_,
        link.c.parameter.in_(_numbers(repository, type_)),
    )
    parts = [linked, select(itself.c.row_id).where(itself.c.resource_type == type_, itself.c.resource_id == id_)]
    if type_ == "Patient":
        parts.append(select(own.c.row_id).where(own.c.patient == id_))
    everyone = union(*parts).subquery()
    member = resource.alias()
    seen = select(member.c.row_id).where(
        member.c.row_id.in_(select(everyone.c.row_id)), _visible(repository, member), _of_nobody_else(asked, member)
    )
    return seen.cte().prefix_with("MATERIALIZED")


def _numbers(repository: Repository, type_: str) -> list[int]:
    held = repository.registry.definitions.compartments[type_]
    known = repository.registry.of
    return [repository.number(name, code) for name, codes in held.items() for code in codes if code in known(name)]


def _referenced(members: CTE, asked: Everything) -> Select[Any]:
    link, target = index_reference.alias(), resource.alias()
    linked = ordered(members, link, link.c.row_id == members.c.row_id)
    return (
        select(target.c.row_id)
        .select_from(ordered(linked, target, same_target(link, target)))
        .where(_of_nobody_else(asked, target))
        .correlate(None)
    )


def _of_nobody_else(asked: Everything, table: FromClause) -> ColumnElement[bool]:
    """About no patient, or about the one whose record it is: another's never comes along."""
    return or_(table.c.patient.is_(None), table.c.patient == asked.patient)


def _narrowed(asked: Everything, registry: Registry) -> list[ColumnElement[bool]]:
    tests: list[ColumnElement[bool]] = []
    if asked.types:
        tests.append(resource.c.resource_type.in_(sorted(asked.types)))
    if asked.since is not None:
        tests.append(resource.c.last_updated >= asked.since)
    if asked.start is not None or asked.end is not None:
        tests.append(_cared_for(asked, _dated(registry)))
    return tests


def _dated(registry: Registry) -> Collection[str]:
    return [name for name in registry.definitions.resource_types if MAIN_DATE in registry.of(name)]


def _cared_for(asked: Everything, dated: Collection[str]) -> ColumnElement[bool]:
    """By the date of care; what has none is always there."""
    moment = resource.c.moment
    tests = [moment >= asked.start] if asked.start is not None else []
    tests += [moment < asked.end] if asked.end is not None else []
    return or_(resource.c.resource_type.not_in(sorted(dated)), moment == EARLIEST, and_(*tests))
