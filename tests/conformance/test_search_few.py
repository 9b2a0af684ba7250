"""However many rows a range of dates, a patient or a code has, its pages are the same.

https://hl7.org/fhir/R4/search.html#prefix
"""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from fhir_server.store import few
from tests.conformance.chart import found, observation, put
from tests.fhir_server.node import Server, running

pytestmark = pytest.mark.anyio
CODES = ("718-7", "2160-0")
RANGE = "date=ge2019-01-01&date=lt2019-01-{:02d}"


def resources() -> list[dict[str, Any]]:
    """Ten days: two codes, of two patients by turns; what is older has the higher id."""
    patients = [{"resourceType": "Patient", "id": id_} for id_ in ("anna", "otto")]
    return patients + [
        observation(f"o{day:02d}", CODES[day % 2], f"2019-01-{11 - day:02d}", day, subject={"reference": reference})
        for day, reference in ((day, f"Patient/{('anna', 'otto')[day % 2]}") for day in range(1, 11))
    ]


@pytest.fixture(scope="module")
async def few_rows(module_database_url: str) -> AsyncIterator[Server]:
    """A server to which three rows are few, from before its first statement."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(few, "FEW", 3)
        async with running(module_database_url) as server:
            async with server.client() as client:
                await put(client, resources())
            yield server


@pytest.fixture
async def client(few_rows: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with few_rows.client() as client:
        yield client


async def pages(client: httpx.AsyncClient, search: str) -> list[str]:
    """Ids of all pages of two."""
    ids, url = [], f"/{search}&_count=2"
    while url:
        bundle = (await client.get(url)).json()
        ids += [entry["resource"]["id"] for entry in bundle.get("entry", [])]
        url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), "")
    return ids


@pytest.mark.spec("R4 search.html#prefix")
@pytest.mark.parametrize("days", [0, 1, 2, 3, 4, 10])
@pytest.mark.parametrize("sort", ["", "&_sort=date", "&_sort=-date", "&_sort=-code,_id"])
async def test_a_range_of_dates_has_its_pages(client: httpx.AsyncClient, days: int, sort: str) -> None:
    search = f"Observation?{RANGE.format(days + 1)}"
    expected = {f"o{11 - day:02d}" for day in range(1, days + 1)}
    ids = await pages(client, search + sort)
    assert len(ids) == len(set(ids))
    assert set(ids) == expected
    if sort == "&_sort=date":
        assert ids == sorted(expected, reverse=True)
    if sort == "&_sort=-date":
        assert ids == sorted(expected)
    assert (await client.get(f"/{search}&_summary=count")).json()["total"] == days


@pytest.mark.spec("R4 search.html#prefix")
@pytest.mark.parametrize("days", [2, 10])
async def test_a_range_with_other_conditions(client: httpx.AsyncClient, days: int) -> None:
    search = f"Observation?{RANGE.format(days + 1)}"
    even = [f"o{n:02d}" for n in range(2, 11, 2) if 11 - n <= days]
    for condition in (f"code={CODES[0]}", "patient=anna", "patient:Patient=anna", "subject=Patient/anna"):
        assert await pages(client, f"{search}&status=final&{condition}") == even
    assert await pages(client, f"{search}&status=amended") == []


@pytest.mark.spec("R4 search.html#quantity")
async def test_quantities_of_a_patient(client: httpx.AsyncClient) -> None:
    unit = "||mg"
    assert await pages(client, f"Observation?patient=anna&value-quantity=gt5{unit}") == ["o06", "o08", "o10"]
    assert await pages(client, "Observation?patient=otto&value-quantity=le5") == ["o01", "o03", "o05"]
    assert await pages(client, "Observation?patient=otto&value-quantity=ne5&value-quantity=gt3") == ["o07", "o09"]
    assert await pages(client, "Observation?patient=anna&value-quantity=gt5&code=none") == []


@pytest.mark.spec("R4 search.html#has")
async def test_has_names_each_once(client: httpx.AsyncClient) -> None:
    for condition, ids in {
        f"code={CODES[0]}": ["anna"],
        "status=final": ["anna", "otto"],
        "value-quantity=gt9": ["anna"],
        "date=ge2019-01-10": ["otto"],
        f"code-value-quantity={CODES[1]}$gt8": ["otto"],
        "code=none": [],
    }.items():
        assert await found(client, f"Patient?_has:Observation:patient:{condition}") == ids, condition
        count = await client.get(f"/Patient?_has:Observation:patient:{condition}&_summary=count")
        assert count.json()["total"] == len(ids)
