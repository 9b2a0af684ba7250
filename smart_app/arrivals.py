"""What came from outside and waits for HIM staff: what it is about, how urgent, and what the gateway knows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from smart_app.case.material import by_reference, title_of
from smart_app.errors import NotFound
from smart_app.fhir import Found, Resource
from smart_app.tenants import Tenant
from smart_app.visit import Visit
from smart_app.words import code_in, counted, parse_moment

RECONCILIATION = "https://konsil.example/fhir/CodeSystem/task-code|reconciliation"
TASK_CODES = "https://konsil.example/fhir/CodeSystem/task-code"
INCLUDED = ("Task:focus", "Task:patient", "Task:part-of", "Task:owner")
OPEN = frozenset({"requested", "accepted", "in-progress"})
RANKS = {"stat": 0, "asap": 1, "urgent": 2}
URGENCIES = {"stat": "At once", "asap": "As soon as possible", "urgent": "Urgent"}
TONES = {"same": "good", "probable": "attention", "doubtful": "attention", "other": "danger"}
ICONS = {"same": "user-check", "probable": "user-question", "doubtful": "alert-triangle", "other": "user-x"}
SHOWN = 200


@dataclass(frozen=True, slots=True)
class Arrival:
    """One arrival: the Task, what arrived, for whom it is meant, the case that asked, what the gateway compared, and
    who decided."""

    task: Resource
    material: Resource | None = None
    patient: Resource | None = None
    case: Resource | None = None
    found: Mapping[str, Any] = field(default_factory=dict)
    decider: Resource | None = None

    @property
    def id(self) -> str:
        """The Task's id."""
        return str(self.task["id"])

    @property
    def title(self) -> str:
        """What arrived, in words."""
        return title_of(self.material) if self.material else str(self.task.get("description", "Outside material"))

    @property
    def kind(self) -> str:
        """Its kinds: `CT`, `MG, US`."""
        codes = [each.get("code", "") for each in (self.material or {}).get("modality", [])]
        return ", ".join(each for each in codes if each) or "Document"

    @property
    def size(self) -> str:
        """`212 images`, empty when nobody counted."""
        number = (self.material or {}).get("numberOfInstances")
        return counted(int(number), "image") if number is not None else ""

    @property
    def source(self) -> str:
        """The archive or person it came from."""
        return input_of(self.task, "peer") or "unknown source"

    @property
    def urgency(self) -> str:
        """How urgent the case is, in words; empty for a routine one."""
        return URGENCIES.get(str((self.case or {}).get("priority", "")), "")

    @property
    def promised(self) -> str:
        """The day that the case's answer is promised for."""
        return str((self.case or {}).get("restriction", {}).get("period", {}).get("end", ""))

    @property
    def question(self) -> str:
        """What the case asks."""
        return str((self.case or {}).get("description", ""))

    @property
    def deferred(self) -> str:
        """Until when somebody put it off; empty when nobody did."""
        return str(self.task.get("restriction", {}).get("period", {}).get("start", ""))

    def put_off(self, now: datetime) -> bool:
        """Whether it rests now."""
        until = parse_moment(self.deferred)
        return until is not None and until > now

    @property
    def band(self) -> str:
        """same, probable, doubtful or other; empty when the gateway did not say."""
        return str(self.found.get("match", {}).get("band", ""))

    @property
    def band_title(self) -> str:
        """The band in words."""
        return str(self.found.get("match", {}).get("title", "")) or "Not compared yet"

    @property
    def band_tone(self) -> str:
        """The colour that goes along."""
        return TONES.get(self.band, "neutral")

    @property
    def band_icon(self) -> str:
        """The picture that goes along."""
        return ICONS.get(self.band, "circle-dashed")

    @property
    def score(self) -> int | None:
        """The sum of the weights."""
        value = self.found.get("match", {}).get("score")
        return None if value is None else int(value)

    @property
    def decision(self) -> str:
        """accept or reject, once somebody decided."""
        return output_of(self.task, "decision", "valueCode")

    @property
    def reason(self) -> str:
        """Why it was rejected."""
        return output_of(self.task, "reason", "valueString")

    def rank(self, now: datetime) -> tuple[bool, int, str, str]:
        """Most urgent first: what rests comes last, then urgency, promised day, age."""
        priority = RANKS.get(str((self.case or {}).get("priority", "")), 3)
        return self.put_off(now), priority, self.promised or "9", str(self.task.get("authoredOn", ""))


