"""Many clients at once: https://hl7.org/fhir/R4/http.html#concurrency and #ccreate."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.fhir_server.node import Server, running

pytestmark = pytest.mark.anyio

MANY = 20


def patient(unique: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "identifier": [{"system": "urn:test", "value": unique}], **more}


async def count(client: httpx.AsyncClient, unique: str) -> int:
    response = await client.get(f"/Patient?identifier=urn:test|{unique}&_summary=count")
    total: int = response.json()["total"]
    return total


@pytest.mark.spec("R4 http.html#ccreate")
async def test_conditional_creates_at_once_make_one(client: httpx.AsyncClient, unique: str) -> None:
    condition = {"If-None-Exist": f"identifier=urn:test|{unique}"}
    responses = await asyncio.gather(
        *(client.post("/Patient", json=patient(unique), headers=condition) for _ in range(MANY))
    )
    assert sorted(response.status_code for response in responses) == [200] * (MANY - 1) + [201]
    assert len({response.json()["id"] for response in responses}) == 1
    assert await count(client, unique) == 1


@pytest.mark.spec("R4 http.html#trules")
async def test_conditional_creates_in_transactions_at_once_make_one(client: httpx.AsyncClient, unique: str) -> None:
    def bundle(n: int) -> dict[str, Any]:
        urn = f"urn:uuid:{uuid4()}"
        condition = f"identifier=urn:test|{unique}"
        request = {"method": "POST", "url": "Patient", "ifNoneExist": condition}
        basic = {"resourceType": "Basic", "code": {"text": str(n)}, "subject": {"reference": urn}}
        entries = [
            {"resource": basic, "request": {"method": "POST", "url": "Basic"}},
            {"fullUrl": urn, "resource": patient(unique), "request": request},
        ]
        return {"resourceType": "Bundle", "type": "transaction", "entry": entries}

    responses = await asyncio.gather(*(client.post("", json=bundle(n)) for n in range(MANY)))
    assert [response.status_code for response in responses] == [200] * MANY
    assert await count(client, unique) == 1
    found = (await client.get(f"/Basic?subject:Patient.identifier=urn:test|{unique}&_summary=count")).json()
    assert found["total"] == MANY


@pytest.mark.spec("R4 http.html#concurrency")
async def test_of_updates_at_once_with_if_match_one_wins(client: httpx.AsyncClient, unique: str) -> None:
    await client.put(f"/Patient/{unique}", json=patient(unique, id=unique))
    responses = await asyncio.gather(
        *(
            client.put(
                f"/Patient/{unique}",
                json=patient(unique, id=unique, birthDate=f"2000-01-{n + 1:02d}"),
                headers={"If-Match": 'W/"1"'},
            )
            for n in range(MANY)
        )
    )
    assert sorted(response.status_code for response in responses) == [200] + [412] * (MANY - 1)
    winner = next(response for response in responses if response.status_code == 200)
    assert (await client.get(f"/Patient/{unique}")).json() == winner.json()


@pytest.mark.spec("R4 http.html#concurrency")
async def test_updates_at_once_lose_no_version(client: httpx.AsyncClient, unique: str) -> None:
    responses = await asyncio.gather(
        *(
            client.put(f"/Patient/{unique}", json=patient(unique, id=unique, birthDate=f"2000-01-{n + 1:02d}"))
            for n in range(MANY)
        )
    )
    assert sorted(response.status_code for response in responses) == [200] * (MANY - 1) + [201]
    versions = {response.json()["meta"]["versionId"] for response in responses}
    assert versions == {str(n) for n in range(1, MANY + 1)}
    history = (await client.get(f"/Patient/{unique}/_history")).json()
    assert history["total"] == MANY
    assert len({entry["resource"]["birthDate"] for entry in history["entry"]}) == MANY


async def test_transactions_that_cross_do_not_fail_each_other(client: httpx.AsyncClient) -> None:
    ids = [str(uuid4()) for _ in range(6)]

    def bundle(order: list[str]) -> dict[str, Any]:
        entries = [
            {"resource": patient(id_, id=id_), "request": {"method": "PUT", "url": f"Patient/{id_}"}} for id_ in order
        ]
        return {"resourceType": "Bundle", "type": "transaction", "entry": entries}

    responses = await asyncio.gather(*(client.post("", json=bundle(ids[n:] + ids[:n])) for n in range(6)))
    assert [response.status_code for response in responses] == [200] * 6
    for id_ in ids:
        assert (await client.get(f"/Patient/{id_}")).json()["meta"]["versionId"] == "6"


async def test_two_servers_on_one_database_make_one(server: Server, unique: str) -> None:
    """The lock is the database's, not the process's."""
    url = server.app.state.node.settings.database_url
    condition = {"If-None-Exist": f"identifier=urn:test|{unique}"}
    async with running(url) as other, server.client() as first, other.client() as second:
        clients = [first, second] * 8
        responses = await asyncio.gather(
            *(client.post("/Patient", json=patient(unique), headers=condition) for client in clients)
        )
        assert sorted(response.status_code for response in responses) == [200] * 15 + [201]
        assert await count(first, unique) == 1
