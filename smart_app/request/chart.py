"""The chart as read from the hospital's record at launch: items to pick from, the sensible ones ticked.

What is ticked and why is decided here, from the resources alone; the physician sees the reason and changes it.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from smart_app.errors import AppError
from smart_app.fhir import FhirClient, Resource
from smart_app.words import concept, counted

RECENT_DAYS = 400
NOTE_WORDS = (
    "consult",
    "discharge",
    "operative",
    "oncology",
    "pathology",
    "surg",
    "tumor",
    "tumour",
    "imaging",
    "radiol",
)


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the chart: what it is, when, and whether it is ticked before anybody looked (and why)."""

    reference: str
    group: str
    title: str
    date: str = ""
    detail: str = ""
    ticked: bool = False
    why: str = ""


@dataclass(frozen=True)
class Chart:
    """Resources by type, sentences on what could not be read, names of the parts that are not there at all."""

    resources: dict[str, list[Resource]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    def of(self, resource_type: str) -> list[Resource]:
        """All resources of one type."""
        return self.resources.get(resource_type, [])

    def find(self, reference: str) -> Resource | None:
        """The resource that a relative reference names, if the chart holds it."""
        resource_type, _, identity = reference.partition("/")
        return next((each for each in self.of(resource_type) if each.get("id") == identity), None)


QUERIES: dict[str, tuple[str, dict[str, str]]] = {
    "Condition": ("problems", {}),
    "MedicationRequest": ("medicines", {}),
    "AllergyIntolerance": ("allergies", {}),
    "Observation": ("laboratory values", {"category": "laboratory"}),
    "Observation/vitals": ("vital signs", {"category": "vital-signs"}),
    "DiagnosticReport": ("reports", {}),
    "DocumentReference": ("documents", {}),
    "Procedure": ("procedures", {}),
    "Encounter": ("visits", {}),
}


async def read_chart(ehr: FhirClient, patient: str, before: Chart | None = None) -> Chart:
    """Read all parts side by side.

    A part that fails is named in `missing`, the others are kept; what was read of it `before` stays in its place.
    """
    results = await asyncio.gather(*(_part(ehr, patient, name) for name in QUERIES))
    chart, failed, kept = Chart(), list[Failed](), list[Failed]()
    for name, found in zip(QUERIES, results, strict=True):
        known = found if isinstance(found, list) else _known(before, name)
        chart.resources.setdefault(name.partition("/")[0], []).extend(known or [])
        if isinstance(found, AppError):
            (failed if known is None else kept).append((QUERIES[name][0], found))
            chart.unread.extend([name] if known is None else [])
    chart.missing.extend(_said(failed, "could not be read"))
    chart.missing.extend(_said(kept, "could not be read again; what was read before is kept"))
    return chart


Failed = tuple[str, AppError]


async def _part(ehr: FhirClient, patient: str, name: str) -> list[Resource] | AppError:
    resource_type, parameters = name.partition("/")[0], QUERIES[name][1]
    try:
        found = await ehr.search(resource_type, {"patient": patient, **parameters}, most=300)
    except AppError as error:
        return error
    return found.matches


def _known(before: Chart | None, name: str) -> list[Resource] | None:
    """What an earlier reading gave for a part; None when that failed too."""
    if before is None or name in before.unread:
        return None
    resource_type, parameters = name.partition("/")[0], QUERIES[name][1]
    category = parameters.get("category")
    return [each for each in before.of(resource_type) if category is None or _has_category(each, category)]


def _said(failed: list[Failed], what: str) -> list[str]:
    """A sentence for each reason: which parts, why, what to do."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for title, error in failed:
        reasons.setdefault((error.sentence, error.remedy), []).append(title)
    return [
        f"{listed(titles).capitalize()} {what}. {' '.join(filter(None, reason))}" for reason, titles in reasons.items()
    ]


def listed(titles: Sequence[str]) -> str:
    """Things in a sentence: `problems, reports and visits`."""
    return " and ".join(filter(None, (", ".join(titles[:-1]), titles[-1])))


def items(chart: Chart, today: date) -> list[Item]:
    """Everything to pick from, by group, newest first within it."""
    made: list[Item] = []
    for resource_type, group, to_item in READERS:
        entries = [to_item(each, today) for each in chart.of(resource_type) if not _withdrawn(each)]
        made.extend(_newest_first(_within(group, entries)))
    return _one_of_a_kind(made)


def _condition(resource: Resource, _: date) -> Item:
    active = _code(resource.get("clinicalStatus")) in ("active", "recurrence", "relapse", "")
    return Item(
        _reference(resource),
        "problems",
        concept(resource.get("code")) or "Problem without a name",
        resource.get("onsetDateTime") or resource.get("recordedDate") or "",
        "" if active else "resolved",
        active,
        "active problem" if active else "",
    )


def _medication(resource: Resource, _: date) -> Item:
    active = resource.get("status") == "active"
    dosage = next((each["text"] for each in resource.get("dosageInstruction", []) if each.get("text")), "")
    name = concept(resource.get("medicationCodeableConcept"))
    name = name or resource.get("medicationReference", {}).get("display") or "Medicine without a name"
    stopped = "" if active else resource.get("status", "")
    why = "current medicine" if active else ""
    detail = "; ".join(part for part in (dosage, stopped) if part)
    return Item(_reference(resource), "medicines", name, resource.get("authoredOn", ""), detail, active, why)


def _allergy(resource: Resource, _: date) -> Item:
    reactions = [concept(sign) for each in resource.get("reaction", []) for sign in each.get("manifestation", [])]
    detail = ", ".join(filter(None, reactions))
    title = concept(resource.get("code")) or "Allergy without a name"
    return Item(_reference(resource), "allergies", title, resource.get("recordedDate", ""), detail, True, "safety")


def _observation(resource: Resource, today: date) -> Item:
    group = "vitals" if _has_category(resource, "vital-signs") else "labs"
    flag = next((_code(each) for each in resource.get("interpretation", []) if _code(each) not in ("", "N")), "")
    moment = _effective(resource)
    recent = _recent(moment, today, 180)
    why = "" if not recent else f"outside the reference range ({flag})" if flag else "latest value"
    title, detail = concept(resource.get("code")), value_of(resource)
    return Item(_reference(resource), group, title, moment, detail, recent and group == "labs", why)


def _report(resource: Resource, today: date) -> Item:
    moment = _effective(resource) or resource.get("issued", "")
    recent = _recent(moment, today, RECENT_DAYS)
    kind = ", ".join(filter(None, (concept(each) for each in resource.get("category", []))))
    values = len(resource.get("result", []))
    detail = ", ".join(filter(None, (kind, counted(values, "value") if values else "")))
    title = concept(resource.get("code")) or "Report"
    return Item(_reference(resource), "reports", title, moment, detail, recent, "recent report" if recent else "")


def _document(resource: Resource, today: date) -> Item:
    title = concept(resource.get("type")) or resource.get("description") or "Document"
    moment = resource.get("date") or resource.get("context", {}).get("period", {}).get("start", "")
    telling = any(word in f"{title} {resource.get('description', '')}".lower() for word in NOTE_WORDS)
    ticked = telling and _recent(moment, today, RECENT_DAYS)
    author = next((each["display"] for each in resource.get("author", []) if each.get("display")), "")
    return Item(_reference(resource), "documents", title, moment, author, ticked, "recent note" if ticked else "")


def _procedure(resource: Resource, today: date) -> Item:
    moment = resource.get("performedDateTime") or resource.get("performedPeriod", {}).get("start", "")
    recent = _recent(moment, today, 3 * 365)
    title = concept(resource.get("code")) or "Procedure"
    return Item(_reference(resource), "procedures", title, moment, "", recent, "last three years" if recent else "")


READERS: Sequence[tuple[str, str, Callable[[Resource, date], Item]]] = (
    ("Condition", "problems", _condition),
    ("MedicationRequest", "medicines", _medication),
    ("AllergyIntolerance", "allergies", _allergy),
    ("Procedure", "procedures", _procedure),
    ("DiagnosticReport", "reports", _report),
    ("Observation", "labs", _observation),
    ("Observation", "vitals", _observation),
    ("DocumentReference", "documents", _document),
)

GROUP_TITLES = {
    "problems": "Problems",
    "medicines": "Medicines",
    "allergies": "Allergies",
    "procedures": "Procedures",
    "reports": "Reports",
    "labs": "Laboratory",
    "vitals": "Vital signs",
    "documents": "Documents",
}


def value_of(resource: Resource) -> str:
    """An Observation's value in words, components joined."""
    if components := resource.get("component"):
        return ", ".join(f"{concept(each.get('code'))} {value_of(each)}" for each in components)
    if quantity := resource.get("valueQuantity"):
        return f"{quantity.get('value', '')} {quantity.get('unit', '')}".strip()
    if "valueCodeableConcept" in resource:
        return concept(resource["valueCodeableConcept"])
    return str(resource.get("valueString", ""))


def _one_of_a_kind(made: Iterable[Item]) -> list[Item]:
    """Of laboratory values and reports with the same name leave the newest ticked, and abnormal values besides."""
    seen: set[str] = set()
    kept = []
    for item in made:
        if item.group in ("labs", "reports") and item.ticked and "range" not in item.why:
            if item.title in seen:
                item = Item(item.reference, item.group, item.title, item.date, item.detail)
            seen.add(item.title)
        kept.append(item)
    return kept


def _within(group: str, entries: Iterable[Item]) -> list[Item]:
    return [item for item in entries if item.group == group]


def _newest_first(entries: list[Item]) -> list[Item]:
    return sorted(entries, key=lambda item: (not item.ticked, _backwards(item.date), item.title))


def _backwards(moment: str) -> tuple[int, ...]:
    return tuple(-ord(letter) for letter in moment) or (1,)


def _withdrawn(resource: Resource) -> bool:
    wrong = {"entered-in-error", "refuted"}
    return resource.get("status") in wrong or _code(resource.get("verificationStatus")) in wrong


def _recent(moment: str, today: date, days: int) -> bool:
    return bool(moment) and moment[:10] >= (today - timedelta(days=days)).isoformat()


def _effective(resource: Resource) -> str:
    period = resource.get("effectivePeriod", {})
    return str(resource.get("effectiveDateTime") or period.get("end") or period.get("start") or "")


def _has_category(resource: Resource, code: str) -> bool:
    return any(coding.get("code") == code for each in resource.get("category", []) for coding in each.get("coding", []))


def _code(value: Any) -> str:
    return next((str(coding.get("code", "")) for coding in (value or {}).get("coding", [])), "")


def _reference(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource['id']}"
