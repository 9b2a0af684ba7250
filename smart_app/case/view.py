"""A case with everything a page shows of it, read with the viewer's own token."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from smart_app.case.codes import CASE_IDENTIFIER, own_system
from smart_app.case.material import by_reference
from smart_app.case.retrieval import Retrieval, retrieval_of
from smart_app.case.states import state_code
from smart_app.errors import NotFound
from smart_app.fhir import FhirClient, Found, Resource
from smart_app.words import code_in, concept, person_name


@dataclass(frozen=True)
class Case:
    """The Task, its ServiceRequest, the patient, the children, the names of the people in it."""

    task: Resource
    request: Resource
    patient: Resource
    children: list[Resource] = field(default_factory=list)
    people: Mapping[str, Resource] = field(default_factory=dict)
    withheld: str = ""

    @property
    def id(self) -> str:
        """The Task's id, which is the case's in addresses."""
        return str(self.task["id"])

    @property
    def reference(self) -> str:
        """`Task/x`."""
        return f"Task/{self.id}"

    @property
    def state(self) -> str:
        """The businessStatus."""
        return state_code(self.task)

    @property
    def number(self) -> str:
        """The number that people read out."""
        identifiers = [*self.task.get("identifier", []), *self.request.get("identifier", [])]
        return next((each["value"] for each in identifiers if each.get("system") == CASE_IDENTIFIER), "")

    @property
    def question(self) -> str:
        """The question, in the asker's words."""
        notes = self.request.get("note", [])
        return str(self.task.get("description") or (notes[0]["text"] if notes else ""))

    @property
    def story(self) -> str:
        """What the asker told besides."""
        return "\n\n".join(note["text"] for note in self.request.get("note", [])[1:])

    @property
    def diagnosis(self) -> str:
        """The diagnosis in question, in words."""
        second = [each for each in self.request.get("reasonCode", []) if code_in(each, V2_0336) == "S"]
        return str(second[0].get("text", "")) if second else ""

    @property
    def reason(self) -> str:
        """Why a second opinion is asked for, in words."""
        own = [each for each in self.request.get("reasonCode", []) if code_in(each, own_system("reason"))]
        return concept(own[0]) if own else ""

    @property
    def product(self) -> str:
        """What was asked for, in words."""
        codings = self.request.get("code", {}).get("coding", [])
        return next((each.get("display", "") for each in codings if each.get("system") == own_system("product")), "")

    @property
    def specialty(self) -> str:
        """The specialty that is asked, in words."""
        return concept(self.request.get("performerType") or next(iter(self.task.get("performerType", [])), None))

    @property
    def promised(self) -> str:
        """The day the answer is promised for."""
        return str(self.task.get("restriction", {}).get("period", {}).get("end", ""))

    @property
    def owner(self) -> str:
        """`Practitioner/x` who answers; empty until the case is offered."""
        return str(self.task.get("owner", {}).get("reference", ""))

    @property
    def requester(self) -> str:
        """`Practitioner/x` who asks."""
        return str(self.task.get("requester", {}).get("reference", ""))

    @property
    def report(self) -> str:
        """`DiagnosticReport/x` once it is signed."""
        outputs = self.task.get("output", [])
        reports = [each for each in outputs if code_in(each.get("type"), own_system("task-output")) == "report"]
        return str(reports[-1].get("valueReference", {}).get("reference", "")) if reports else ""

    def name_of(self, reference: str) -> str:
        """A person's name."""
        return person_name(self.people[reference]) if reference in self.people else "somebody"

    def retrievals(self) -> list[Retrieval]:
        """The studies being fetched, in the order in which they were asked for."""
        return [retrieval_of(each) for each in self.children if child_code(each) == "imaging-retrieval"]

    def reconciliations(self) -> list[Resource]:
        """The Tasks in which HIM staff compare outside material with the patient."""
        return [each for each in self.children if child_code(each) == "reconciliation"]

    def acknowledgements(self) -> list[Resource]:
        """The Tasks that ask to confirm that an amended report was read."""
        return [each for each in self.children if child_code(each) == "acknowledgement"]

    @property
    def asked(self) -> str:
        """What the consultant wants to know, while the case waits for the answer."""
        reason = self.task.get("statusReason", {}).get("text", "")
        return str(reason) if self.state == "info-requested" else ""

    @property
    def standing(self) -> str:
        """State and owner in one word: what a form was made for, so that a late click is noticed."""
        return f"{self.state} {self.owner}".strip()


