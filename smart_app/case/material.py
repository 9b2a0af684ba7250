"""What a case rests on: the records its request named and those gathered later, numbered as they are cited."""

from collections.abc import Sequence
from dataclasses import dataclass

from smart_app.fhir import FhirClient, Resource
from smart_app.words import concept

KINDS = {
    "ImagingStudy": "Imaging",
    "DiagnosticReport": "Report",
    "DocumentReference": "Document",
    "Observation": "Result",
    "Condition": "Condition",
    "MedicationRequest": "Medication",
    "AllergyIntolerance": "Allergy",
    "Procedure": "Procedure",
    "Encounter": "Visit",
}
ICONS = {
    "ImagingStudy": "scan",
    "DiagnosticReport": "report-medical",
    "DocumentReference": "file-text",
    "Observation": "flask",
    "Condition": "stethoscope",
    "MedicationRequest": "pill",
    "AllergyIntolerance": "alert-triangle",
    "Procedure": "medical-cross",
    "Encounter": "building-hospital",
}
STUDY_UID = "urn:dicom:uid"


@dataclass(frozen=True, slots=True)
class Record:
    """One piece of the case.  `number` is how a report cites it, from 1, the same for everybody."""

    number: int
    reference: str
    resource: Resource

    @property
    def resource_type(self) -> str:
        """Its FHIR type."""
        return str(self.resource["resourceType"])

    @property
    def kind(self) -> str:
        """Its kind in one word."""
        return KINDS.get(self.resource_type, self.resource_type)

    @property
    def icon(self) -> str:
        """The name of its picture."""
        return ICONS.get(self.resource_type, "file-text")

    @property
    def title(self) -> str:
        """What people call it."""
        return title_of(self.resource)

    @property
    def date(self) -> str:
        """When it happened, as FHIR writes it; empty when nothing says."""
        return date_of(self.resource)

    @property
    def study_instance_uid(self) -> str:
        """The DICOM UID of an imaging study, else empty."""
        found = (each["value"] for each in self.resource.get("identifier", []) if each.get("system") == STUDY_UID)
        return str(next(found, "")).removeprefix("urn:oid:")

    @property
    def is_document(self) -> bool:
        """Whether there is more to read than its line: shown in the reading pane."""
        return self.resource_type in {"DiagnosticReport", "DocumentReference"}


async def of(fhir: FhirClient, task: Resource, service_request: Resource) -> list[Record]:
    """The records of a case that the reader may see, in the order in which they were named.

    `supportingInfo` and `reasonReference` of the request first, then `Task.input`; each once.  What the server does not
    show leaves no gap in the list, but keeps its number, so that citations mean the same for all readers.
    """
    records = []
    for number, reference in enumerate(references(task, service_request), start=1):
        resource = await fhir.find(reference)
        if resource is not None and resource["resourceType"] in KINDS:
            records.append(Record(number, reference, resource))
    return records


def references(task: Resource, service_request: Resource) -> list[str]:
    """Relative references that the case names, each once."""
    named = [*service_request.get("supportingInfo", []), *service_request.get("reasonReference", [])]
    named += [each["valueReference"] for each in task.get("input", []) if "valueReference" in each]
    return list(dict.fromkeys(each["reference"] for each in named if "reference" in each))


def title_of(resource: Resource) -> str:
    """A record in a few words: what it is, and a result with its value."""
    if resource["resourceType"] == "ImagingStudy":
        return study_title(
            [each.get("code", "") for each in resource.get("modality", [])], resource.get("description", "")
        )
    if resource["resourceType"] == "DocumentReference":
        return str(resource.get("description") or concept(resource.get("type")) or "Document")
    if resource["resourceType"] == "MedicationRequest":
        return concept(resource.get("medicationCodeableConcept")) or "Medication"
    name = concept(resource.get("code")) or concept((resource.get("type") or [None])[0]) or resource["resourceType"]
    return f"{name}: {value}" if (value := value_of(resource)) else str(name)


def study_title(modalities: Sequence[str], description: str) -> str:
    """`CT Thorax`; a modality that the description opens with is not said twice."""
    named = description.split()[:1]
    kinds = [each for each in modalities if each and each not in named]
    return " ".join([*kinds, description]).strip() or "Imaging study"


def value_of(resource: Resource) -> str:
    """An Observation's value with its unit, else empty."""
    if quantity := resource.get("valueQuantity"):
        return f"{quantity.get('value', '')} {quantity.get('unit', '')}".strip()
    return str(resource.get("valueString") or concept(resource.get("valueCodeableConcept")))


def date_of(resource: Resource) -> str:
    """The date a reader would sort it by."""
    for name in ("effectiveDateTime", "started", "date", "authoredOn", "performedDateTime", "onsetDateTime", "issued"):
        if value := resource.get(name):
            return str(value)
    periods = (resource.get("performedPeriod"), resource.get("period"), resource.get("effectivePeriod"))
    return next(
        (str(each["start"]) for each in periods if each and "start" in each), str(resource.get("recordedDate", ""))
    )
