"""https://hl7.org/fhir/R4/http.html#paging: whatever others write meanwhile, pages neither repeat nor miss"""

from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fhir_server.node import Server, running

SORTS = ["", "&_sort=created", "&_sort=-created", "&_sort=-_lastUpdated", "&_sort=_id", "&_sort=created,-_id"]
WRITES = st.lists(st.tuples(st.sampled_from(["create", "delete"]), st.integers(0, 9), st.integers(1, 28)), max_size=3)


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal() as portal:
        yield portal


@pytest.fixture(scope="module")
def server(portal: BlockingPortal, module_database_url: str) -> Iterator[Server]:
    with portal.wrap_async_context_manager(running(module_database_url)) as server:
        yield server


def basic(code: str, day: int) -> dict[str, object]:
    return {"resourceType": "Basic", "code": {"coding": [{"code": code}]}, "created": f"2020-01-{day:02d}"}


async def walk(server: Server, sort: str, count: int, days: list[int], turns: list[list[tuple[str, int, int]]]) -> None:
    """Read page by page; between two pages others create and delete."""
    code, turn = uuid4().hex, iter(turns)
    async with server.client() as client:
        ids = [(await client.post("/Basic", json=basic(code, day))).json()["id"] for day in days]
        seen: list[str] = []
        deleted: set[str] = set()
        url = f"/Basic?code={code}&_count={count}{sort}"
        while url:
            bundle = (await client.get(url)).json()
            seen += [entry["resource"]["id"] for entry in bundle.get("entry", [])]
            url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), "")
            for verb, which, day in next(turn, []):
                await write(client, code, (verb, ids[which % len(ids)], day), deleted)
    assert len(seen) == len(set(seen))
    assert set(ids) - deleted <= set(seen) <= set(ids)


async def write(client: httpx.AsyncClient, code: str, change: tuple[str, str, int], deleted: set[str]) -> None:
    verb, id_, day = change
    if verb == "create":
        await client.post("/Basic", json=basic(code, day))
    else:
        await client.delete(f"/Basic/{id_}")
        deleted.add(id_)


@pytest.mark.spec("R4 http.html#paging")
@settings(max_examples=12, deadline=None)
@given(
    sort=st.sampled_from(SORTS),
    count=st.integers(1, 4),
    days=st.lists(st.integers(1, 28), min_size=1, max_size=10),
    turns=st.lists(WRITES, max_size=6),
)
def test_pages_neither_repeat_nor_miss(
    portal: BlockingPortal,
    server: Server,
    sort: str,
    count: int,
    days: list[int],
    turns: list[list[tuple[str, int, int]]],
) -> None:
    portal.call(walk, server, sort, count, days, turns)
