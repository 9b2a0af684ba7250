"""SQLite on threads: WAL, synchronous=FULL, one writing connection with BEGIN IMMEDIATE, a pool of reading ones."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Executable
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect

from fhir_server.errors import Unavailable
from fhir_server.store.compiler import Compiler
from fhir_server.store.database import Contention, Dialect, Parameters, Row, Step

BUSY_SECONDS = 10.0
Result = TypeVar("Result")


def _connect(path: str, *, writes: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-32000"):
        connection.execute(f"PRAGMA {pragma}")
    if not writes:
        connection.execute("PRAGMA query_only=ON")
    return connection


class SqliteTransaction:
    """Statements of one BEGIN IMMEDIATE ... COMMIT on the writing thread; it begins with the first statement."""

    dialect: Dialect = "sqlite"

    def __init__(self, database: "SqliteDatabase") -> None:
        self._database = database

    async def fetch(self, statement: Executable, parameters: Parameters | None = None) -> Sequence[Row]:
        """Run a statement and give its rows."""
        sql, values = self._database.compiler.render(statement, parameters)
        return await self._write(lambda connection: connection.execute(sql, values).fetchall())

    async def execute(self, statement: Executable, parameters: Parameters | None = None) -> int:
        """Run a statement and give the number of rows it touched."""
        sql, values = self._database.compiler.render(statement, parameters)
        return await self._write(lambda connection: connection.execute(sql, values).rowcount)

    async def run(self, steps: Sequence[Step]) -> None:
        """Run statements one after the other on one visit to the writing thread."""
        rendered = [self._database.compiler.render_step(step) for step in steps]
        await self._write(lambda connection: [connection.executemany(sql, rows) for sql, rows in rendered])

    async def execute_many(self, statement: Executable, parameters: Sequence[Parameters]) -> None:
        """Run one statement with many parameter sets."""
        if parameters:
            await self.run([(statement, parameters)])

    async def _write(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        def begun(connection: sqlite3.Connection) -> Result:
            if not connection.in_transaction:
                connection.execute("BEGIN IMMEDIATE")
            return work(connection)

        return await self._database.write(begun)


class SqliteDatabase:
    """One file, opened by this process and its workers only."""

    dialect: Dialect = "sqlite"

    def __init__(self, path: str, readers: int) -> None:
        self.compiler = Compiler(sqlite_dialect(paramstyle="qmark"))
        self._path = path
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._turn = asyncio.Lock()
        self._writing = ThreadPoolExecutor(1, "sqlite-write")
        self._reading = ThreadPoolExecutor(readers, "sqlite-read")

    @classmethod
    async def open(cls, path: str, readers: int = 4) -> "SqliteDatabase":
        """Open the file, made with its folder if it is missing."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        database = cls(path, readers)
        database._writer = await database._run(database._writing, lambda: _connect(path, writes=True))
        return database

    _writer: sqlite3.Connection

    async def fetch(self, statement: Executable, parameters: Parameters | None = None) -> Sequence[Row]:
        """Run a SELECT on a reading connection."""
        sql, values = self.compiler.render(statement, parameters)
        return await self._run(self._reading, lambda: self._reader().execute(sql, values).fetchall())

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[SqliteTransaction]:
        """The only writer of this process from here on, of all processes from its first statement on."""
        async with self._turn:
            try:
                yield SqliteTransaction(self)
                await self.write(_commit)
            except BaseException:
                await asyncio.shield(self.write(_rollback))
                raise

    async def write(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Run work on the writing thread."""
        try:
            return await self._run(self._writing, lambda: work(self._writer))
        except sqlite3.IntegrityError as error:
            raise Contention(str(error)) from error
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise Unavailable("The database is busy.") from error
            raise

    async def close(self) -> None:
        """Close every connection."""
        await self._run(self._writing, self._writer.close)
        self._writing.shutdown()
        self._reading.shutdown()
        for connection in self._opened:
            connection.close()

    def _reader(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = _connect(self._path, writes=False)
            self._opened.append(connection)
        return connection

    async def _run(self, pool: ThreadPoolExecutor, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(pool, work)


def _commit(connection: sqlite3.Connection) -> Any:
    if connection.in_transaction:
        connection.execute("COMMIT")


def _rollback(connection: sqlite3.Connection) -> Any:
    if connection.in_transaction:
        connection.execute("ROLLBACK")
