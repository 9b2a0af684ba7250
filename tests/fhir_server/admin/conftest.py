"""A database of its own for each test, first SQLite, then PostgreSQL; and searches in it."""

from collections.abc import AsyncIterator

import httpx
import pytest

from fhir_server.settings import Settings
from tests.fhir_server.node import ADMINISTRATOR, running


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def settings(database_url: str) -> Settings:
    return Settings(database_url=database_url, base_url="http://fhir.test", publish_profiles=False)


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with running(settings.database_url) as server, server.client(ADMINISTRATOR) as http:
        yield http
