"""A patient's chart as the screens need it: everything read once, sorted, labs as trends."""

import base64
from dataclasses import dataclass
from typing import Any

from deploy.sandbox.charts.catalogue import Resource
from deploy.sandbox.ehr import words
from deploy.sandbox.ehr.tenant import Tenant
from fhir_server.store.auth_values import Account

PARTS = (
    "Condition",
    "MedicationRequest",
    "AllergyIntolerance",
    "Observation",
    "DiagnosticReport",
    "DocumentReference",
    "Procedure",
    "Encounter",
    "Coverage",
)
WIDTH, HEIGHT, MARGIN = 180.0, 34.0, 4.0
WRITE_BACK = "/identifier/writeback"


@dataclass(frozen=True)
class Trend:
    """One laboratory test over time; points are coordinates of the sparkline, the last value stands beside it."""

    name: str
    unit: str
    low: Any
    high: Any
    values: list[tuple[str, float, str]]

    @property
    def decimals(self) -> int:
        """How many decimals the laboratory gives."""
        return max(len(f"{value:g}".partition(".")[2]) for _, value, _ in self.values)

    @property
    def last(self) -> tuple[str, float, str]:
        """Date, value and flag of the newest value."""
        return self.values[-1]

    def on(self, day: str) -> tuple[str, float, str] | None:
        """The value of a day, the last one if there were several."""
        return next((each for each in reversed(self.values) if each[0][:10] == day), None)

    def scale(self) -> tuple[float, float]:
        """Lowest and highest number to be drawn."""
        drawn = [value for _, value, _ in self.values] + [float(str(each)) for each in (self.low, self.high) if each]
        return min(drawn), max(drawn)

    def y(self, value: float) -> float:
        """The height of a value in the sparkline."""
        bottom, top = self.scale()
        return HEIGHT - MARGIN - (value - bottom) / ((top - bottom) or 1) * (HEIGHT - 2 * MARGIN)

    @property
    def points(self) -> list[tuple[float, float]]:
        """Where the values lie."""
        step = (WIDTH - 2 * MARGIN) / max(1, len(self.values) - 1)
        return [(round(MARGIN + i * step, 1), round(self.y(value), 1)) for i, (_, value, _) in enumerate(self.values)]

    @property
    def line(self) -> str:
        """The points as an SVG polyline."""
        return " ".join(f"{x},{y}" for x, y in self.points)

    @property
    def band(self) -> tuple[float, float]:
        """Top and height of the reference range."""
        top = self.y(float(str(self.high))) if self.high is not None else 0.0
        bottom = self.y(float(str(self.low))) if self.low is not None else HEIGHT
        return round(top, 1), round(bottom - top, 1)


@dataclass(frozen=True)
class Record:
    """Everything of one patient, newest first within each kind."""

    patient: Resource
    parts: dict[str, list[Resource]]

    @property
    def id(self) -> str:
        """The Patient's id."""
        return str(self.patient["id"])

    @property
    def problems(self) -> list[Resource]:
        """Active problems."""
        return [each for each in self.parts["Condition"] if status(each) == "active"]

    @property
    def past_problems(self) -> list[Resource]:
        """Resolved problems."""
        return [each for each in self.parts["Condition"] if status(each) != "active"]

    @property
    def medications(self) -> list[Resource]:
        """Active prescriptions."""
        return [each for each in self.parts["MedicationRequest"] if each["status"] == "active"]

    @property
    def past_medications(self) -> list[Resource]:
        """Ended prescriptions."""
        return [each for each in self.parts["MedicationRequest"] if each["status"] != "active"]

    @property
    def allergies(self) -> list[Resource]:
        """Allergies."""
        return self.parts["AllergyIntolerance"]

    @property
    def documents(self) -> list[Resource]:
        """Notes and documents that were not withdrawn."""
        return [each for each in self.parts["DocumentReference"] if each["status"] != "entered-in-error"]

    @property
    def imaging(self) -> list[tuple[Resource, str]]:
        """Radiology reports with their text."""
        reports = [each for each in self.parts["DiagnosticReport"] if has_category(each, "RAD")]
        return [(each, report_text(each)) for each in reports]

    @property
    def vitals(self) -> list[tuple[str, str, str]]:
        """The newest of each vital sign: name, value with unit, date."""
        newest: dict[str, tuple[str, str, str]] = {}
        for each in self.parts["Observation"]:
            if has_category(each, "vital-signs"):
                name = words.concept(each["code"])
                newest.setdefault(name, (name, measured(each), each["effectiveDateTime"]))
        return list(newest.values())

    @property
    def trends(self) -> list[Trend]:
        """Laboratory tests in the order in which the laboratory lists them."""
        tests: dict[str, list[Resource]] = {}
        for each in reversed(self.parts["Observation"]):
            if has_category(each, "laboratory") and "valueQuantity" in each:
                tests.setdefault(words.concept(each["code"]), []).append(each)
        return [trend(name, each) for name, each in sorted(tests.items())]

    @property
    def lab_days(self) -> list[str]:
        """The newest six days on which the laboratory measured, oldest first."""
        return sorted({when[:10] for each in self.trends for when, _, _ in each.values})[-6:]

    @property
    def findings(self) -> list[Resource]:
        """Results that are words and not numbers: pathology, microbiology, genetics, function tests."""
        told = [each for each in self.parts["Observation"] if "valueQuantity" not in each and "component" not in each]
        return [each for each in told if not has_category(each, "social-history")]

    @property
    def reports(self) -> list[tuple[Resource, str]]:
        """Reports of other departments with their text: pathology, cardiology, neurophysiology."""
        others = [each for each in self.parts["DiagnosticReport"] if not has_category(each, "RAD")]
        return [(each, text) for each in others if (text := report_text(each))]

    @property
    def care_team(self) -> list[tuple[str, str]]:
        """Who looks after the patient: the own physician, then whom the visits name."""
        team = {each.get("display", ""): "Primary" for each in self.patient.get("generalPractitioner", [])}
        for visit in self.parts["Encounter"]:
            for each in visit.get("participant", []):
                name = each.get("individual", {}).get("display", "")
                team.setdefault(name, words.concept(next(iter(visit.get("type", [])), {})))
        return [(name, what) for name, what in team.items() if name][:5]

    @property
    def opinions(self) -> list[Resource]:
        """What the second-opinion programme wrote back."""
        return [each for each in self.documents if is_opinion(each)]


