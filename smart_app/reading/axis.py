"""The whole course of the disease in one small drawing: a lane for each kind, years as ticks.  Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from smart_app.reading.timeline import KINDS, Entry

WIDTH, LANE, LEFT = 300.0, 13.0, 6.0
LONGEST_YEARS = 6


@dataclass(frozen=True, slots=True)
class Mark:
    """One entry: where it stands, which line it jumps to."""

    across: float
    down: float
    kind: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Axis:
    """The drawing.  What is older than the span stands at its left edge; `older` says how many."""

    height: float
    marks: Sequence[Mark]
    ticks: Sequence[tuple[float, str]]
    lanes: Sequence[float]
    older: int = 0


def axis(entries: Sequence[Entry]) -> Axis | None:
    """Place the dated entries; None with fewer than three, which need no map."""
    dated = [(_day(entry.date), entry) for entry in entries if len(entry.date) >= 4]
    if len(dated) < 3:
        return None
    last = max(day for day, _ in dated)
    first = max(min(day for day, _ in dated), last - LONGEST_YEARS * 366)
    span = max(last - first, 60)
    kinds = [kind for kind in KINDS if any(entry.kind == kind for _, entry in dated)]

    def across(day: int) -> float:
        return round(LEFT + (max(day, first) - first) / span * (WIDTH - 2 * LEFT), 1)

    marks = [
        Mark(across(day), LANE * (0.5 + kinds.index(entry.kind)), entry.kind, entry.anchor)
        for day, entry in reversed(dated)
    ]
    years = range(date.fromordinal(first).year, date.fromordinal(last).year + 1)
    ticks = [(across(start), str(year)) for year in years if first <= (start := date(year, 1, 1).toordinal()) <= last]
    lanes = [LANE * (0.5 + place) for place in range(len(kinds))]
    return Axis(LANE * len(kinds) + 14, marks, ticks, lanes, sum(day < first for day, _ in dated))


def _day(value: str) -> int:
    parts = [int(part) for part in value[:10].split("-")]
    year, month, day = (*parts, 7, 1)[:3] if len(parts) == 1 else (*parts, 1)[:3]
    return date(year, month, day).toordinal()
