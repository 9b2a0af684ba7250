"""The records of a case on one axis of time: by year and month, the laboratory of a day folded into one line.  Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from smart_app.case.material import Record
from smart_app.fhir import Resource
from smart_app.reading import labs
from smart_app.reading.labs import Course, Value
from smart_app.request.chart import value_of
from smart_app.words import MONTHS, concept, counted

KINDS = {
    "imaging": "Imaging",
    "report": "Reports",
    "labs": "Laboratory",
    "document": "Notes",
    "history": "History",
}
KIND_OF = {"ImagingStudy": "imaging", "DiagnosticReport": "report", "DocumentReference": "document"}
NAMED_VALUES = 4


@dataclass(frozen=True, slots=True)
class Entry:
    """One line.  `cite` are the references that citing it names; `study` is a Study Instance UID; `opens` a path."""

    anchor: str
    kind: str
    icon: str
    title: str
    detail: str
    date: str
    cite: str
    opens: str = ""
    study: str = ""
    values: Sequence[Value] = ()
    is_paper: bool = False

    @property
    def day(self) -> str:
        """`03` of a full date, else empty."""
        return str(int(self.date[8:10])) if len(self.date) >= 10 else ""


@dataclass(frozen=True, slots=True)
class Month:
    """The entries of a month, newest first; no title when only the year is known."""

    title: str
    entries: Sequence[Entry]


@dataclass(frozen=True, slots=True)
class Year:
    """A year; empty for what has no date."""

    title: str
    months: Sequence[Month]


@dataclass(frozen=True)
class Timeline:
    """Everything of a case in its order, newest first, and the courses of its laboratory values."""

    entries: Sequence[Entry]
    courses: Mapping[str, Course] = field(default_factory=dict)

    @property
    def years(self) -> list[Year]:
        """The entries by year and month."""
        found = groupby(self.entries, key=lambda entry: entry.date[:4])
        return [Year(year, _months(list(several))) for year, several in found]

    @property
    def kinds(self) -> list[tuple[str, str, int]]:
        """Kinds that occur: key, title, how many."""
        counts = {kind: sum(entry.kind == kind for entry in self.entries) for kind in KINDS}
        return [(kind, KINDS[kind], count) for kind, count in counts.items() if count]

    @property
    def studies(self) -> list[Entry]:
        """Imaging, newest first."""
        return [entry for entry in self.entries if entry.study]


def timeline(records: Sequence[Record], results: Mapping[str, Resource]) -> Timeline:
    """Place records on the axis.  `results` are the Observations that reports among the records consist of."""
    found = [each.resource for each in records if labs.is_laboratory(each.resource)]
    found += [each for each in results.values() if labs.is_laboratory(each)]
    values = {each.reference: each for each in map(labs.value_of, found)}
    panels = {each.reference: _in_panel(each.resource, values) for each in records if _in_panel(each.resource, values)}
    rest = [each for each in records if each.reference not in values and each.reference not in panels]
    vitals = [each for each in rest if is_vital(each.resource)]
    lines = [_entry(each) for each in rest if each not in vitals] + _lab_lines(values, panels) + _vital_lines(vitals)
    ordered = sorted(lines, key=lambda entry: (entry.date[:10], entry.kind == "imaging", entry.title), reverse=True)
    numbered = [_anchored(entry, place) for place, entry in enumerate(ordered)]
    return Timeline(numbered, {course.test: course for course in labs.courses(values.values())})


def _anchored(entry: Entry, place: int) -> Entry:
    return replace(entry, anchor=f"e{place}")


def _entry(record: Record) -> Entry:
    kind = KIND_OF.get(record.resource_type, "history")
    opens = f"records/{record.reference}" if record.is_document or kind == "history" else ""
    return Entry(
        "", kind, record.icon, record.title, _detail(record), record.date, record.reference, opens,
        record.study_instance_uid, is_paper=record.is_paper,
    )  # fmt: skip


def _detail(record: Record) -> str:
    resource = record.resource
    if record.resource_type == "ImagingStudy":
        series, images = resource.get("numberOfSeries"), resource.get("numberOfInstances")
        parts = [f"{series} series" if series else "", counted(images, "image") if images else ""]
        return ", ".join(part for part in parts if part)
    if record.resource_type == "DiagnosticReport":
        performers = [each.get("display", "") for each in resource.get("performer", [])]
        return next((each for each in performers if each), "")
    if record.resource_type == "DocumentReference":
        return next((each["display"] for each in resource.get("author", []) if each.get("display")), "")
    status = concept(resource.get("clinicalStatus")) or str(resource.get("status", ""))
    return f"{record.kind}, {status}" if status and status not in ("active", "completed", "final") else record.kind


def _in_panel(resource: Resource, values: Mapping[str, Value]) -> list[Value]:
    """The laboratory values of a report that consists of them; empty for any other report."""
    if resource["resourceType"] != "DiagnosticReport" or resource.get("presentedForm") or resource.get("conclusion"):
        return []
    named = [each.get("reference", "") for each in resource.get("result", [])]
    return [values[name] for name in named if name in values]


def _lab_lines(values: Mapping[str, Value], panels: Mapping[str, list[Value]]) -> list[Entry]:
    """One line a day.  Citing it names the day's panel if there is one, else values outside their range, else all."""
    days: dict[str, list[Value]] = {}
    for value in values.values():
        days.setdefault(value.day, []).append(value)
    return [_lab_line(day, several, panels) for day, several in days.items()]


