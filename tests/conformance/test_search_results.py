"""https://hl7.org/fhir/R4/search.html#return"""

import httpx
import pytest

from fhir_server.store import repository
from tests.conformance.chart import found
from tests.fhir_server.node import Server

pytestmark = pytest.mark.anyio


@pytest.mark.spec("R4 search.html#sort")
@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("Observation?_sort=date", ["o1", "o3", "o2", "o4"]),
        ("Observation?_sort=-date", ["o4", "o2", "o3", "o1"]),
        ("Observation?_sort=code,-date", ["o4", "o3", "o2", "o1"]),
        ("Observation?_sort=-value-quantity", ["o4", "o3", "o1", "o2"]),
        ("Patient?_sort=birthdate", ["anna", "li", "nobody"]),
        ("Patient?_sort=-birthdate", ["li", "anna", "nobody"]),
        ("Patient?_sort=family", ["li", "anna", "nobody"]),
        ("Patient?_sort=-_id", ["nobody", "li", "anna"]),
    ],
)
async def test_sort_whole_and_in_pages(chart: httpx.AsyncClient, query: str, ids: list[str]) -> None:
    assert await found(chart, query) == ids
    paged, url = [], f"/{query}&_count=1"
    while url:
        bundle = (await chart.get(url)).json()
        paged += [entry["resource"]["id"] for entry in bundle.get("entry", [])]
        url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), "")
    assert paged == ids


@pytest.mark.spec("R4 http.html#paging")
async def test_pages_neither_repeat_nor_miss_while_others_write(server: Server, unique: str) -> None:
    async with server.client() as client:
        names = []
        for n in range(7):
            body = {"resourceType": "Basic", "code": {"coding": [{"code": unique}]}, "created": f"2020-01-{n + 1:02d}"}
            names.append((await client.post("/Basic", json=body)).json()["id"])
        seen: list[str] = []
        url = f"/Basic?code={unique}&_count=2"
        while url:
            bundle = (await client.get(url)).json()
            seen += [entry["resource"]["id"] for entry in bundle["entry"]]
            url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), "")
            await client.post("/Basic", json={"resourceType": "Basic", "code": {"coding": [{"code": unique}]}})
        assert seen == names


@pytest.mark.spec("R4 http.html#paging")
async def test_a_cursor_serves_only_its_own_search(chart: httpx.AsyncClient) -> None:
    bundle = (await chart.get("/Observation?_count=1")).json()
    cursor = bundle["link"][1]["url"].partition("_cursor=")[2]
    assert (await chart.get(f"/Observation?_count=1&_cursor={cursor}")).status_code == 200
    for other in (f"Patient?_count=1&_cursor={cursor}", f"Observation?_count=1&status=final&_cursor={cursor}"):
        assert (await chart.get(f"/{other}")).status_code == 400
    assert (await chart.get(f"/Observation?_count=1&_cursor=x{cursor}")).status_code == 400


@pytest.mark.spec("R4 search.html#total")
async def test_totals(chart: httpx.AsyncClient) -> None:
    async def total(query: str) -> int | None:
        bundle = (await chart.get(f"/Observation?{query}")).json()
        value: int | None = bundle.get("total")
        return value

    assert await total("") == 4
    assert await total("_count=1") is None
    assert await total("_count=1&_total=accurate") == 4
    assert await total("_summary=count&code=718-7") == 2
    assert await total("_count=0") == 4
    assert "entry" not in (await chart.get("/Observation?_summary=count")).json()


@pytest.mark.spec("R4 search.html#total")
async def test_an_estimate_beyond_what_is_counted(chart: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await chart.get("/Observation?_count=1&_total=estimate")).json()["total"] == 4
    monkeypatch.setattr(repository, "COUNTED_EXACTLY", 2)
    assert (await chart.get("/Observation?_count=1&_total=estimate&code=718-7,2160-0")).json()["total"] >= 3


@pytest.mark.spec("R4 search.html#summary")
async def test_summary_and_elements(chart: httpx.AsyncClient) -> None:
    async def keys(query: str) -> set[str]:
        bundle = (await chart.get(f"/Patient?_id=anna&{query}")).json()
        resource = bundle["entry"][0]["resource"]
        assert resource["meta"]["tag"][-1]["code"] == "SUBSETTED"
        return set(resource) - {"resourceType", "id", "meta"}

    assert await keys("_elements=birthDate") == {"birthDate"}
    assert "generalPractitioner" not in await keys("_summary=true")
    assert "name" in await keys("_summary=true")
    assert await keys("_summary=text") == set()
    assert "name" in await keys("_summary=data")


@pytest.mark.spec("R4 search.html#lastUpdated")
async def test_last_updated(chart: httpx.AsyncClient) -> None:
    stamp = (await chart.get("/Patient/anna")).json()["meta"]["lastUpdated"]
    assert await found(chart, f"Patient?_lastUpdated={stamp}&_id=anna") == ["anna"]
    assert await found(chart, f"Patient?_lastUpdated=lt{stamp}&_id=anna") == []
    assert await found(chart, f"Patient?_lastUpdated=ge{stamp}&_id=anna") == ["anna"]
    assert await found(chart, "Patient?_lastUpdated=gt2020&_id=anna") == ["anna"]


async def test_updates_and_deletions_move_the_index(server: Server, unique: str) -> None:
    async with server.client() as client:
        body = {"resourceType": "Patient", "id": unique, "name": [{"family": f"old{unique}"}]}
        await client.put(f"/Patient/{unique}", json=body)
        assert await found(client, f"Patient?family=old{unique}") == [unique]
        await client.put(f"/Patient/{unique}", json={**body, "name": [{"family": f"new{unique}"}]})
        assert await found(client, f"Patient?family=old{unique}") == []
        assert await found(client, f"Patient?family=new{unique}") == [unique]
        await client.delete(f"/Patient/{unique}")
        assert await found(client, f"Patient?family=new{unique}") == []
