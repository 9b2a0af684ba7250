"""Building a chart: one method for each kind of entry, ids made from the patient and a short name."""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from deploy.sandbox.charts.catalogue import (
    DOCUMENT_TYPES,
    ICD10,
    ICD10_NAMES,
    LOINC,
    RXNORM,
    SNOMED,
    TERMINOLOGY,
    TESTS,
    UCUM,
    Resource,
    category,
    coding,
    concept,
)
from deploy.sandbox.charts.letter import Letter, as_pdf
from deploy.sandbox.hospitals import Hospital

WRITTEN = {
    "10*3/uL": "10³/µL", "{INR}": "INR", "m[IU]/L": "mIU/L", "[IU]/mL": "IU/mL", "[arb'U]/mL": "U/mL", "ug/mL": "µg/mL",
    "mL/min/{1.73_m2}": "mL/min/1.73 m²", "mm[Hg]": "mmHg", "kg/m2": "kg/m²",
    "Cel": "°C",
}  # fmt: skip
"""UCUM codes that people write in another way."""


@dataclass(frozen=True)
class Person:
    """A clinician as charts refer to them."""

    id: str
    name: str

    @property
    def reference(self) -> Resource:
        """A Reference with the name to show."""
        return {"reference": f"Practitioner/{self.id}", "display": self.name}


