"""https://hl7.org/fhir/R4/search.html#ptypes"""

import httpx
import pytest

from tests.conformance.chart import UCUM, found

pytestmark = pytest.mark.anyio

DATE = {
    "2020-01-10": ["o1"],
    "2020-01": ["o1"],
    "2021": ["o2", "o3"],
    "2021-06": ["o2"],
    "2021-06-01T08:30:00Z": ["o2"],
    "2021-06-01T10:30:00%2B02:00": ["o2"],
    "2021-06-01T08:31:00Z": [],
    "2022-02-03": ["o4"],
    "gt2021-06-01": ["o3", "o4"],
    "ge2021-06-01": ["o2", "o3", "o4"],
    "lt2020-01-10": [],
    "le2020-01-10": ["o1"],
    "sa2021": ["o4"],
    "eb2021": ["o1"],
    "ne2021": ["o1", "o4"],
    "ap2020-01-11": ["o1"],
    "2020-01-10,2022-02-03": ["o1", "o4"],
    "ge2020-01-01&date=lt2021-01-01": ["o1"],
}


@pytest.mark.spec("R4 search.html#date")
@pytest.mark.parametrize("query", DATE)
async def test_date(chart: httpx.AsyncClient, query: str) -> None:
    assert sorted(await found(chart, f"Observation?date={query}")) == DATE[query]


@pytest.mark.spec("R4 search.html#date")
async def test_open_periods_and_birth_dates(chart: httpx.AsyncClient) -> None:
    assert await found(chart, "Condition?onset-date=gt2025") == ["c1"]
    assert await found(chart, "Condition?onset-date=lt2019") == []
    assert await found(chart, "Condition?onset-date=ge2026-03&onset-date=lt2026-04") == ["c1"]
    assert await found(chart, "Patient?birthdate=1982") == ["li"]
    assert await found(chart, "Patient?birthdate=1970-05-17") == ["anna"]
    assert await found(chart, "Patient?birthdate=ge1970&birthdate=lt1971") == ["anna"]
    assert await found(chart, "Patient?death-date=2020-03-01T09:00:00Z") == ["li"]
    assert await found(chart, "Task?due=lt2027&_id=t1") == ["t1"]


QUANTITY = {
    "13.5": ["o1"],
    "100": ["o3", "o4"],
    "100.0": ["o3"],
    "gt13.5": ["o3", "o4"],
    "ge13.5": ["o1", "o3", "o4"],
    "lt13.5": ["o2"],
    "ap95": ["o3", "o4"],
    f"13.5|{UCUM}|mg": ["o1"],
    f"13.5|{UCUM}|kg": [],
    "13.5||mg": ["o1"],
    "13.5||milligram": ["o1"],
    "100.4||pounds": ["o4"],
    f"gt1|{UCUM}|mg": ["o1", "o2", "o3"],
    "1.35e1": ["o1"],
}


@pytest.mark.spec("R4 search.html#quantity")
@pytest.mark.parametrize("query", QUANTITY)
async def test_quantity(chart: httpx.AsyncClient, query: str) -> None:
    assert sorted(await found(chart, f"Observation?value-quantity={query}")) == QUANTITY[query]


@pytest.mark.spec("R4 search.html#number")
@pytest.mark.parametrize(
    ("query", "hits"), [("0.25", ["r1"]), ("0.3", ["r1"]), ("0.30", []), ("gt0.2", ["r1"]), ("lt0.25", [])]
)
async def test_number(chart: httpx.AsyncClient, query: str, hits: list[str]) -> None:
    assert await found(chart, f"RiskAssessment?probability={query}") == hits
