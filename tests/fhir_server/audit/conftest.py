"""A server that keeps its audit journal, and what reads it."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.fhir_server.node import Server, running

Event = dict[str, Any]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def audited(anyio_backend: str, module_database_url: str) -> AsyncIterator[Server]:
    async with running(module_database_url, audit=True) as server:
        yield server


@pytest.fixture
async def http(audited: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with audited.client() as client:
        yield client


async def listed(client: httpx.AsyncClient, query: str = "") -> list[Event]:
    """The AuditEvents of a search: everything that has happened until now is among them."""
    while True:
        answer = await client.get(f"/AuditEvent?_count=500&{query}")
        assert answer.status_code == 200, answer.text
        found = [entry["resource"] for entry in answer.json().get("entry", ())]
        if all(each["resourceType"] == "AuditEvent" for each in found):
            return found  # else the server says that it could not list everything in its two seconds
