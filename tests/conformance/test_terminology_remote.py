"""The configured terminology server answers what this one has not: a second node of ours over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn

from tests.fhir_server.node import Server, running
from tests.fhir_server.packages import code_system

SNOMED = "http://snomed.info/sct"

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def listening(server: Server, port: int) -> AsyncIterator[str]:
    """The node on a port, to whoever asks: a terminology server of the neighbourhood, without tokens."""
    client = server.client()
    token = client.headers["Authorization"].encode()
    await client.aclose()

    async def let_in(scope, receive, send):  # type: ignore[no-untyped-def]
        await server.app({**scope, "headers": [*scope["headers"], (b"authorization", token)]}, receive, send)

    config = uvicorn.Config(let_in, port=port, lifespan="off", log_config=None)
    http = uvicorn.Server(config)
    task = asyncio.create_task(http.serve())
    while not http.started:
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}/fhir"
    finally:
        http.should_exit = True
        await task


@pytest.mark.spec("R4 terminology-service.html")
async def test_what_is_not_loaded_here_is_asked_of_the_terminology_server(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    async with running(f"sqlite:///{tmp_path}/far.db") as far, listening(far, free_port()) as address:
        snomed = code_system(SNOMED, id="snomed", concept=[{"code": "73211009", "display": "Diabetes mellitus"}])
        async with far.client() as client:
            assert (await client.put("/CodeSystem/snomed", json=snomed)).status_code == 201
        async with (
            running(f"sqlite:///{tmp_path}/near.db", terminology_server=address) as near,
            near.client() as client,
        ):
            await _ask(client)


async def _ask(client: httpx.AsyncClient) -> None:
    code = {"system": SNOMED, "code": "73211009"}
    looked_up = await client.get("/CodeSystem/$lookup", params=code)
    assert looked_up.status_code == 200 and "Diabetes mellitus" in looked_up.text
    value_set = {"resourceType": "ValueSet", "id": "all", "url": "http://example.org/all", "status": "active"}
    await client.put("/ValueSet/all", json=value_set | {"compose": {"include": [{"system": SNOMED}]}})
    for address in ("/ValueSet/$expand?url=http://example.org/all&count=5", "/ValueSet/all/$expand"):
        expanded = await client.get(address)
        assert [one["code"] for one in expanded.json()["expansion"]["contains"]] == ["73211009"]
    validated = await client.get("/ValueSet/all/$validate-code", params=code)
    assert validated.json()["parameter"][0] == {"name": "result", "valueBoolean": True}
    unknown = await client.get("/CodeSystem/$lookup", params={"system": "http://loinc.org", "code": "1-8"})
    assert unknown.status_code == 422 and "The terminology server refused" in unknown.text


@pytest.mark.spec("R4 terminology-service.html")
async def test_a_terminology_server_that_is_away_is_a_503(tmp_path: Path, free_port: Callable[[], int]) -> None:
    away = f"http://127.0.0.1:{free_port()}/fhir"
    async with running(f"sqlite:///{tmp_path}/near.db", terminology_server=away) as near, near.client() as client:
        response = await client.get("/CodeSystem/$lookup", params={"system": SNOMED, "code": "1"})
        assert response.status_code == 503 and "does not answer" in response.text
        local = {"url": "http://hl7.org/fhir/ValueSet/administrative-gender"}
        assert (await client.get("/ValueSet/$expand", params=local)).status_code == 200
