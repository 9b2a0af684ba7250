"""Codes of the case: the project's own code systems, and the published codes that the case model names."""

from typing import Any

CANONICAL = "https://konsil.example/fhir"
CASE_IDENTIFIER = f"{CANONICAL}/identifier/case"
WRITEBACK_IDENTIFIER = f"{CANONICAL}/identifier/writeback"
HL7_TASK_CODE = "http://hl7.org/fhir/CodeSystem/task-code"
CASE_TASK = {"system": HL7_TASK_CODE, "code": "fulfill"}
QUARANTINED = {"system": f"{CANONICAL}/CodeSystem/label", "code": "quarantined"}

PRODUCTS = {
    "quick-read": "Quick read",
    "written-opinion": "Written opinion",
    "imaging-reread": "Imaging re-read",
    "pathology-reread": "Pathology re-read",
    "tumour-board": "Tumour-board opinion",
}
REASONS = {
    "major-surgery": "Major surgery is proposed",
    "serious-drug": "Drug with serious side effects",
    "not-improving": "Not improving under treatment",
    "rare-complex": "Rare or complex condition",
    "diagnosis-uncertain": "Diagnosis uncertain",
    "patient-wish": "The patient wishes it",
}
URGENCIES = {"routine": "Routine", "urgent": "Urgent", "asap": "As soon as possible"}

PATIENT_REFERRAL = {"system": "http://snomed.info/sct", "code": "3457005", "display": "Patient referral"}
EVALUATION_CATEGORY = {"system": "http://snomed.info/sct", "code": "386053000", "display": "Evaluation procedure"}
SECOND_OPINION = {
    "system": "http://terminology.hl7.org/CodeSystem/v2-0336",
    "code": "S",
    "display": "Second Opinion",
}
RELEASE_OF_INFORMATION = {
    "system": "http://loinc.org",
    "code": "64292-6",
    "display": "Release of information consent Document",
}
FILLER = {"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "FILL", "display": "Filler Identifier"}


def own_code(system: str, code: str, display: str = "") -> dict[str, Any]:
    """A CodeableConcept of one of the project's code systems."""
    coding = {"system": f"{CANONICAL}/CodeSystem/{system}", "code": code}
    return {"coding": [{**coding, "display": display} if display else coding]}


def own_system(name: str) -> str:
    """The address of one of the project's code systems."""
    return f"{CANONICAL}/CodeSystem/{name}"
