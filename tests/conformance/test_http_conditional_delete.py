"""https://hl7.org/fhir/R4/http.html#3.1.0.7.1: a conditional delete of several, where the server is set to it."""

import httpx
import pytest

from tests.fhir_server.node import running

pytestmark = pytest.mark.anyio


async def made(client: httpx.AsyncClient, value: str, count: int) -> list[str]:
    body = {"resourceType": "Basic", "code": {"text": "x"}, "identifier": [{"system": "urn:test", "value": value}]}
    return [(await client.post("/Basic", json=body)).json()["id"] for _ in range(count)]


@pytest.mark.spec("R4 http.html#delete")
async def test_every_match_goes_at_once_or_none(database_url: str, unique: str) -> None:
    async with running(database_url, conditional_delete="multiple") as server, server.client() as client:
        statement = (await client.get("/metadata")).json()
        assert statement["rest"][0]["resource"][0]["conditionalDelete"] == "multiple"
        ids, other = await made(client, unique, 3), (await made(client, "other", 1))[0]
        condition = f"/Basic?identifier=urn:test|{unique}"
        stale = await client.delete(condition, headers={"If-Match": 'W/"2"'})
        assert stale.status_code == 412
        assert (await client.get(condition)).json()["total"] == 3
        done = await client.delete(condition)
        assert (done.status_code, "etag" in done.headers) == (204, False)
        assert {(await client.get(f"/Basic/{id_}")).status_code for id_ in ids} == {410}
        assert (await client.get(f"/Basic/{other}")).status_code == 200
        assert (await client.delete(condition)).status_code == 204
        assert (await client.delete("/Basic")).status_code == 400


@pytest.mark.spec("R4 http.html#transaction")
async def test_in_a_transaction_beside_others(database_url: str, unique: str) -> None:
    async with running(database_url, conditional_delete="multiple") as server, server.client() as client:
        ids = await made(client, unique, 3)
        entries = [
            {
                "resource": {"resourceType": "Basic", "code": {"text": "new"}},
                "request": {"method": "POST", "url": "Basic"},
            },
            {"request": {"method": "DELETE", "url": f"Basic?identifier=urn:test|{unique}"}},
        ]
        done = await client.post("", json={"resourceType": "Bundle", "type": "transaction", "entry": entries})
        assert [e["response"]["status"] for e in done.json()["entry"]] == ["201 Created", "204 No Content"], done.text
        assert {(await client.get(f"/Basic/{id_}")).status_code for id_ in ids} == {410}


async def test_too_many_are_none(database_url: str, unique: str) -> None:
    changes = {"conditional_delete": "multiple", "max_transaction_entries": 2}
    async with running(database_url, **changes) as server, server.client() as client:
        await made(client, unique, 3)
        assert (await client.delete(f"/Basic?identifier=urn:test|{unique}")).status_code == 412
