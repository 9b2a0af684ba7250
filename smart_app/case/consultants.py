"""Who could answer a case, ranked, with the reasons.  Licences are shown; the server checks them at acceptance."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from smart_app.case.codes import CASE_TASK
from smart_app.case.licences import Licence, licence_for, place_of
from smart_app.case.view import Case
from smart_app.fhir import FhirClient, Resource
from smart_app.words import Clock, concept, counted, person_name

OPEN_STATUSES = "received,accepted,in-progress,on-hold"
CASES = f"{CASE_TASK['system']}|{CASE_TASK['code']}"


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that speaks for or against, with the tone and icon that go along."""

    words: str
    tone: str = "neutral"
    icon: str = "circle"


@dataclass(frozen=True)
class Candidate:
    """A consultant who could be offered the case."""

    reference: str
    name: str
    specialties: Sequence[str]
    reasons: Sequence[Reason]
    open_cases: int
    fits: bool
    licence: Licence


@dataclass(frozen=True)
class Directory:
    """The consultants: their Practitioners, and their roles, by reference."""

    people: Mapping[str, Resource]
    roles: Mapping[str, Sequence[Resource]]

    def fitting(self, case: Case) -> list[str]:
        """Who has the specialty that a case asks for."""
        return [name for name, held in self.roles.items() if fits(case, held)]


async def directory(fhir: FhirClient) -> Directory:
    """Everybody who answers cases, by PractitionerRole."""
    found = await fhir.search("PractitionerRole", {"active": "true", "_include": "PractitionerRole:practitioner"})
    people = {f"Practitioner/{each['id']}": each for each in found.included}
    return Directory(people, _by_person([each for each in found.matches if _consults(each)]))


async def candidates(fhir: FhirClient, case: Case, clock: Clock) -> list[Candidate]:
    """Right specialty first, then a licence for the patient's place, then who has the fewest open cases."""
    known, open_tasks, answered = await asyncio.gather(
        directory(fhir),
        fhir.search("Task", {"code": CASES, "status": OPEN_STATUSES}, most=500),
        fhir.search("Task", {"code": CASES, "status": "completed", "_sort": "-_lastUpdated"}, most=200),
    )
    loads = Counter(_owner(task) for task in open_tasks.matches)
    last: dict[str, str] = {}
    for task in answered.matches:
        last.setdefault(_owner(task), str(task.get("lastModified") or task["meta"]["lastUpdated"]))
    found = [
        _candidate(case, known.people.get(name, {}), (name, held), loads[name], clock)
        for name, held in known.roles.items()
    ]
    told = [_with_answer(each, last.get(each.reference, ""), clock) for each in found]
    return sorted(told, key=lambda each: (not each.fits, each.licence.held is False, each.open_cases, each.name))


def fits(case: Case, roles: Sequence[Resource]) -> bool:
    """Whether one of the roles has the specialty that the case asks for."""
    wanted = _codes([case.request.get("performerType") or {}, *case.task.get("performerType", [])])
    return bool(wanted & _codes([each for role in roles for each in role.get("specialty", [])]))


def _candidate(
    case: Case, person: Resource, named: tuple[str, Sequence[Resource]], load: int, clock: Clock
) -> Candidate:
    reference, roles = named
    suited = fits(case, roles)
    specialties = [words for role in roles for each in role.get("specialty", []) if (words := concept(each))]
    licence = licence_for(person, place_of(case.patient), clock.now().date())
    reasons = [
        Reason("the specialty that is asked", "good", "check")
        if suited
        else Reason("another specialty", "attention", "circle-minus"),
        Reason(licence.words, *LICENCE_LOOKS[licence.held]),
        Reason(counted(load, "open case") if load else "no open case", "neutral", "stack-2"),
    ]
    return Candidate(reference, person_name(person), specialties, reasons, load, suited, licence)


LICENCE_LOOKS = {
    True: ("good", "check"),
    False: ("danger", "alert-triangle"),
    None: ("neutral", "circle-dashed"),
}


def _with_answer(each: Candidate, moment: str, clock: Clock) -> Candidate:
    words = f"answered last {clock.ago(moment)}" if moment else "has not answered a case yet"
    reasons = [*each.reasons, Reason(words, "neutral", "history")]
    values = (each.name, each.specialties, reasons, each.open_cases, each.fits, each.licence)
    return Candidate(each.reference, *values)


def _owner(task: Mapping[str, object]) -> str:
    owner = task.get("owner")
    return str(owner.get("reference", "")) if isinstance(owner, dict) else ""


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
