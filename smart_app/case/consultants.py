"""Who could answer a case, ranked, with the reasons.  Licences are shown; the server checks them at acceptance."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from smart_app.case.view import Case
from smart_app.fhir import FhirClient, Resource
from smart_app.words import concept, counted, person_name

OPEN_STATUSES = "received,accepted,in-progress,on-hold"


@dataclass(frozen=True)
class Candidate:
    """A consultant who could be offered the case."""

    reference: str
    name: str
    specialties: Sequence[str]
    reasons: Sequence[str]
    open_cases: int
    fits: bool
    licences: Sequence[str] = field(default_factory=list)


async def candidates(fhir: FhirClient, case: Case) -> list[Candidate]:
    """Consultants by PractitionerRole: right specialty first, then who has the fewest open cases."""
    roles = await fhir.search("PractitionerRole", {"active": "true", "_include": "PractitionerRole:practitioner"})
    people = {f"Practitioner/{each['id']}": each for each in roles.included}
    consulting = _by_person([each for each in roles.matches if _consults(each)])
    loads = await asyncio.gather(*(_open_cases(fhir, name) for name in consulting))
    found = [
        _candidate(case, people.get(name, {}), name, held, load)
        for (name, held), load in zip(consulting.items(), loads, strict=True)
    ]
    return sorted(found, key=lambda each: (not each.fits, each.open_cases, each.name))


def _candidate(case: Case, person: Resource, name: str, roles: list[Resource], load: int) -> Candidate:
    wanted = _codes([case.request.get("performerType") or {}, *case.task.get("performerType", [])])
    own = [each for role in roles for each in role.get("specialty", [])]
    specialties = [words for each in own if (words := concept(each))]
    fits = bool(wanted & _codes(own))
    licences = [words for each in person.get("qualification", []) if (words := concept(each.get("code")))]
    reasons = [
        "the specialty that is asked" if fits else "another specialty",
        f"{counted(load, 'open case')}" if load else "no open case",
        *(licences or ["no qualification on file"]),
    ]
    return Candidate(name, person_name(person), specialties, reasons, load, fits, licences)


async def _open_cases(fhir: FhirClient, name: str) -> int:
    found = await fhir.search("Task", {"owner": name, "status": OPEN_STATUSES}, most=100)
    return len(found.matches)


def _by_person(roles: Sequence[Resource]) -> dict[str, list[Resource]]:
    found: dict[str, list[Resource]] = {}
    for role in roles:
        name = role.get("practitioner", {}).get("reference", "")
        if name:
            found.setdefault(name, []).append(role)
    return found


def _consults(role: Mapping[str, object]) -> bool:
    """A role that answers: it says so by code, or it has a specialty and belongs to a service."""
    codes = {coding.get("code") for each in _list(role, "code") for coding in each.get("coding", [])}
    return "consultant" in codes or bool(_list(role, "healthcareService"))


def _list(role: Mapping[str, object], name: str) -> list[Resource]:
    value = role.get(name)
    return value if isinstance(value, list) else []


def _codes(concepts: Sequence[Resource]) -> set[tuple[str, str]]:
    """Specialties to compare: by code, and by their words where a directory has nothing else."""
    coded = {(each.get("system", ""), each.get("code", "")) for one in concepts for each in one.get("coding", [])}
    return coded | {("", one["text"].strip().lower()) for one in concepts if one.get("text")}
