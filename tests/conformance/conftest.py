"""One contract suite on both databases: a real node in process for each module, callers injected."""

from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest

from tests.conformance.chart import CHART, put
from tests.fhir_server.node import Server, running


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def server(anyio_backend: str, module_database_url: str) -> AsyncIterator[Server]:
    async with running(module_database_url) as node:
        yield node


@pytest.fixture
async def client(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with server.client() as http:
        yield http


@pytest.fixture
def unique() -> str:
    """A value that no other test of the module has."""
    return uuid4().hex


@pytest.fixture(scope="module")
async def chart(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with server.client() as client:
        await put(client, CHART)
        yield client