@dataclass
class Chart:
    """The resources of one patient, in the order in which they were added."""

    key: str
    author: Person
    organization: Resource
    resources: list[Resource] = field(default_factory=list)

    @property
    def subject(self) -> Resource:
        """The reference to the patient."""
        return {"reference": f"Patient/{self.key}"}

    def add(self, resource_type: str, name: str, content: Resource) -> Resource:
        """Add a resource; its id is the patient's and `name`.  Returns a reference to it."""
        identity = self.key if resource_type == "Patient" else f"{self.key}-{name}"
        self.resources.append({"resourceType": resource_type, "id": identity, **content})
        return {"reference": f"{resource_type}/{identity}"}

    def problem(self, name: str, text: str, codes: tuple[str, str, str], onset: str, resolved: str = "") -> Resource:
        """A problem; `codes` are the SNOMED CT code, its display and the ICD-10-CM code, empty where none is known."""
        snomed, display, icd10 = codes
        status = "resolved" if resolved else "active"
        known = [coding(SNOMED, snomed, display)] if snomed else []
        known += [coding(ICD10, icd10, ICD10_NAMES[icd10])] if icd10 else []
        content = {
            "clinicalStatus": {"coding": [{"system": f"{TERMINOLOGY}/condition-clinical", "code": status}]},
            "verificationStatus": {"coding": [{"system": f"{TERMINOLOGY}/condition-ver-status", "code": "confirmed"}]},
            "category": category("condition-category", "problem-list-item", "Problem List Item"),
            "code": {"coding": known, "text": text} if known else {"text": text},
            "subject": self.subject,
            "onsetDateTime": onset,
            "recordedDate": onset,
            "recorder": self.author.reference,
        }
        return self.add("Condition", f"problem-{name}", content | ({"abatementDateTime": resolved} if resolved else {}))

    def suspected(self, name: str, text: str, codes: tuple[str, str, str], onset: str) -> Resource:
        """A problem that is not proven."""
        made = self.problem(name, text, codes, onset)
        status = {"system": f"{TERMINOLOGY}/condition-ver-status", "code": "provisional"}
        self.resources[-1]["verificationStatus"] = {"coding": [status]}
        return made

    def medicine(self, ingredient: tuple[str, str], text: str, dosage: str, since: str, status: str = "active") -> None:
        """A prescription: RxNorm ingredient (code, empty if not known, and name), product in words, dosage in words."""
        rxnorm, name = ingredient
        content = {
            "status": status,
            "intent": "order",
            "category": category("medicationrequest-category", "community", "Community"),
            "medicationCodeableConcept": concept(RXNORM, rxnorm, name, text) if rxnorm else {"text": text},
            "subject": self.subject,
            "authoredOn": since,
            "requester": self.author.reference,
            "dosageInstruction": [{"text": dosage}],
        }
        self.add("MedicationRequest", f"med-{name}-{since}", content)

    def allergy(self, name: str, code: Resource, reaction: Resource, severity: str, criticality: str) -> None:
        """An allergy with its reaction; severity mild, moderate or severe."""
        content = {
            "clinicalStatus": {"coding": [{"system": f"{TERMINOLOGY}/allergyintolerance-clinical", "code": "active"}]},
            "verificationStatus": {
                "coding": [{"system": f"{TERMINOLOGY}/allergyintolerance-verification", "code": "confirmed"}]
            },
            "type": "allergy",
            "criticality": criticality,
            "code": code,
            "patient": self.subject,
            "recordedDate": "2024-02-12",
            "reaction": [{"manifestation": [reaction], "severity": severity}],
        }
        self.add("AllergyIntolerance", f"allergy-{name}", content)

    def labs(self, dates: Sequence[str], values: Mapping[str, Sequence[float]], name: str = "panel") -> None:
        """A panel a date: for each test its values in the order of the dates."""
        for index, date in enumerate(dates):
            results = [self.lab(test, date, series[index]) for test, series in values.items()]
            content = {
                "status": "final",
                "category": category("v2-0074", "LAB", "Laboratory"),
                "code": {"text": "Laboratory panel"},
                "subject": self.subject,
                "effectiveDateTime": f"{date}T07:40:00-05:00",
                "issued": f"{date}T13:05:00-05:00",
                "performer": [self.organization],
                "result": results,
            }
            self.add("DiagnosticReport", f"{name}-{date}", content)

    def lab(self, test: str, date: str, value: float) -> Resource:
        """One laboratory value with its flag."""
        known = TESTS[test]
        flag = "H" if known.high is not None and value > known.high else ""
        flag = flag or ("L" if known.low is not None and value < known.low else "N")
        quantity = {"unit": WRITTEN.get(known.unit, known.unit), "system": UCUM, "code": known.unit}
        bounds = {"low": known.low, "high": known.high}
        limits = {name: {"value": bound, **quantity} for name, bound in bounds.items() if bound is not None}
        content: Resource = {
            "status": "final",
            "category": category("observation-category", "laboratory", "Laboratory"),
            "code": concept(LOINC, known.code, known.name),
            "subject": self.subject,
            "effectiveDateTime": f"{date}T07:40:00-05:00",
            "issued": f"{date}T13:05:00-05:00",
            "valueQuantity": {"value": value, **quantity},
            "interpretation": [{"coding": [{"system": f"{TERMINOLOGY}/v3-ObservationInterpretation", "code": flag}]}],
            "referenceRange": [limits],
        }
        return self.add("Observation", f"lab-{test}-{date}", content)

    def vitals(self, date: str, pressure: tuple[int, int], rest: dict[str, float]) -> None:
        """Vital signs of a visit: blood pressure, and any of pulse, weight, height, saturation."""
        when = f"{date}T09:10:00-05:00"
        vital: Resource = {
            "status": "final",
            "category": category("observation-category", "vital-signs", "Vital Signs"),
        }
        vital |= {"subject": self.subject, "effectiveDateTime": when}
        mmhg = {"unit": "mmHg", "system": UCUM, "code": "mm[Hg]"}
        parts = [("8480-6", "Systolic blood pressure"), ("8462-4", "Diastolic blood pressure")]
        components = [
            {"code": concept(LOINC, code, name), "valueQuantity": {"value": value, **mmhg}}
            for (code, name), value in zip(parts, pressure, strict=True)
        ]
        code = {"code": concept(LOINC, "85354-9", "Blood pressure")}
        self.add("Observation", f"bp-{date}", vital | code | {"component": components})
        for name, value in rest.items():
            loinc, display, unit = VITALS[name]
            quantity = {"value": value, "unit": WRITTEN.get(unit, unit), "system": UCUM, "code": unit}
            content = vital | {"code": concept(LOINC, loinc, display, SAID.get(name)), "valueQuantity": quantity}
            self.add("Observation", f"{name}-{date}", content)

    def smoking(self, snomed: str, display: str, date: str) -> None:
        """Smoking status.  US Core"""
        content = {
            "status": "final",
            "category": category("observation-category", "social-history", "Social History"),
            "code": concept(LOINC, "72166-2", "Tobacco smoking status"),
            "subject": self.subject,
            "effectiveDateTime": date,
            "valueCodeableConcept": concept(SNOMED, snomed, display),
        }
        self.add("Observation", "smoking", content)

    def visit(self, date: str, kind: str, reason: str) -> Resource:
        """An outpatient visit."""
        content = {
            "status": "finished",
            "class": {"system": f"{TERMINOLOGY}/v3-ActCode", "code": "AMB", "display": "ambulatory"},
            "type": [{"text": kind}],
            "subject": self.subject,
            "participant": [{"individual": self.author.reference}],
            "period": {"start": f"{date}T09:00:00-05:00", "end": f"{date}T09:40:00-05:00"},
            "reasonCode": [{"text": reason}],
            "serviceProvider": self.organization,
        }
        return self.add("Encounter", f"visit-{date}", content)

    def procedure(self, name: str, code: Resource, date: str, note: str) -> Resource:
        """A completed procedure."""
        content = {
            "status": "completed",
            "code": code,
            "subject": self.subject,
            "performedDateTime": date,
            "performer": [{"actor": self.author.reference}],
            "note": [{"text": note}],
        }
        return self.add("Procedure", f"procedure-{name}", content)

    def imaging_report(self, name: str, code: Resource, date: str, reader: str, text: str) -> Resource:
        """A radiology report: the text in `presentedForm`, its last paragraph as the conclusion."""
        content = {
            "status": "final",
            "category": category("v2-0074", "RAD", "Radiology"),
            "code": code,
            "subject": self.subject,
            "effectiveDateTime": f"{date}T10:30:00-05:00",
            "issued": f"{date}T15:20:00-05:00",
            "performer": [{"display": reader}],
            "conclusion": flowed(text).rsplit("IMPRESSION:", maxsplit=1)[-1].strip(),
            "presentedForm": [attachment("text/plain", flowed(text).encode(), "Report")],
        }
        return self.add("DiagnosticReport", f"report-{name}", content)

    def document(self, kind: str, title: str, date: str, content_type: str, data: bytes) -> Resource:
        """A note or a PDF, inline."""
        code, display = DOCUMENT_TYPES[kind]
        system = "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category"
        content = {
            "status": "current",
            "docStatus": "final",
            "type": concept(LOINC, code, display),
            "category": [{"coding": [{"system": system, "code": "clinical-note", "display": "Clinical Note"}]}],
            "subject": self.subject,
            "date": f"{date}T16:00:00-05:00",
            "author": [self.author.reference],
            "custodian": self.organization,
            "description": title,
            "content": [{"attachment": attachment(content_type, data, title)}],
            "context": {"period": {"start": f"{date}T09:00:00-05:00", "end": f"{date}T09:40:00-05:00"}},
        }
        return self.add("DocumentReference", f"{kind}-{date}", content)

    def note(self, kind: str, title: str, date: str, text: str) -> Resource:
        """A note in words."""
        return self.document(kind, title, date, "text/plain", flowed(text).encode())

    def paper(self, kind: str, title: str, date: str, letter: Letter) -> Resource:
        """A letter or report as PDF."""
        return self.document(kind, title, date, "application/pdf", as_pdf(letter))


