"""What a bulk export holds, in pages by `row_id`; every SELECT carries what the caller may see.

https://hl7.org/fhir/uv/bulkdata/STU2/export.html
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select

from fhir_server.search.hashing import hash64
from fhir_server.search.query import Query
from fhir_server.store.models import STATE, history, index_reference, resource
from fhir_server.store.repository import Repository, Version, version_of


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an export: one type; of these patients, of any (`patients` empty), or (`whole`) about whomever; what
    was changed at `since` or later, in a row up to `ceiling`; deleted before `until`.
    """

    resource_type: str
    whole: bool
    patients: tuple[str, ...]
    since: int | None
    ceiling: int
    until: int


async def living(repository: Repository, part: Part, filters: Sequence[Query], after: int, limit: int) -> list[Version]:
    """At most `limit` current versions after a row; of several filters one must be met. Raises Forbidden."""
    tests = [
        resource.c.resource_type == part.resource_type,
        repository.grants.condition("search", part.resource_type, resource),
        resource.c.row_id > after,
        resource.c.row_id <= part.ceiling,
    ]
    if part.since is not None:
        tests.append(resource.c.last_updated >= part.since)
    if not part.whole:
        tests.append(_of_patients(repository, part))
    if filters:
        tests.append(or_(*(and_(*repository.matching(query)) for query in filters)))
    statement = select(*(resource.c[name] for name in STATE)).where(*tests).order_by(resource.c.row_id).limit(limit)
    return repository.shown([version_of(row) for row in await repository.source.fetch(statement)])


async def deleted(repository: Repository, part: Part, after: int, limit: int) -> list[Version]:
    """At most `limit` deletions that the caller may know of, of what has not come back since."""
    again = resource.alias()
    tests: list[ColumnElement[bool]] = [
        history.c.resource_type == part.resource_type,
        history.c.content.is_(None),
        history.c.last_updated >= (part.since or 0),
        history.c.last_updated <= part.until,
        history.c.row_id > after,
        repository.grants.possible("read", part.resource_type, history),
        ~select(again.c.row_id)
        .where(again.c.resource_type == history.c.resource_type, again.c.resource_id == history.c.resource_id)
        .correlate(history)
        .exists(),
    ]
    if not part.whole:
        inside = history.c.patient.in_(part.patients) if part.patients else history.c.patient.is_not(None)
        itself = history.c.resource_id.in_(part.patients) if part.patients else history.c.resource_id.is_not(None)
        tests.append(itself if part.resource_type == "Patient" else inside)
    statement = select(*(history.c[name] for name in STATE)).where(*tests).order_by(history.c.row_id).limit(limit)
    return [version_of(row) for row in await repository.source.fetch(statement)]


def _of_patients(repository: Repository, part: Part) -> ColumnElement[bool]:
    """About the patients, or tied to them by the parameters of the compartment; of a type without a place in the
    compartment what is about nobody.
    """
    held = repository.registry.definitions.compartments["Patient"]
    if part.resource_type == "Patient":
        return resource.c.resource_id.in_(part.patients) if part.patients else resource.c.row_id.is_not(None)
    if part.resource_type not in held:
        return resource.c.patient.is_(None)
    own = resource.c.patient.in_(part.patients) if part.patients else resource.c.patient.is_not(None)
    link = index_reference.alias()
    codes = [code for code in held[part.resource_type] if code in repository.registry.of(part.resource_type)]
    tests: list[Any] = [
        link.c.row_id == resource.c.row_id,
        link.c.parameter.in_([repository.number(part.resource_type, code) for code in codes]),
        link.c.target_type == "Patient",
    ]
    if part.patients:
        tests.append(link.c.target_hash.in_([hash64("Patient", one) for one in part.patients]))
        tests.append(link.c.target_id.in_(part.patients))
    return or_(own, select(link.c.row_id).where(*tests).correlate(resource).exists())
