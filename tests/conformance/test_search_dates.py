"""Prefixes of dates with every precision on both sides, against a model that knows no database.

https://hl7.org/fhir/R4/search.html#prefix, https://hl7.org/fhir/R4/search.html#date
"""

import calendar
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conformance.chart import put
from tests.fhir_server.node import Server

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Span:
    """A date as it is written, its first moment and the first one after it."""

    text: str
    low: datetime
    high: datetime


FORMATS = ("%Y", "%Y-%m", "%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f")
ZONES = (timezone.utc, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-8)))  # noqa: UP017


def span(moment: datetime, precision: int, zone: timezone) -> Span:
    """The date of a moment with a precision; only with a time it has a zone."""
    zone = zone if precision > 2 else timezone(timedelta(0))
    here = moment.astimezone(zone)
    begin = [
        here.replace(month=1, day=1, hour=0, minute=0, second=0, microsecond=0),
        here.replace(day=1, hour=0, minute=0, second=0, microsecond=0),
        here.replace(hour=0, minute=0, second=0, microsecond=0),
        here.replace(second=0, microsecond=0),
        here.replace(microsecond=0),
        here.replace(microsecond=here.microsecond // 1000 * 1000),
    ][precision]
    days = [366 if calendar.isleap(here.year) else 365, calendar.monthrange(here.year, here.month)[1], 1]
    widths = [*(timedelta(days=n) for n in days), timedelta(minutes=1), timedelta(seconds=1), timedelta(milliseconds=1)]
    text = begin.strftime(FORMATS[precision])
    text = text[:-3] if precision == 5 else text
    offset = begin.strftime("%z")
    return Span(text + (f"{offset[:3]}:{offset[3:]}" if precision > 2 else ""), begin, begin + widths[precision])


# What R4 says of each prefix, of the search's range s and the resource's range r.
MODEL: dict[str, Callable[[Span, Span], bool]] = {
    "eq": lambda s, r: s.low <= r.low and r.high <= s.high,
    "ne": lambda s, r: not MODEL["eq"](s, r),
    "gt": lambda s, r: r.high > s.high,
    "lt": lambda s, r: r.low < s.low,
    "ge": lambda s, r: MODEL["gt"](s, r) or MODEL["eq"](s, r),
    "le": lambda s, r: MODEL["lt"](s, r) or MODEL["eq"](s, r),
    "sa": lambda s, r: r.low >= s.high,
    "eb": lambda s, r: r.high <= s.low,
}
MOMENTS = [
    datetime(2020, 2, 29, 23, 59, 59, 999_000, UTC),
    datetime(2020, 3, 1, tzinfo=UTC),
    datetime(2020, 12, 31, 20, 30, tzinfo=UTC),
    datetime(2021, 1, 1, 0, 0, 0, 1000, UTC),
]
EVER = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


def stored() -> dict[str, tuple[dict[str, Any], Span]]:
    """Observations with a date of each precision (minutes are for searches alone), and with periods, open ones too."""
    found: dict[str, tuple[dict[str, Any], Span]] = {}
    for n, moment in enumerate(MOMENTS):
        for precision in (0, 1, 2, 4, 5):
            date = span(moment, precision, ZONES[n % 3])
            found[f"d{n}{precision}"] = {"effectiveDateTime": date.text}, date
    first, last = span(MOMENTS[0], 2, ZONES[0]), span(MOMENTS[3], 4, ZONES[1])
    found["p0"] = {"effectivePeriod": {"start": first.text, "end": last.text}}, Span("", first.low, last.high)
    found["p1"] = {"effectivePeriod": {"start": last.text}}, Span("", last.low, EVER[1])
    found["p2"] = {"effectivePeriod": {"end": first.text}}, Span("", EVER[0], first.high)
    return found


STORED = stored()
SEARCHES = st.builds(
    span,
    st.one_of(
        st.sampled_from(MOMENTS),
        st.datetimes(datetime(2019, 12, 1), datetime(2021, 2, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    ),
    st.integers(0, 5),
    st.sampled_from(ZONES),
)


@pytest.fixture(scope="module")
async def dated(server: Server) -> Server:
    async with server.client() as client:
        code = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}
        await put(client, [code | {"id": id_} | date for id_, (date, _) in STORED.items()])
    return server


@pytest.mark.spec("R4 search.html#prefix")
@settings(deadline=None, max_examples=12, suppress_health_check=list(HealthCheck), database=None)
@given(search=SEARCHES)
async def test_every_prefix_finds_what_the_model_finds(dated: Server, search: Span) -> None:
    async with dated.client() as client:
        for prefix, holds in MODEL.items():
            expected = {id_ for id_, (_, resource) in STORED.items() if holds(search, resource)}
            assert await ids(client, f"{prefix}{search.text}") == expected, (prefix, search)


async def ids(client: httpx.AsyncClient, date: str) -> set[str]:
    answer = await client.get("/Observation", params={"date": date, "_elements": "id"})
    assert answer.status_code == 200, answer.text
    return {entry["resource"]["id"] for entry in answer.json().get("entry", [])}
