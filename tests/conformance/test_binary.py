"""https://hl7.org/fhir/R4/binary.html#rest: bytes as what they are and as a resource, large ones out of the row."""

import base64
import hashlib
import os
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from fhir_server.caller import Caller
from fhir_server.store.binaries import STORED_DATA, kept_of
from fhir_server.store.models import binary_part
from fhir_server.store.parts import forget
from tests.fhir_server.node import Server

pytestmark = pytest.mark.anyio

PDF = {"Content-Type": "application/pdf"}
JSON = {"Accept": "application/fhir+json"}
XML = {"Accept": "application/fhir+xml"}
LARGE = 3_000_001


async def uploaded(client: httpx.AsyncClient, content: Any, **headers: str) -> str:
    response = await client.post("/Binary", content=content, headers={**PDF, **headers})
    assert response.status_code == 201, response.text
    return "/Binary/" + response.headers["location"].split("/")[-3]


@pytest.mark.spec("R4 binary.html#rest")
async def test_bytes_go_in_and_come_out_as_what_they_are(client: httpx.AsyncClient) -> None:
    address = await uploaded(client, b"%PDF-1.7 \xff\x00", **{"X-Security-Context": "Patient/example"})
    plain = await client.get(address)
    assert plain.content == b"%PDF-1.7 \xff\x00"
    assert plain.headers["content-type"] == "application/pdf"
    assert plain.headers["x-security-context"] == "Patient/example"
    assert plain.headers["etag"] == 'W/"1"'
    assert "sandbox" in plain.headers["content-security-policy"]
    assert (await client.get(address, headers={"Accept": "application/pdf, image/png"})).content == plain.content
    assert (await client.get(address, headers={"If-None-Match": 'W/"1"'})).status_code == 304
    resource = (await client.get(address, headers=JSON)).json()
    assert base64.b64decode(resource["data"]) == plain.content
    assert resource["securityContext"] == {"reference": "Patient/example"}
    assert "<contentType" in (await client.get(address, headers=XML)).text
    assert (await client.get(f"{address}?_format=json", headers=PDF)).json() == resource


@pytest.mark.spec("R4 binary.html#rest")
async def test_a_resource_goes_in_and_bytes_replace_it(client: httpx.AsyncClient) -> None:
    body = {"resourceType": "Binary", "contentType": "text/html", "data": base64.b64encode(b"<script>").decode()}
    made = await client.post("/Binary", json=body)
    assert made.status_code == 201
    address = f"/Binary/{made.json()['id']}"
    assert (await client.get(address)).content == b"<script>"
    replaced = await client.put(address, content=b"second", headers={"Content-Type": "text/plain", **JSON})
    assert (replaced.status_code, replaced.json()["meta"]["versionId"]) == (200, "2")
    assert (await client.get(address)).text == "second"
    assert (await client.get(f"{address}/_history/1")).content == b"<script>"
    assert (await client.head(address)).headers["content-length"] == "6"
    assert (await client.delete(address)).status_code == 204
    assert (await client.get(address)).status_code == 410


@pytest.mark.spec("R4 binary.html#rest")
async def test_a_type_that_is_none_does_not_become_a_header(client: httpx.AsyncClient) -> None:
    body = {"resourceType": "Binary", "contentType": "text/html\r\nX-Evil: 1"}
    made = await client.post("/Binary", json=body)
    if made.status_code == 201:
        shown = await client.get(f"/Binary/{made.json()['id']}")
        assert shown.headers["content-type"] == "application/octet-stream"
        assert "x-evil" not in shown.headers


async def pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 100_000):
        yield content[start : start + 100_000]


@pytest.mark.spec("R4 binary.html#rest")
async def test_a_large_one_streams_in_and_out_and_is_not_in_its_row(client: httpx.AsyncClient) -> None:
    content = os.urandom(LARGE)
    address = await uploaded(client, pieces(content), **JSON)
    plain = await client.get(address)
    assert hashlib.sha256(plain.content).digest() == hashlib.sha256(content).digest()
    assert plain.headers["content-length"] == str(LARGE)
    head = await client.head(address)
    assert (head.headers["content-length"], head.content) == (str(LARGE), b"")
    resource = (await client.get(address, headers=JSON)).json()
    assert base64.b64decode(resource["data"]) == content
    assert set(resource) == {"resourceType", "id", "meta", "contentType", "data"}
    assert "tag" not in resource["meta"]
    assert base64.b64encode(content).decode() in (await client.get(address, headers=XML)).text
    entry = (await client.get("/Binary", params={"_id": address.rpartition("/")[2]})).json()["entry"][0]["resource"]
    assert "data" not in entry
    assert entry["meta"]["tag"][0]["code"] == "SUBSETTED"


@pytest.mark.spec("R4 binary.html#rest")
async def test_a_large_resource_is_kept_outside_too_and_names_nobody_elses(
    client: httpx.AsyncClient, server: Server
) -> None:
    content = os.urandom(LARGE)
    body = {"resourceType": "Binary", "contentType": "image/png", "data": base64.b64encode(content).decode()}
    made = await client.post("/Binary", json=body)
    assert made.status_code == 201
    assert len(made.content) < 10_000
    address = f"/Binary/{made.json()['id']}"
    assert (await client.get(address)).content == content
    shown = made.json()
    assert shown["_data"]["extension"][0]["url"] == STORED_DATA
    assert (await client.put(address, json=shown)).status_code == 200
    stolen = await client.post("/Binary", json={k: v for k, v in shown.items() if k != "id"})
    assert stolen.status_code == 400
    broken = body | {"data": body["data"][:-4] + "!!!!"}
    assert (await client.post("/Binary", json=broken)).status_code == 400
    assert (await client.get(address)).content == content


async def count_of_parts(server: Server) -> int:
    rows = await server.app.state.node.database.fetch(select(func.count().label("n")).select_from(binary_part))
    return int(rows[0]["n"])


async def test_nothing_is_left_of_what_was_refused(client: httpx.AsyncClient, server: Server) -> None:
    before = await count_of_parts(server)
    nobody = Caller("nobody", "tests", None, frozenset(), None, ("user/Patient.rs",))
    async with server.client(nobody) as stranger:
        assert (await stranger.post("/Binary", content=os.urandom(LARGE), headers=PDF)).status_code == 403
    mismatch = {**PDF, "If-Match": 'W/"7"'}
    assert (await client.put("/Binary/absent", content=os.urandom(LARGE), headers=mismatch)).status_code == 412
    assert await count_of_parts(server) == before


async def test_parts_can_be_forgotten(client: httpx.AsyncClient, server: Server) -> None:
    address = await uploaded(client, os.urandom(LARGE), **JSON)
    node = server.app.state.node
    before = await count_of_parts(server)
    listed = (await client.get("/Binary", params={"_id": address.rpartition("/")[2]})).content
    async with node.database.transaction() as transaction:
        await forget(transaction, [listed.partition(b'"resource":')[2].partition(b',"search"')[0]])
    assert kept_of(b"{}") is None
    assert await count_of_parts(server) == before - 4