async def read_record(tenant: Tenant, account: Account, patient: str) -> Record:
    """Read the chart as this physician.  Raises NotFound, Forbidden."""
    parts = {}
    for kind in PARTS:
        field = "beneficiary" if kind == "Coverage" else "patient"
        found = await tenant.search(account, kind, [(field, f"Patient/{patient}")])
        parts[kind] = sorted(found, key=moment, reverse=True)
    return Record(await tenant.read(account, "Patient", patient), parts)


def moment(resource: Resource) -> str:
    """When it happened, for sorting."""
    period = resource.get("period") or resource.get("performedPeriod") or {}
    names = ("effectiveDateTime", "date", "authoredOn", "onsetDateTime", "performedDateTime", "recordedDate")
    return str(next((resource[name] for name in names if name in resource), period.get("start", "")))


def status(condition: Resource) -> str:
    """The clinical status."""
    codings = condition.get("clinicalStatus", {}).get("coding", [{}])
    return str(codings[0].get("code", "active"))


def has_category(resource: Resource, code: str) -> bool:
    """Whether a category of that code is given."""
    return any(coding.get("code") == code for each in resource.get("category", []) for coding in each.get("coding", []))


def measured(observation: Resource) -> str:
    """A vital sign's value in words."""
    parts = [each["valueQuantity"] for each in observation.get("component", []) if "valueQuantity" in each]
    if parts:
        return f"{'/'.join(str(each['value']) for each in parts)} {parts[0].get('unit', '')}"
    quantity = observation.get("valueQuantity", {})
    return f"{quantity.get('value', '')} {quantity.get('unit', '')}".strip()


def report_text(report: Resource) -> str:
    """The report's own text, or its conclusion."""
    for form in report.get("presentedForm", []):
        if form.get("contentType", "").startswith("text/plain") and "data" in form:
            return base64.b64decode(form["data"]).decode(errors="replace")
    return str(report.get("conclusion", ""))


def trend(name: str, observations: list[Resource]) -> Trend:
    """A test's values, oldest first."""
    newest = observations[-1]
    limits: Resource = next(iter(newest.get("referenceRange", [])), {})
    values = [
        (each["effectiveDateTime"], float(str(each["valueQuantity"]["value"])), flag(each)) for each in observations
    ]
    low, high = (limits.get(side, {}).get("value") for side in ("low", "high"))
    return Trend(name, newest["valueQuantity"].get("unit", ""), low, high, values)


def flag(observation: Resource) -> str:
    """H, L or nothing."""
    codings = [coding for each in observation.get("interpretation", []) for coding in each.get("coding", [])]
    code = str(codings[0].get("code", "")) if codings else ""
    return "" if code == "N" else code


def is_opinion(document: Resource) -> bool:
    """Whether a document was written back by the second-opinion programme."""
    return any(str(each.get("system", "")).endswith(WRITE_BACK) for each in document.get("identifier", []))


def newest_of(documents: list[Resource]) -> list[Resource]:
    """Without what another of them replaces, or the hospital marked so.  documentreference.html#relatesTo"""
    related = (each for document in documents for each in document.get("relatesTo", []))
    replaced = {each["target"].get("reference") for each in related if each.get("code") == "replaces"}
    current = (each for each in documents if each.get("status") != "superseded")
    return [each for each in current if f"DocumentReference/{each['id']}" not in replaced]
