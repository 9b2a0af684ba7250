"""Codes that the charts use, by a short name.  Only codes found in the published terminologies."""

from dataclasses import dataclass
from typing import Any

Resource = dict[str, Any]

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
UCUM = "http://unitsofmeasure.org"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"


@dataclass(frozen=True)
class Test:
    """One laboratory test: LOINC code, name, unit, reference range (None: open)."""

    code: str
    name: str
    unit: str
    low: float | None
    high: float | None


TESTS = {
    "hb": Test("718-7", "Hemoglobin", "g/dL", 12.0, 16.0),
    "wbc": Test("6690-2", "Leukocytes", "10*3/uL", 4.0, 11.0),
    "plt": Test("777-3", "Platelets", "10*3/uL", 150, 400),
    "crea": Test("2160-0", "Creatinine", "mg/dL", 0.6, 1.2),
    "na": Test("2951-2", "Sodium", "mmol/L", 135, 145),
    "k": Test("2823-3", "Potassium", "mmol/L", 3.5, 5.1),
    "glu": Test("2345-7", "Glucose", "mg/dL", 70, 99),
    "alt": Test("1742-6", "Alanine aminotransferase", "U/L", 7, 40),
    "ast": Test("1920-8", "Aspartate aminotransferase", "U/L", 8, 40),
    "alb": Test("1751-7", "Albumin", "g/dL", 3.5, 5.0),
    "ca": Test("17861-6", "Calcium", "mg/dL", 8.6, 10.3),
    "crp": Test("1988-5", "C-reactive protein", "mg/L", None, 5.0),
    "cea": Test("2039-6", "Carcinoembryonic antigen", "ng/mL", None, 5.0),
    "ldh": Test("2532-0", "Lactate dehydrogenase", "U/L", 120, 246),
    "bnp": Test("33762-6", "NT-proBNP", "pg/mL", None, 300),
    "a1c": Test("4548-4", "Hemoglobin A1c", "%", 4.0, 5.6),
    "inr": Test("6301-6", "INR", "{INR}", 0.9, 1.2),
    "tsh": Test("3016-3", "Thyrotropin", "m[IU]/L", 0.4, 4.5),
}

DOCUMENT_TYPES = {
    "referral": ("57133-1", "Referral note"),
    "progress": ("11506-3", "Progress note"),
    "history": ("34117-2", "History and physical note"),
    "pathology": ("11526-1", "Pathology study"),
    "discharge": ("18842-5", "Discharge summary"),
    "procedure": ("28570-0", "Procedure note"),
    "consult": ("11488-4", "Consult note"),
    "summary": ("34133-9", "Summary of episode note"),
}


def coding(system: str, code: str, display: str) -> Resource:
    """A Coding."""
    return {"system": system, "code": code, "display": display}


def concept(system: str, code: str, display: str, text: str | None = None) -> Resource:
    """A CodeableConcept of one coding, its text the display unless another is given."""
    return {"coding": [coding(system, code, display)], "text": text or display}


def category(system: str, code: str, display: str) -> list[Resource]:
    """A category of an HL7 terminology code system."""
    return [{"coding": [coding(f"{TERMINOLOGY}/{system}", code, display)], "text": display}]
