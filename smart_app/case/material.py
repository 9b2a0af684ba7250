"""What a case rests on: the records its request named and those gathered later, numbered as they are cited."""

import asyncio
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from smart_app.fhir import FhirClient, Found, Resource
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
PAPER = frozenset({"DOC", "SR", "KO", "PR"})
STUDY_UID = "urn:dicom:uid"
AT_A_TIME = 50
ALONE: Mapping[str, str] = MappingProxyType({})


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
    def is_paper(self) -> bool:
        """Whether a study holds documents and reports alone, such as an encapsulated PDF, and no picture."""
        kinds = {each.get("modality", {}).get("code") for each in self.resource.get("series", [])}
        return bool(kinds) and kinds <= PAPER

    @property
    def is_document(self) -> bool:
        """Whether there is more to read than its line: shown in the reading pane."""
        return self.resource_type in {"DiagnosticReport", "DocumentReference"}


async def of(
    fhir: FhirClient, task: Resource, service_request: Resource, kinds: Container[str] = KINDS
) -> list[Record]:
    """The records of a case that the reader may see, in the order in which they were named; of some kinds alone.

    `supportingInfo` and `reasonReference` of the request first, then `Task.input`; each once.  What the server does not
    show leaves no gap in the list, but keeps its number, so that citations mean the same for all readers.
    """
    named = references(task, service_request)
    return numbered(named, await read_all(fhir, of_kinds(named, kinds)))


async def with_results(
    fhir: FhirClient, task: Resource, service_request: Resource
) -> tuple[list[Record], dict[str, Resource]]:
    """The records, and by reference the Observations that the reports among them consist of, in the same answers."""
    named = references(task, service_request)
    found = await search_all(fhir, of_kinds(named, KINDS), {"DiagnosticReport": "DiagnosticReport:result"})
    results = {name: each for name, each in by_reference(found.included).items() if name not in named}
    return numbered(named, by_reference(found.matches)), results


def of_kinds(named: Sequence[str], kinds: Container[str]) -> list[str]:
    """Those of the references that lead to these types."""
    return [each for each in named if each.partition("/")[0] in kinds]


def numbered(named: Sequence[str], found: Mapping[str, Resource]) -> list[Record]:
    """Resources as records, in the order of what was named and with its numbers."""
    return [Record(number, name, found[name]) for number, name in enumerate(named, start=1) if name in found]


def by_reference(resources: Sequence[Resource]) -> dict[str, Resource]:
    """Resources by their relative reference."""
    return {f"{each['resourceType']}/{each['id']}": each for each in resources}


async def read_all(fhir: FhirClient, named: Sequence[str]) -> dict[str, Resource]:
    """Resources by reference, as far as the reader may see them."""
    return by_reference((await search_all(fhir, named)).matches)


async def search_all(
    fhir: FhirClient, named: Sequence[str], include: Mapping[str, str] = MappingProxyType({})
) -> Found:
    """Named resources by one search for each type, in bunches; `include` is what comes along with a type."""
    by_type: dict[str, list[str]] = {}
    for reference in dict.fromkeys(named):
        resource_type, _, identity = reference.partition("/")
        by_type.setdefault(resource_type, []).append(identity)
    bunches = [
        (kind, ids[at : at + AT_A_TIME]) for kind, ids in by_type.items() for at in range(0, len(ids), AT_A_TIME)
    ]
    along = {kind: {"_include": parameter} for kind, parameter in include.items()}
    asked = (fhir.search(kind, {"_id": ",".join(ids), **along.get(kind, {})}) for kind, ids in bunches)
    answers = await asyncio.gather(*asked)
    return Found(
        [each for answer in answers for each in answer.matches],
        [each for answer in answers for each in answer.included],
    )


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