NAMED = ("Task:requester", "Task:owner")
V2_0336 = "http://terminology.hl7.org/CodeSystem/v2-0336"


def child_code(task: Mapping[str, Any]) -> str:
    """What kind of child a Task is."""
    return code_in(task.get("code"), own_system("task-code")) or ""


async def load_case(fhir: FhirClient, case_id: str) -> Case:
    """Read a case with what it names and its children in one answer; only authors of notes may take a second one.

    Raises NotFound when the viewer may not see it, as when there is none.
    """
    wanted = {"_id": case_id, "_include": [*NAMED, "Task:focus", "Task:patient"], "_revinclude": "Task:part-of"}
    found = await fhir.search("Task", wanted)
    if not found.matches:
        raise NotFound("The record does not exist, or is not yours to see.")
    task, known = found.matches[0], by_reference(found.included)
    people = {name: known[name] for name in named_in(task) if name in known}
    people |= await people_of(fhir, named_in(task) - people.keys())
    children = in_order([each for each in found.included if each["resourceType"] == "Task"])
    request, patient = (known.get(_reference(task, name), {}) for name in ("focus", "for"))
    return Case(task, request, patient, children, people, found.withheld)


def named_in(task: Resource) -> set[str]:
    """References of the people whom a case names: who asks, who answers, who moved it."""
    authors = {_reference(each, "authorReference") for each in task.get("note", [])}
    return ({_reference(task, "requester"), _reference(task, "owner"), *authors}) - {""}


async def people_of(fhir: FhirClient, names: set[str]) -> dict[str, Resource]:
    """The Practitioners among references, in one answer."""
    ids = sorted(name.removeprefix("Practitioner/") for name in names if name.startswith("Practitioner/"))
    found = await fhir.search("Practitioner", {"_id": ",".join(ids)}) if ids else Found()
    return {f"Practitioner/{each['id']}": each for each in found.matches}


async def children_of(fhir: FhirClient, case_id: str) -> list[Resource]:
    """The child Tasks of a case that the viewer may see, oldest first."""
    found = await fhir.search("Task", {"part-of": f"Task/{case_id}"}, most=200)
    return in_order(found.matches)


def in_order(tasks: Iterable[Resource]) -> list[Resource]:
    """Tasks, oldest first."""
    return sorted(tasks, key=lambda each: (each.get("authoredOn", ""), each["id"]))


async def load_cases(fhir: FhirClient, criteria: Mapping[str, str], most: int = 100) -> list[Case]:
    """Cases by search, with requests, patients and people in the same few answers; newest change first."""
    parameters = {
        "code": "http://hl7.org/fhir/CodeSystem/task-code|fulfill",
        "_include": ["Task:focus", "Task:patient", *NAMED],
        "_sort": "-_lastUpdated",
        **criteria,
    }
    found = await fhir.search("Task", parameters, most)
    known = by_reference(found.included)
    return [
        Case(
            task,
            known.get(_reference(task, "focus"), {}),
            known.get(_reference(task, "for"), {}),
            [],
            {name: known[name] for name in (_reference(task, "requester"), _reference(task, "owner")) if name in known},
        )
        for task in found.matches
    ]


def _reference(task: Mapping[str, Any], element: str) -> str:
    return str(task.get(element, {}).get("reference", ""))
