"""The SQLite driver: transactions that wait for their turn share a flush, and nothing else."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, select

from fhir_server.store.database import Contention
from fhir_server.store.sqlite import SqliteDatabase

pytestmark = pytest.mark.anyio

THING = Table("thing", MetaData(), Column("id", Integer, primary_key=True), Column("name", Text))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with sqlite3.connect(tmp_path / "test.db") as connection:
        connection.execute("CREATE TABLE thing (id INTEGER PRIMARY KEY, name TEXT)")
    connection.close()
    return tmp_path / "test.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[SqliteDatabase]:
    opened = await SqliteDatabase.open(str(path))
    yield opened
    await opened.close()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def add(database: SqliteDatabase, id_: int, *, fail: bool = False) -> None:
    async with database.transaction() as transaction:
        await transaction.execute(THING.insert(), {"id": id_, "name": "x"})
        await asyncio.sleep(0)
        if fail:
            raise LookupError(id_)


async def ids(database: SqliteDatabase) -> list[int]:
    return [row["id"] for row in await database.fetch(select(THING.c.id).order_by(THING.c.id))]


async def test_waiting_transactions_are_flushed_together(database: SqliteDatabase) -> None:
    commits: list[str] = []
    database._writer.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
    await asyncio.gather(*(add(database, n) for n in range(50)))
    assert await ids(database) == list(range(50))
    assert len(commits) <= 2


async def test_what_fails_takes_back_only_itself(database: SqliteDatabase) -> None:
    results = await asyncio.gather(*(add(database, n, fail=n % 3 == 0) for n in range(12)), return_exceptions=True)
    assert [isinstance(result, LookupError) for result in results] == [n % 3 == 0 for n in range(12)]
    assert await ids(database) == [n for n in range(12) if n % 3]


async def test_a_repeated_key_is_contention_and_leaves_the_others(database: SqliteDatabase) -> None:
    results = await asyncio.gather(add(database, 1), add(database, 1), add(database, 2), return_exceptions=True)
    assert [type(result) for result in results] == [type(None), Contention, type(None)]
    assert await ids(database) == [1, 2]


async def test_success_is_told_after_the_commit_only(database: SqliteDatabase, path: Path) -> None:
    async def check(n: int) -> None:
        await add(database, n)
        with sqlite3.connect(path) as other:
            assert other.execute("SELECT count(*) FROM thing WHERE id = ?", (n,)).fetchone() == (1,)
        other.close()

    await asyncio.gather(*(check(n) for n in range(10)))


async def test_a_transaction_sees_itself_and_readers_do_not(database: SqliteDatabase) -> None:
    async with database.transaction() as transaction:
        await transaction.execute(THING.insert(), {"id": 1, "name": "x"})
        assert len(await transaction.fetch(select(THING))) == 1
        assert await ids(database) == []
    assert await ids(database) == [1]


async def test_cancelled_ones_leave_nothing_and_block_nobody(database: SqliteDatabase) -> None:
    async def slow() -> None:
        async with database.transaction() as transaction:
            await transaction.execute(THING.insert(), {"id": 1, "name": "x"})
            await asyncio.sleep(60)

    task = asyncio.create_task(slow())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await add(database, 2)
    assert await ids(database) == [2]


async def test_another_process_that_writes_is_waited_for(database: SqliteDatabase, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO thing VALUES (7, 'other')")
    timer = threading.Timer(0.2, lambda: other.execute("COMMIT"))
    timer.start()
    await asyncio.gather(add(database, 1), add(database, 2))
    timer.join()
    other.close()
    assert await ids(database) == [1, 2, 7]


async def test_cancelled_while_another_process_writes(database: SqliteDatabase, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    task = asyncio.create_task(add(database, 1))
    await asyncio.sleep(0.05)
    task.cancel()
    timer = threading.Timer(0.2, lambda: other.execute("COMMIT"))
    timer.start()
    with pytest.raises(asyncio.CancelledError):
        await task
    timer.join()
    other.close()
    await add(database, 2)
    assert await ids(database) == [2]
