"""A server that keeps its audit journal, and what reads it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from fhir_server.audit.chain import Sealer
from fhir_server.audit.listing import Lister
from fhir_server.context import Node
from tests.fhir_server.node import Server, running

Event = dict[str, Any]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
async def audited(
    anyio_backend: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Server]:
    sqlite = f"sqlite:///{tmp_path_factory.mktemp('audit')}/fhir.db"
    url = sqlite if request.param == "sqlite" else request.getfixturevalue("postgresql_module_url")
    async with running(url, audit=True) as server:
        yield server


@pytest.fixture
async def http(audited: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with audited.client() as client:
        yield client


async def listed(server: Server, client: httpx.AsyncClient, query: str = "") -> list[Event]:
    """The AuditEvents of a search, once everything that has happened until now is among them."""
    node: Node = server.app.state.node
    await node.journal.flush()

    async def no_signature(claims: Any) -> str:
        return "unsigned"

    await Sealer(node.database, no_signature).seal()
    lister = Lister(node.database, node.extractor, node.numbers)
    while await lister.some():
        await asyncio.sleep(0)
    answer = await client.get(f"/AuditEvent?_count=500&{query}")
    assert answer.status_code == 200, answer.text
    return [entry["resource"] for entry in answer.json().get("entry", ())]
