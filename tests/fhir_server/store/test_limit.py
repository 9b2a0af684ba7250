"""A SELECT that takes too long ends, on both databases, inside a transaction and outside; others are served."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import column, select, text

from fhir_server.errors import TooCostly
from fhir_server.store.database import Database, connect

pytestmark = pytest.mark.anyio

NUMBERS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1000000000)"
ENDLESS = select(text(f"{NUMBERS} SELECT count(*) AS x FROM n").columns(column("x")).subquery())
ONE = select(column("x")).select_from(text("(SELECT 1 AS x) AS one"))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = await connect(database_url, 2, limit_seconds=0.2)
    yield opened
    await opened.close()


async def test_what_takes_too_long_ends(database: Database) -> None:
    started = time.monotonic()
    with pytest.raises(TooCostly):
        await database.fetch(ENDLESS)
    assert time.monotonic() - started < 10
    assert (await database.fetch(ONE))[0]["x"] == 1


async def test_in_a_transaction_too(database: Database) -> None:
    with pytest.raises(TooCostly):
        async with database.transaction() as transaction:
            await transaction.fetch(ENDLESS)
    async with database.transaction() as transaction:
        assert (await transaction.fetch(ONE))[0]["x"] == 1


async def test_others_are_served_meanwhile(database: Database) -> None:
    long = asyncio.create_task(database.fetch(ENDLESS))
    await asyncio.sleep(0)
    assert (await database.fetch(ONE))[0]["x"] == 1
    assert not long.done()
    with pytest.raises(TooCostly):
        await long
