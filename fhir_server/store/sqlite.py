"""SQLite: WAL, synchronous=FULL, one writing connection with BEGIN IMMEDIATE, a pool of reading ones on threads.

The statements of a write transaction, look-ups by a key and the first millisecond of a search run where they are
called: most take some ten microseconds, a visit to a thread takes longer and, while the loop is busy, waits for the
interpreter's lock up to 5 ms, with the database locked meanwhile. What takes long goes to a thread: a search that has
not ended by then begins anew there. So do the flush of a COMMIT, and waiting for another process that writes.
"""

import asyncio
import math
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Executable
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect

from fhir_server.errors import Unavailable
from fhir_server.store.compiler import Compiler, Statement, Step
from fhir_server.store.database import NO_LIMIT, Contention, Dialect, Parameters, Row, too_costly

BUSY_SECONDS = 10.0
# Between two looks at the clock.
STEPS = 1_000
# One to three milliseconds: what a search may take of the loop.
AT_ONCE = 300_000
Result = TypeVar("Result")


def _connect(path: str, *, writes: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-32000"):
        connection.execute(f"PRAGMA {pragma}")
    if not writes:
        connection.execute("PRAGMA query_only=ON")
    return connection


class Patience:
    """Ends the statement of a connection: after so many steps of SQLite's machine, or so many seconds.

    https://www.sqlite.org/c3ref/progress_handler.html
    """

    def __init__(self, connection: sqlite3.Connection, seconds: float, steps: float = math.inf) -> None:
        self._connection = connection
        self._seconds, self._most = seconds, steps / STEPS
        self._until, self._asked = math.inf, 0
        connection.set_progress_handler(self._is_over, STEPS)

    def fetch(self, sql: str, values: Sequence[Any]) -> list[Any]:
        """Run a statement to its end. Raises Interrupted."""
        self._until, self._asked = time.monotonic() + self._seconds, 0
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.OperationalError as error:
            raise Interrupted if str(error) == "interrupted" else error from None
        finally:
            self._until = math.inf

    def _is_over(self) -> bool:
        self._asked += 1
        return self._until < math.inf and (self._asked > self._most or time.monotonic() > self._until)


class Interrupted(Exception):
    """It has taken too long."""


class SqliteTransaction:
    """Statements of one transaction; it begins with the first of them."""

    dialect: Dialect = "sqlite"

    def __init__(self, database: "SqliteDatabase") -> None:
        self._database = database
        self.begun = False

    async def fetch(self, statement: Statement, parameters: Parameters | None = None) -> Sequence[Row]:
        """Run a statement and give its rows."""
        sql, values = self._database.compiler.render(statement, parameters)
        try:
            return await self._write(lambda _: self._database.patience.fetch(sql, values))
        except Interrupted:
            raise too_costly() from None

    async def execute(self, statement: Executable, parameters: Parameters | None = None) -> int:
        """Run a statement and give the number of rows it touched."""
        sql, values = self._database.compiler.render(statement, parameters)
        return await self._write(lambda connection: connection.execute(sql, values).rowcount)

    async def run(self, steps: Sequence[Step]) -> None:
        """Run statements one after the other."""
        rendered = [self._database.compiler.render_step(step) for step in steps]
        await self._write(lambda connection: [connection.executemany(sql, rows) for sql, rows in rendered])

    async def execute_many(self, statement: Executable, parameters: Sequence[Parameters]) -> None:
        """Run one statement with many parameter sets."""
        if parameters:
            await self.run([(statement, parameters)])

    async def _write(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        return await self._database.write(self, work)


class SqliteDatabase:
    """One file, opened by this process and its workers only."""

    dialect: Dialect = "sqlite"

    def __init__(self, path: str, readers: int, limit_seconds: float) -> None:
        self.compiler = Compiler(sqlite_dialect(paramstyle="qmark"))
        self._path = path
        self._limit = limit_seconds
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._here: Patience | None = None
        self._turn = asyncio.Lock()
        self._group: asyncio.Future[None] | None = None
        self._committer: asyncio.Task[None] | None = None
        self._writing = ThreadPoolExecutor(1, "sqlite-write")
        self._reading = ThreadPoolExecutor(readers, "sqlite-read")

    @classmethod
    async def open(cls, path: str, readers: int = 4, limit_seconds: float = NO_LIMIT) -> "SqliteDatabase":
        """Open the file, made with its folder if it is missing."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        database = cls(path, readers, limit_seconds)
        database._writer = await database._run(database._writing, lambda: _connect(path, writes=True))
        database.patience = Patience(database._writer, limit_seconds)
        return database

    _writer: sqlite3.Connection
    patience: Patience

    async def fetch(self, statement: Statement, parameters: Parameters | None = None) -> Sequence[Row]:
        """Run a SELECT on a reading connection."""
        sql, values = self.compiler.render(statement, parameters)
        try:
            return self._first_steps(sql, values)
        except Interrupted:
            pass
        try:
            return await self._run(self._reading, lambda: self._reader().fetch(sql, values))
        except Interrupted:
            raise too_costly() from None

    def _first_steps(self, sql: str, values: Sequence[Any]) -> Sequence[Row]:
        """Where most searches end. Raises Interrupted."""
        if self._here is None:
            self._here = Patience(self._connected(), NO_LIMIT, AT_ONCE)
        return self._here.fetch(sql, values)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[SqliteTransaction]:
        """The only writer of this process until the block ends, of all processes from its first statement on."""
        transaction = SqliteTransaction(self)
        async with self._turn:
            try:
                yield transaction
                self._end(transaction, "RELEASE one")
            except BaseException:
                self._end(transaction, "ROLLBACK TO one", "RELEASE one")
                raise
            finally:
                group = self._group
                if group is not None and self._committer is None:
                    self._committer = asyncio.create_task(self._commit())
        if transaction.begun and group is not None:
            await asyncio.shield(group)

    def _end(self, transaction: SqliteTransaction, *statements: str) -> None:
        """End the SAVEPOINT; where SQLite has taken everything back by itself, all of the group have failed."""
        if not transaction.begun:
            return
        if self._writer.in_transaction:
            for statement in statements:
                self._writer.execute(statement)
        elif self._group is not None:
            failure = Unavailable("The database took the changes back.")
            _fail(self._group, failure)
            self._group = None
            raise failure

    async def write(self, transaction: SqliteTransaction, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Run work on the writing connection, inside the transaction."""
        try:
            if not transaction.begun:
                if not self._writer.in_transaction:
                    await self._begin()
                self._writer.execute("SAVEPOINT one")
                transaction.begun = True
            return work(self._writer)
        except sqlite3.IntegrityError as error:
            raise Contention(str(error)) from error
        except sqlite3.OperationalError as error:
            raise _unavailable(error) from None

    async def _begin(self) -> None:
        """BEGIN IMMEDIATE at once, or on the thread as soon as another process has finished."""
        try:
            self._writer.execute("PRAGMA busy_timeout=0")
            self._writer.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            await _to_its_end(self._run(self._writing, lambda: _begin_patiently(self._writer)))
        finally:
            if self._writer.in_transaction:
                self._group = asyncio.get_running_loop().create_future()

    async def _commit(self) -> None:
        """COMMIT what those who waited have written, and tell them."""
        async with self._turn:
            group, self._group, self._committer = self._group, None, None
            if group is None:
                return
            try:
                await self._run(self._writing, lambda: _commit(self._writer))
                group.set_result(None)
            except sqlite3.OperationalError as error:
                _fail(group, _unavailable(error))

    async def close(self) -> None:
        """Close every connection."""
        if self._committer is not None:
            await self._committer
        await self._run(self._writing, self._writer.close)
        self._writing.shutdown()
        self._reading.shutdown()
        for connection in self._opened:
            connection.close()

    def _reader(self) -> Patience:
        reader: Patience | None = getattr(self._local, "reader", None)
        if reader is None:
            reader = self._local.reader = Patience(self._connected(), self._limit)
        return reader

    def _connected(self) -> sqlite3.Connection:
        connection = _connect(self._path, writes=False)
        self._opened.append(connection)
        return connection

    async def _run(self, pool: ThreadPoolExecutor, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(pool, work)


def _begin_patiently(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA busy_timeout={int(BUSY_SECONDS * 1000)}")
    connection.execute("BEGIN IMMEDIATE")


def _commit(connection: sqlite3.Connection) -> None:
    try:
        connection.execute("COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _fail(group: asyncio.Future[None], error: Exception) -> None:
    """Tell everybody of the group; nobody may be left to hear it."""
    group.set_exception(error)
    group.exception()


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Wait even when cancelled: the database may not be left in between."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    task.result()
    if cancelled is not None:
        raise cancelled


def _unavailable(error: sqlite3.OperationalError) -> Exception:
    """Another process held the database for too long; anything else is a fault."""
    return Unavailable("The database is busy.") if "locked" in str(error) else error
