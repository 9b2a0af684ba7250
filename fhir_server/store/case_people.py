"""Who has been on a patient's cases: whom any version of a Task or ServiceRequest names, and who wrote one."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from fhir_server import wire
from fhir_server.store.database import Database
from fhir_server.store.models import history, resource

CASE_TYPES = ("Task", "ServiceRequest")
SHOWN = ("resource_type", "content", "fhir_user")
NAMING = ("owner", "requester", "performer")
EMERGENCY = "/CodeSystem/break-glass"


@dataclass(frozen=True, slots=True)
class CasePeople:
    """References to everybody (`Practitioner/x`) who is or was on a case of a patient, and whether there is any."""

    references: frozenset[str]
    any_case: bool


async def on_cases_of(database: Database, patient: str) -> CasePeople:
    """Who is or was on a case of the patient with this id.

    A Task that stands for an emergency access is none: who opened a record in an emergency is on no case by that.
    """
    mine = (resource.c.patient == patient) & resource.c.resource_type.in_(CASE_TYPES)
    same = (history.c.resource_type == resource.c.resource_type) & (history.c.resource_id == resource.c.resource_id)
    former = select(*(history.c[name] for name in SHOWN)).select_from(resource.join(history, same)).where(mine)
    versions = [
        *await database.fetch(select(*(resource.c[name] for name in SHOWN)).where(mine)),
        *await database.fetch(former),
    ]
    found: set[str | None] = set()
    any_case = False
    for version in versions:
        document = wire.loads(bytes(version["content"] or b"{}"))
        if not _is_emergency(document):
            found |= {version["fhir_user"], *_named(document)}
            any_case = any_case or version["resource_type"] == "Task"
    return CasePeople(frozenset(filter(None, found)), any_case)


def _is_emergency(document: dict[str, Any]) -> bool:
    return any(str(each.get("system", "")).endswith(EMERGENCY) for each in document.get("code", {}).get("coding", ()))


def _named(document: dict[str, Any]) -> Iterable[str | None]:
    for name in NAMING:
        value = document.get(name) or []
        for each in value if isinstance(value, list) else [value]:
            yield each.get("reference")
