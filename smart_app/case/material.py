"""What a case rests on: the records its request named and those gathered later, numbered as they are cited."""

import asyncio
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
AT_A_TIME = 50


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
    named = [each for each in references(task, service_request) if each.partition("/")[0] in KINDS]
    found = await read_all(fhir, named)
    places = enumerate(references(task, service_request), start=1)
    return [Record(number, name, found[name]) for number, name in places if name in found]


async def results(fhir: FhirClient, records: Sequence[Record]) -> dict[str, Resource]:
    """The Observations that the reports among the records consist of, by reference."""
    named = [one.get("reference", "") for each in records for one in each.resource.get("result", [])]
    known = {each.reference for each in records}
    return await read_all(fhir, [name for name in named if name.startswith("Observation/") and name not in known])


async def read_all(fhir: FhirClient, named: Sequence[str]) -> dict[str, Resource]:
    """Resources by reference, as far as the reader may see them: one search for each type, in bunches."""
    by_type: dict[str, list[str]] = {}
    for reference in dict.fromkeys(named):
        resource_type, _, identity = reference.partition("/")
        by_type.setdefault(resource_type, []).append(identity)
    bunches = [
        (kind, ids[at : at + AT_A_TIME]) for kind, ids in by_type.items() for at in range(0, len(ids), AT_A_TIME)
    ]
    answers = await asyncio.gather(*(fhir.search(kind, {"_id": ",".join(ids)}) for kind, ids in bunches))
    return {f"{each['resourceType']}/{each['id']}": each for answer in answers for each in answer.matches}


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