VITALS = {
    "pulse": ("8867-4", "Heart rate", "/min"),
    "weight": ("29463-7", "Body weight", "kg"),
    "height": ("8302-2", "Body height", "cm"),
    "bmi": ("39156-5", "Body mass index", "kg/m2"),
    "saturation": ("59408-5", "Oxygen saturation by pulse oximetry", "%"),
    "temperature": ("8310-5", "Body temperature", "Cel"),
    "breathing": ("9279-1", "Respiratory rate", "/min"),
    "bmi-percentile": ("59576-9", "Body mass index (BMI) [Percentile] Per age and sex", "%"),
}
SAID = {"saturation": "Oxygen saturation", "bmi-percentile": "BMI percentile for age"}
"""Vital signs that people call by a shorter name."""
HEADED = re.compile(r"([SOAP]|[A-Z]{4,}): ")


def flowed(text: str) -> str:
    """A text written in lines of a file as lines of a note: a new one after a blank line or at a heading."""
    lines: list[str] = []
    for line in text.strip().splitlines():
        if lines and lines[-1] and line and not HEADED.match(line):
            lines[-1] += f" {line}"
        else:
            lines.append(line)
    return "\n".join(lines)


def attachment(content_type: str, data: bytes, title: str) -> Resource:
    """An Attachment with its data inline."""
    return {"contentType": content_type, "data": base64.b64encode(data).decode(), "title": title, "size": len(data)}


def organization(hospital: Hospital) -> Resource:
    """The reference to a hospital's Organization."""
    return {"reference": hospital.organization, "display": hospital.title}
