"""The codes and identifiers of a case that the gateway reads and writes, and small accessors for Tasks."""

import uuid
from typing import Any

from dicom_gateway.publish.fhir import Resource

CANONICAL = "https://konsil.example/fhir"
SYSTEM_UID = "urn:dicom:uid"
TASK_CODE = f"{CANONICAL}/CodeSystem/task-code"
BUSINESS_STATUS = f"{CANONICAL}/CodeSystem/business-status"
TASK_INPUT = f"{CANONICAL}/CodeSystem/task-input"
TASK_OUTPUT = f"{CANONICAL}/CodeSystem/task-output"
LABEL = f"{CANONICAL}/CodeSystem/label"
IDENTIFIER = f"{CANONICAL}/identifier"
QUARANTINED = {"system": LABEL, "code": "quarantined"}
GATHERING = ("submitted", "awaiting-records", "reconciling")
ENDED = frozenset({"completed", "failed", "cancelled", "rejected", "entered-in-error"})


def coded(system: str, code: str) -> Resource:
    """A CodeableConcept of one code."""
    return {"coding": [{"system": system, "code": code}]}


def has_code(concept: Resource | None, system: str, code: str) -> bool:
    """Whether a CodeableConcept holds a code."""
    return any(item.get("system") == system and item.get("code") == code for item in (concept or {}).get("coding", []))


def is_case(task: Resource) -> bool:
    """Whether a Task is a case itself."""
    return has_code(task.get("code"), "http://hl7.org/fhir/CodeSystem/task-code", "fulfill")


def is_task(task: Resource, code: str) -> bool:
    """Whether a Task is of one of our kinds."""
    return has_code(task.get("code"), TASK_CODE, code)


def values(items: list[Resource], system: str, code: str) -> list[Any]:
    """The values of the inputs or outputs of one type, whatever their FHIR type."""
    found = [item for item in items if has_code(item.get("type"), system, code)]
    return [value for item in found for key, value in item.items() if key.startswith("value")]


def input_of(task: Resource, code: str) -> Any:
    """The first input of a kind, None when there is none."""
    return next(iter(values(task.get("input", []), TASK_INPUT, code)), None)


def output_of(task: Resource, code: str) -> Any:
    """The first output of a kind, None when there is none."""
    return next(iter(values(task.get("output", []), TASK_OUTPUT, code)), None)


def output(code: str, **value: Any) -> Resource:
    """A Task output, its value given as `valueInteger=3` and the like."""
    return {"type": coded(TASK_OUTPUT, code), **value}


def reference_of(item: Resource | None) -> str:
    """The reference of a Reference as `Type/id`, empty when it has none."""
    return str((item or {}).get("reference", ""))


def case_of(task: Resource) -> str:
    """The case that a child Task is part of."""
    return next((reference_of(item) for item in task.get("partOf", [])), "")


def business_status(task: Resource) -> str:
    """The business status of a case Task."""
    codings = task.get("businessStatus", {}).get("coding", [])
    return next((str(item.get("code")) for item in codings if item.get("system") == BUSINESS_STATUS), "")


def with_business_status(task: Resource, code: str) -> Resource:
    """The case with another business status."""
    return {**task, "businessStatus": coded(BUSINESS_STATUS, code)}


def is_quarantined(resource: Resource) -> bool:
    """Whether a resource waits for HIM staff."""
    return any(
        item.get("system") == LABEL and item.get("code") == "quarantined"
        for item in resource.get("meta", {}).get("security", [])
    )


def study_identifier(study_instance_uid: str) -> Resource:
    """The identifier of an ImagingStudy.  imagingstudy.html#notes"""
    return {"system": SYSTEM_UID, "value": f"urn:oid:{study_instance_uid}"}


def fresh_id(*parts: str) -> str:
    """A UUID that depends on the parts alone: a repeated transaction names the same things alike."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "|".join((CANONICAL, *parts))))
