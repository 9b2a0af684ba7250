"""https://hl7.org/fhir/R4/http.html#history"""

from typing import Any
from uuid import uuid4

import httpx
import pytest

pytestmark = pytest.mark.anyio


async def lived(client: httpx.AsyncClient) -> str:
    """A Basic with three versions and a deletion."""
    id_ = str(uuid4())
    for n in range(3):
        await client.put(f"/Basic/{id_}", json={"resourceType": "Basic", "id": id_, "code": {"text": str(n)}})
    await client.delete(f"/Basic/{id_}")
    return id_


async def every(client: httpx.AsyncClient, url: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    while url:
        response = await client.get(url)
        assert response.status_code == 200, response.text
        entries += response.json().get("entry", [])
        url = next((link["url"] for link in response.json()["link"] if link["relation"] == "next"), "")
    return entries


@pytest.mark.spec("R4 http.html#history")
async def test_instance_newest_first_with_request_and_response(client: httpx.AsyncClient) -> None:
    id_ = await lived(client)
    bundle = (await client.get(f"/Basic/{id_}/_history")).json()
    assert (bundle["type"], bundle["total"]) == ("history", 4)
    assert [item["request"]["method"] for item in bundle["entry"]] == ["DELETE", "PUT", "PUT", "POST"]
    assert [item["response"]["etag"] for item in bundle["entry"]] == [f'W/"{n}"' for n in (4, 3, 2, 1)]
    assert "resource" not in bundle["entry"][0]
    assert bundle["entry"][1]["resource"]["code"]["text"] == "2"
    assert bundle["entry"][0]["fullUrl"] == f"http://fhir.test/fhir/Basic/{id_}"
    assert (await client.get(f"/Basic/{uuid4()}/_history")).status_code == 404


@pytest.mark.spec("R4 http.html#history")
async def test_since_and_at(client: httpx.AsyncClient) -> None:
    id_ = await lived(client)
    versions = await every(client, f"/Basic/{id_}/_history")
    second = versions[2]["response"]["lastModified"]
    since = await every(client, f"/Basic/{id_}/_history?_since={second}")
    assert [item["response"]["etag"] for item in since] == ['W/"4"', 'W/"3"', 'W/"2"']
    at = await every(client, f"/Basic/{id_}/_history?_at={second}")
    assert [item["response"]["etag"] for item in at] == ['W/"2"']
    assert (await client.get(f"/Basic/{id_}/_history?_since=yesterday")).status_code == 400
    assert (await client.get(f"/Basic/{id_}/_history?nonsense=1")).status_code == 400


@pytest.mark.spec("R4 http.html#history")
async def test_at_gives_what_was_current_in_the_period(client: httpx.AsyncClient) -> None:
    id_ = await lived(client)
    address = f"/Basic/{id_}/_history"
    whole = await every(client, address)
    assert await every(client, f"{address}?_at={whole[0]['response']['lastModified'][:4]}") == whole
    assert await every(client, f"{address}?_at=2000") == []
    assert await every(client, f"{address}?_at=2090") == []
    again = {"resourceType": "Basic", "id": id_, "code": {"text": "again"}}
    assert (await client.put(f"/Basic/{id_}", json=again)).status_code == 201
    for scope in (address, "/Basic/_history", "/_history"):
        found = await every(client, f"{scope}?_at=2090&_count=1000")
        mine = [item["response"]["etag"] for item in found if item["fullUrl"].endswith(id_)]
        assert mine == ['W/"5"']


@pytest.mark.spec("R4 http.html#history")
@pytest.mark.parametrize("scope", ["/Basic/_history", "/_history"])
async def test_pages_of_type_and_system_are_whole(client: httpx.AsyncClient, scope: str) -> None:
    start = (await client.post("/Basic", json={"resourceType": "Basic", "code": {"text": "start"}})).json()
    ids = [await lived(client) for _ in range(3)]
    whole = await every(client, f"{scope}?_since={start['meta']['lastUpdated']}&_count=1000")
    paged = await every(client, f"{scope}?_since={start['meta']['lastUpdated']}&_count=3")
    assert paged == whole
    times = [item["response"]["lastModified"] for item in whole]
    assert times == sorted(times, reverse=True)
    seen = [(item["fullUrl"].rpartition("/")[2], item["response"]["etag"]) for item in whole]
    assert len(set(seen)) == len(seen)
    assert {(id_, f'W/"{n}"') for id_ in ids for n in (1, 2, 3, 4)} <= set(seen)
