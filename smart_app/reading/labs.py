"""Laboratory values as a reader wants them: by day, by test, with the reference range and the course.  Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from smart_app.fhir import Resource
from smart_app.words import concept

FLAGS = {"H": "high", "HH": "very high", "L": "low", "LL": "very low", "A": "abnormal", "AA": "very abnormal"}
WIDTH, HEIGHT, MARGIN = 64.0, 18.0, 3.0


@dataclass(frozen=True, slots=True)
class Value:
    """One result.  `flag` is HL7's letter when it lies outside its range, else empty; `number` None for words."""

    reference: str
    test: str
    shown: str
    unit: str
    flag: str
    day: str
    number: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def words(self) -> str:
        """`high`, `low`; empty inside the range."""
        return FLAGS.get(self.flag, "abnormal" if self.flag else "")

    @property
    def range(self) -> str:
        """`12 to 16`, `up to 5`, `from 60`; empty without a range."""
        if self.low is not None and self.high is not None:
            return f"{self.low:g} to {self.high:g}"
        if self.high is not None:
            return f"up to {self.high:g}"
        return f"from {self.low:g}" if self.low is not None else ""


@dataclass(frozen=True, slots=True)
class Trend:
    """A course as a line in a box of WIDTH by HEIGHT: points for a polyline, the range as a band, the last point."""

    points: str
    band: tuple[float, float] | None
    last: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Course:
    """One test over time, oldest first."""

    test: str
    unit: str
    range: str
    values: Sequence[Value]
    trend: Trend | None

    @property
    def latest(self) -> Value:
        """The newest value."""
        return self.values[-1]

    def on(self, day: str) -> Value | None:
        """The value of a day, the last of several."""
        return next((each for each in reversed(self.values) if each.day == day), None)


def is_laboratory(resource: Resource) -> bool:
    """Whether an Observation is a laboratory value, by its category."""
    categories = resource.get("category", []) if resource.get("resourceType") == "Observation" else []
    return any(coding.get("code") == "laboratory" for each in categories for coding in each.get("coding", []))


def value_of(resource: Resource) -> Value:
    """An Observation as a Value."""
    quantity = resource.get("valueQuantity", {})
    limits: Resource = next(iter(resource.get("referenceRange", [])), {})
    words = resource.get("valueString") or concept(resource.get("valueCodeableConcept"))
    return Value(
        reference=f"Observation/{resource['id']}",
        test=concept(resource.get("code")) or "Test without a name",
        shown=f"{quantity['value']:g}" if "value" in quantity else str(words or "no value"),
        unit=str(quantity.get("unit", "")),
        flag=_flag(resource),
        day=str(resource.get("effectiveDateTime") or resource.get("issued", ""))[:10],
        number=_number(quantity),
        low=_number(limits.get("low")),
        high=_number(limits.get("high")),
    )


def courses(values: Iterable[Value]) -> list[Course]:
    """Values by test, those last outside their range first, then by name; each test oldest first."""
    by_test: dict[str, list[Value]] = {}
    for each in sorted(values, key=lambda one: one.day):
        by_test.setdefault(each.test, []).append(each)
    made = [_course(test, several) for test, several in by_test.items()]
    return sorted(made, key=lambda course: (not course.latest.flag, course.test.lower()))


def trend(values: Sequence[Value]) -> Trend | None:
    """The line through the numbers, on a true axis of days.  None with fewer than two."""
    points = [(_ordinal(each.day), each.number) for each in values if each.number is not None and len(each.day) == 10]
    if len(points) < 2 or points[0][0] == points[-1][0]:
        return None
    low, high = values[-1].low, values[-1].high
    bounds = [number for _, number in points] + [bound for bound in (low, high) if bound is not None]
    bottom, top = min(bounds), max(bounds)
    first, days, spread = points[0][0], points[-1][0] - points[0][0], (top - bottom) or 1.0

    def y(number: float) -> float:
        return round(HEIGHT - MARGIN - (number - bottom) / spread * (HEIGHT - 2 * MARGIN), 1)

    placed = [(round(MARGIN + (day - first) / days * (WIDTH - 2 * MARGIN), 1), y(number)) for day, number in points]
    upper = y(high) if high is not None else 0.0
    lower = y(low) if low is not None else HEIGHT
    band = None if low is None and high is None else (upper, round(lower - upper, 1))
    return Trend(" ".join(f"{across:g},{down:g}" for across, down in placed), band, placed[-1])


def _course(test: str, values: list[Value]) -> Course:
    return Course(test, values[-1].unit, values[-1].range, values, trend(values))


def _flag(resource: Resource) -> str:
    codes = [str(each.get("code", "")) for one in resource.get("interpretation", []) for each in one.get("coding", [])]
    return next((code for code in codes if code and code != "N"), "")


def _number(quantity: Any) -> float | None:
    value = (quantity or {}).get("value")
    return float(value) if value is not None else None


def _ordinal(day: str) -> int:
    return date.fromisoformat(day).toordinal()
