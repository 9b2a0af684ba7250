"""Large Binaries: ranges of their bytes, an object store for them, and nothing left of what nobody names.

https://hl7.org/fhir/R4/binary.html#rest, RFC 9110 14
"""

import base64
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from fhir_server.context import Context
from fhir_server.interactions.binary import Upload
from fhir_server.store.models import binary_part, loose_bytes
from fhir_server.store.parts import LONGEST_UPLOAD_SECONDS, sweep
from tests.fhir_server.node import ADMINISTRATOR, Server, running

pytestmark = pytest.mark.anyio

PDF = {"Content-Type": "application/pdf"}
CONTENT = os.urandom(9_000_001)  # two objects, twelve rows


@pytest.fixture(scope="module", params=["sqlite", "postgresql", "objects"])
async def keeping(
    anyio_backend: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Server, Path]]:
    """A server that keeps large contents in its database, or has an object store; and where that is."""
    folder = tmp_path_factory.mktemp("kept")
    (folder / "objects").mkdir()
    store = f"file://{folder}/objects" if request.param == "objects" else None
    url = f"sqlite:///{folder}/fhir.db"
    if request.param == "postgresql":
        url = str(request.getfixturevalue("postgresql_module_url"))
    async with running(url, binary_store=store) as server:
        yield server, folder


async def left(keeping: tuple[Server, Path]) -> list[int]:
    """How many rows, objects and loose uploads there are."""
    server, folder = keeping
    database = server.app.state.node.database
    rows = await database.fetch(select(binary_part.c.number))
    loose = await database.fetch(select(loose_bytes.c.key))
    return [len(rows), sum(path.is_file() for path in (folder / "objects").rglob("*")), len(loose)]


async def posted(client: httpx.AsyncClient, body: bytes = CONTENT) -> str:
    made = await client.post("/Binary", content=body, headers=PDF)
    assert made.status_code == 201, made.text
    return f"/Binary/{made.headers['location'].split('/')[-3]}"


RANGES = {
    "bytes=0-9": (0, 10),
    "bytes=7864310-7864330": (7_864_310, 7_864_331),
    "bytes=786000-2000000": (786_000, 2_000_001),
    "bytes=9000000-": (9_000_000, 9_000_001),
    "bytes=-5": (8_999_996, 9_000_001),
    "bytes=8999999-99999999": (8_999_999, 9_000_001),
}


@pytest.mark.spec("R4 binary.html#rest")
async def test_large_bytes_come_back_whole_and_in_ranges_and_can_be_expunged(keeping: tuple[Server, Path]) -> None:
    async with keeping[0].client() as client:
        address = await posted(client)
        assert (await client.get(address)).content == CONTENT
        for text, (start, end) in RANGES.items():
            part = await client.get(address, headers={"Range": text})
            assert (part.status_code, part.content) == (206, CONTENT[start:end]), text
            assert part.headers["content-range"] == f"bytes {start}-{end - 1}/9000001"
        beyond = await client.get(address, headers={"Range": "bytes=9000001-"})
        assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */9000001")
        assert beyond.json()["resourceType"] == "OperationOutcome"
        as_resource = {"resourceType": "Binary", "contentType": "image/png", "data": base64.b64encode(CONTENT).decode()}
        again = await client.put(address, json={**as_resource, "id": address.rpartition("/")[2]})
        assert again.status_code == 200, again.text
        assert (await client.get(address)).content == CONTENT
        assert (await left(keeping)) in ([24, 0, 0], [0, 4, 0])
        gone = await client.post(f"{address}/$expunge?expungeEverything=true")
        assert gone.status_code == 200, gone.text
        assert await left(keeping) == [0, 0, 0]


@pytest.mark.spec("R4 binary.html#rest")
async def test_nothing_is_left_of_uploads_that_came_to_nothing(keeping: tuple[Server, Path]) -> None:
    async def interrupted() -> AsyncIterator[bytes]:
        yield CONTENT
        raise ConnectionError

    node = keeping[0].app.state.node
    async with keeping[0].client() as client:
        refused = await client.put("/Binary/absent", content=CONTENT, headers={**PDF, "If-Match": 'W/"7"'})
        assert refused.status_code == 412
        with pytest.raises(ConnectionError):
            await client.post("/Binary", content=interrupted(), headers=PDF)
        assert await left(keeping) == [0, 0, 0]
        kept = await posted(client)
        ctx = Context.of(node, ADMINISTRATOR, time.time_ns() // 1000)
        await Upload(ctx).add(CONTENT)  # and the process dies
        assert (await left(keeping))[2] == 1
        now = time.time_ns() // 1000
        assert await sweep(node.database, node.objects, now - 1_000_000_000) == 0  # it might still be under way
        assert await sweep(node.database, node.objects, now + LONGEST_UPLOAD_SECONDS * 1_000_000) == 1
        assert (await left(keeping)) in ([12, 0, 0], [0, 2, 0])
        assert (await client.get(kept)).content == CONTENT
        assert (await client.post(f"{kept}/$expunge?expungeEverything=true")).status_code == 200
        assert await left(keeping) == [0, 0, 0]


@pytest.mark.spec("R4 binary.html#rest")
@pytest.mark.parametrize(
    ("headers", "status", "body"),
    [
        ({"Range": "bytes=2-4"}, 206, b"234"),
        ({"Range": "bytes=4-2"}, 200, b"0123456789"),
        ({"Range": "bytes=0-1,4-5"}, 200, b"0123456789"),
        ({"Range": "lines=1-2"}, 200, b"0123456789"),
        ({"Range": "bytes=2-4", "If-Range": 'W/"1"'}, 200, b"0123456789"),
        ({"Range": "bytes=-0"}, 416, None),
    ],
)
async def test_a_range_of_a_small_one(
    client: httpx.AsyncClient, headers: dict[str, str], status: int, body: bytes | None
) -> None:
    address = await posted(client, b"0123456789")
    answer = await client.get(address, headers=headers)
    assert answer.status_code == status
    assert body is None or answer.content == body
    assert (await client.get(address)).headers["accept-ranges"] == "bytes"
