"""A case as one read gives it: its Task, the ServiceRequest it fulfils, the patient."""

from dataclasses import dataclass

from smart_app.fhir import FhirClient, Resource


@dataclass(frozen=True, slots=True)
class Case:
    """The three resources that every page of a case opens with."""

    task: Resource
    request: Resource
    patient: Resource

    @property
    def id(self) -> str:
        """The Task's id: how addresses name the case."""
        return str(self.task["id"])

    @property
    def state(self) -> str:
        """The businessStatus code: where the case is."""
        return str(self.task.get("businessStatus", {}).get("coding", [{}])[0].get("code", ""))

    @property
    def question(self) -> str:
        """The question in the asker's words."""
        notes = [note["text"] for note in self.request.get("note", []) if note.get("text")]
        reasons = [reason["text"] for reason in self.request.get("reasonCode", []) if reason.get("text")]
        return str(next(iter([*notes, *reasons]), "No question was written."))

    @property
    def number(self) -> str:
        """The case number people say on the phone."""
        identifiers = [*self.request.get("identifier", []), *self.task.get("identifier", [])]
        return str(next((each["value"] for each in identifiers if each.get("value")), self.task["id"]))[:24]

    @property
    def owner(self) -> str:
        """`Practitioner/x` who has the case, else empty."""
        return str(self.task.get("owner", {}).get("reference", ""))


async def load(fhir: FhirClient, task_id: str) -> Case:
    """Read a case.  Raises NotFound where the reader may not see it."""
    task = await fhir.read(f"Task/{task_id}")
    request = await fhir.read(task["focus"]["reference"])
    patient = await fhir.read(task["for"]["reference"])
    return Case(task, request, patient)
