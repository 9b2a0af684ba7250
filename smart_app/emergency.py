"""Emergency access to one patient's record, as the FHIR server's Tasks tell of it.  docs/access.md of the server"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from smart_app.case.codes import own_system
from smart_app.errors import AppError
from smart_app.fhir import FhirClient, Resource
from smart_app.words import code_in, concept, parse_moment, person_name

TREATING = ("requester", "consultant", "radiologist")
"""Who may open a record in an emergency; the server says the last word."""
OFFICERS = ("privacy-officer",)
SYSTEM = own_system("break-glass")
CODE = f"{SYSTEM}|break-glass"
KEPT_SECONDS = 15.0
MOST_PEOPLE = 5000
Said = Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Emergency:
    """One access: whose record, by whom, from when to when, why, and how it was judged."""

    id: str
    version: str
    person: str
    who: str
    patient: str
    whom: str
    start: str
    end: str
    reason: str
    words: str
    reviewed: bool
    verdict: str
    judgement: str

    @property
    def minutes_left(self) -> int:
        """Whole minutes until it ends, begun ones counted; none once it is over."""
        until = parse_moment(self.end)
        seconds = (until - datetime.now(UTC)).total_seconds() if until else 0
        return max(0, -int(-seconds // 60))

    @property
    def is_open(self) -> bool:
        """Whether it lasts."""
        return self.minutes_left > 0


@dataclass(frozen=True, slots=True)
class Beside:
    """What every page says: accesses that last, and how many wait for this officer's review."""

    open: Sequence[Emergency] = ()
    waiting: int = 0


async def begin(fhir: FhirClient, of: str, said: Said) -> str:
    """Open a record: `of` is `Patient`, `Patient/x` or `Task/x`; gives the id of the access.  Raises FhirFailure."""
    return str((await fhir.operate(f"{of}/$break-glass", said))["id"])


async def end(fhir: FhirClient, access: str) -> None:
    """End an access."""
    await fhir.operate(f"Task/{access}/$break-glass-end", {})


async def review(fhir: FhirClient, access: str, verdict: str, comment: str) -> None:
    """Judge an access."""
    await fhir.operate(f"Task/{access}/$break-glass-review", {"verdict": verdict, "comment": comment})


async def accesses(fhir: FhirClient, criteria: Mapping[str, str], most: int = 50) -> list[Emergency]:
    """The newest that fit, with the names of those concerned as far as they may be seen."""
    asked = {"code": CODE, "_include": ["Task:patient", "Task:focus"], "_sort": "-authored-on", **criteria}
    found = await fhir.search("Task", asked, most=most)
    people = {f"{each['resourceType']}/{each['id']}": person_name(each) for each in found.included}
    return [emergency_of(task, people) for task in found.matches]


async def one(fhir: FhirClient, access: str) -> Emergency | None:
    """One access, if this person may know of it."""
    return next(iter(await accesses(fhir, {"_id": access}, most=1)), None)


def emergency_of(task: Resource, people: Mapping[str, str]) -> Emergency:
    """Read a Task."""
    person, patient = task["focus"]["reference"], task["for"]["reference"]
    period, why = task.get("executionPeriod", {}), task.get("reasonCode", {})
    judged: Any = next((each.get("valueCodeableConcept", {}) for each in task.get("output", [])), {})
    return Emergency(
        id=task["id"],
        version=task.get("meta", {}).get("versionId", ""),
        person=person,
        who=people.get(person, person),
        patient=patient.partition("/")[2],
        whom=people.get(patient, "the patient"),
        start=period.get("start", ""),
        end=period.get("end", ""),
        reason=concept({"coding": why.get("coding", [])}),
        words=why.get("text", ""),
        reviewed=task["status"] == "completed",
        verdict=code_in(judged, SYSTEM) or "",
        judgement=judged.get("text", ""),
    )


@dataclass
class Watch:
    """What stands beside every page, asked for each person anew after fifteen seconds, or when something changed."""

    _kept: dict[str, tuple[float, Beside]] = field(default_factory=dict)

    async def beside(self, fhir: FhirClient, person: str, roles: Sequence[str]) -> Beside:
        """What concerns this person; nothing when the server does not say."""
        if not person or not {*TREATING, *OFFICERS} & {*roles}:
            return Beside()
        until, known = self._kept.get(person, (0.0, Beside()))
        if time.monotonic() < until:
            return Beside(tuple(each for each in known.open if each.is_open), known.waiting)
        try:
            found = await self._found(fhir, person, roles)
        except AppError:
            return Beside()
        if len(self._kept) > MOST_PEOPLE:
            self._kept.clear()
        self._kept[person] = time.monotonic() + KEPT_SECONDS, found
        return found

    def forget(self, person: str) -> None:
        """Ask anew: this person did something."""
        self._kept.pop(person, None)

    async def _found(self, fhir: FhirClient, person: str, roles: Sequence[str]) -> Beside:
        mine: list[Emergency] = []
        if {*TREATING} & {*roles}:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            mine = await accesses(fhir, {"focus": person, "period": f"ge{now}"})
        waiting = await accesses(fhir, {"status": "requested"}) if {*OFFICERS} & {*roles} else []
        return Beside(
            tuple(each for each in mine if each.is_open), len([one for one in waiting if one.person != person])
        )