def is_vital(resource: Resource) -> bool:
    """Whether an Observation is a vital sign, by its category."""
    categories = resource.get("category", []) if resource.get("resourceType") == "Observation" else []
    return any(coding.get("code") == "vital-signs" for each in categories for coding in each.get("coding", []))


def _vital_lines(vitals: Sequence[Record]) -> list[Entry]:
    """One line a day, all values in it."""
    days: dict[str, list[Record]] = {}
    for each in vitals:
        days.setdefault(each.date[:10], []).append(each)
    return [_vital_line(day, several) for day, several in days.items()]


def _vital_line(day: str, several: Sequence[Record]) -> Entry:
    values = [f"{concept(each.resource.get('code'))} {_measured(each.resource)}" for each in several]
    cite = " ".join(each.reference for each in several)
    return Entry("", "history", "heartbeat", "Vital signs", ", ".join(values), day, cite, f"vitals?day={day}")


def _measured(resource: Resource) -> str:
    """A value, that of a pressure as people write it: `142/86 mmHg`."""
    parts = [each.get("valueQuantity", {}) for each in resource.get("component", [])]
    if not parts:
        return value_of(resource)
    return f"{'/'.join(str(part.get('value', '?')) for part in parts)} {parts[0].get('unit', '')}".strip()


def _lab_line(day: str, values: list[Value], panels: Mapping[str, list[Value]]) -> Entry:
    outside = sorted((each for each in values if each.flag), key=_distance, reverse=True)
    of_day = [name for name, several in panels.items() if any(each.day == day for each in several)]
    cite = of_day or [each.reference for each in outside or values]
    more = f", {len(outside)} outside the range" if outside else ", all within the range"
    title = f"Laboratory, {counted(len(values), 'value')}"
    detail = more.removeprefix(", ")
    return Entry("", "labs", "flask", title, detail, day, " ".join(cite), f"labs?day={day}", "", outside[:NAMED_VALUES])


def _distance(value: Value) -> float:
    """How far outside its range a value lies, in widths of the nearer bound."""
    if value.number is None:
        return 0.0
    for bound in (value.high, value.low):
        if bound and ((bound == value.high) == (value.number > bound)):
            return abs(value.number - bound) / abs(bound)
    return 0.0


def _months(entries: list[Entry]) -> list[Month]:
    found = groupby(entries, key=lambda entry: entry.date[5:7])
    return [Month(MONTHS[int(month) - 1] if month else "", list(several)) for month, several in found]