async def waiting(visit: Visit, now: datetime) -> list[Arrival]:
    """What waits for a decision, most urgent first."""
    found = await tasks(visit, {"status": ",".join(sorted(OPEN)), "_sort": "authored-on"})
    return sorted(found, key=lambda each: each.rank(now))


async def tasks(visit: Visit, parameters: dict[str, str], most: int = SHOWN) -> list[Arrival]:
    """Reconciliation Tasks with what they are about."""
    wanted = {"code": RECONCILIATION, "_include": INCLUDED, **parameters}
    found = await visit.fhir.search("Task", wanted, most=most)
    return [arrival(task, found) for task in found.matches]


async def one(visit: Visit, task_id: str) -> Arrival:
    """One arrival, decided ones too.  Raises NotFound."""
    found = await tasks(visit, {"_id": task_id})
    if not found:
        raise NotFound("The record does not exist, or is not yours to see.")
    return found[0]


def arrival(task: Resource, found: Found) -> Arrival:
    """A Task with its focus, its patient and its case out of what came along."""
    known = by_reference(found.included)
    focus, patient, owner = (known.get(task.get(name, {}).get("reference", "")) for name in ("focus", "for", "owner"))
    return Arrival(task, focus, patient, known.get(case_of(task)), decider=owner)


def case_of(task: Resource) -> str:
    """The case that a Task is part of."""
    return str(next((each.get("reference", "") for each in task.get("partOf", [])), ""))


def following(arrivals: Iterable[Arrival], task_id: str, now: datetime) -> str:
    """The id of the next arrival that does not rest, round to the first; empty when there is none."""
    order = [each for each in arrivals if each.id == task_id or not each.put_off(now)]
    at = next((place for place, each in enumerate(order) if each.id == task_id), -1)
    others = [*order[at + 1 :], *order[: max(at, 0)]]
    return others[0].id if others else ""


def input_of(task: Resource, code: str) -> str:
    """The string input of a type of the project's own."""
    return next((str(each.get("valueString", "")) for each in task.get("input", []) if code_of(each) == code), "")


def output_of(task: Resource, code: str, value: str) -> str:
    """An output of a type of the project's own."""
    return next((str(each.get(value, "")) for each in task.get("output", []) if code_of(each) == code), "")


def code_of(parameter: Resource) -> str:
    """The code of a Task input or output."""
    return str((parameter.get("type", {}).get("coding") or [{}])[0].get("code", ""))


def is_retrieval(task: Resource) -> bool:
    """Whether a Task fetches a study."""
    return code_in(task.get("code"), TASK_CODES) == "imaging-retrieval"


def issuers(tenants: Iterable[Tenant], patient: Resource, comparison: Mapping[str, Any]) -> dict[str, str]:
    """Who issues record numbers, by the names that a comparison uses: archives, hospitals, what the record says."""
    hospitals = {each.patient_identifier_system: each.title for each in tenants if each.patient_identifier_system}
    said = {
        str(each.get("system", "")): str(each["assigner"]["display"])
        for each in patient.get("identifier", [])
        if each.get("assigner", {}).get("display")
    }
    known = said | hospitals
    titles = {system.removeprefix("urn:oid:"): title for system, title in known.items()}
    titles |= {name: known[system] for name, system in comparison.get("domains", {}).items() if system in known}
    return titles | {str(name): str(title) for name, title in comparison.get("issuers", {}).items()}
