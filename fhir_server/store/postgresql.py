"""PostgreSQL by asyncpg: a pool, prepared statements, READ COMMITTED with explicit locks.

Between our process and the database every question and answer takes longer than most statements, so a transaction's
writes go as one statement, and what is too large for that by COPY.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy import Delete, Executable, Insert, Select, Update
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect

from fhir_server.errors import Unavailable
from fhir_server.store.bulk_sql import Statement as Rendered
from fhir_server.store.bulk_sql import together, unnested, unnested_delete, unnested_records, unnested_update
from fhir_server.store.compiler import Compiler, Lookup, Records, Statement, Step
from fhir_server.store.database import NO_LIMIT, Contention, Dialect, Parameters, Row, too_costly

CONTENTION = (
    asyncpg.UniqueViolationError,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
)
AWAY = (asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError, OSError)
# From so many rows of one table on, COPY is quicker than arrays.
MANY = 500
LARGEST_STATEMENT = 60_000


class PostgresqlTransaction:
    """Statements of one transaction on one connection."""

    dialect: Dialect = "postgresql"

    def __init__(self, connection: Any, compiler: Compiler, limit_seconds: float) -> None:
        self._connection = connection
        self._compiler = compiler
        self._limit = limit_seconds

    async def fetch(self, statement: Statement, parameters: Parameters | None = None) -> Sequence[Row]:
        """Run a statement and give its rows."""
        sql, values = self._compiler.render(statement, parameters)
        limit = self._limit if _only_reads(statement) else NO_LIMIT
        try:
            rows: Sequence[Row] = await self._connection.fetch(sql, *values, timeout=limit)
        except TimeoutError:
            raise too_costly() from None
        return rows

    async def execute(self, statement: Executable, parameters: Parameters | None = None) -> int:
        """Run a statement and give the number of rows it touched (the last word of the command tag)."""
        sql, values = self._compiler.render(statement, parameters)
        tag: str = await self._connection.execute(sql, *values)
        count = tag.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    async def run(self, steps: Sequence[Step]) -> None:
        """Run statements as if one after the other; no two of them may change the same row."""
        small: list[Rendered] = []
        large: list[tuple[str, Sequence[str], Iterable[Sequence[Any]]]] = []
        for step in steps:
            copied = _copied(step)
            if copied is not None:
                large.append(copied)
            else:
                small.append(self._rendered(step))
        if small:
            sql, values = together(small)
            await self._connection.fetch(sql, *values)
        for table, names, records in large:
            await self._connection.copy_records_to_table(table, records=records, columns=names)

    def _rendered(self, step: Step) -> Rendered:
        """One statement for all of its rows."""
        if isinstance(step, Records):
            return unnested_records(step.table, step.rows, self._compiler.dialect)
        statement, rows = step
        if isinstance(statement, Lookup):
            return self._compiler.render(statement, rows[0] if rows else None)
        if rows is not None and isinstance(statement, Insert):
            return unnested(statement, rows, self._compiler.dialect)
        if rows is not None and isinstance(statement, Update):
            return unnested_update(statement, rows, self._compiler.dialect)
        if rows is not None and isinstance(statement, Delete):
            return unnested_delete(statement, rows)
        sql, (values,) = self._compiler.render_step((statement, rows))
        return sql, values

    async def execute_many(self, statement: Executable, parameters: Sequence[Parameters]) -> None:
        """Run one statement with many parameter sets, pipelined."""
        if parameters:
            sql, values = self._compiler.render_many(statement, parameters)
            await self._connection.executemany(sql, values)


class PostgresqlDatabase:
    """A pool of connections to one database."""

    dialect: Dialect = "postgresql"

    def __init__(self, pool: Any, limit_seconds: float) -> None:
        self._pool = pool
        self._limit = limit_seconds
        self._compiler = Compiler(asyncpg_dialect())  # type: ignore[no-untyped-call]

    @classmethod
    async def open(cls, url: str, connections: int = 10, limit_seconds: float = NO_LIMIT) -> "PostgresqlDatabase":
        """Open the pool."""
        pool = asyncpg.create_pool(
            url,
            server_settings={"jit": "off"},  # compiling one of our statements takes seconds, running it milliseconds
            min_size=1,
            max_size=connections,
            reset=_nothing_to_reset,
            statement_cache_size=500,
            max_cached_statement_lifetime=0,
            max_cacheable_statement_size=LARGEST_STATEMENT,
        )
        return cls(await pool, limit_seconds)

    async def fetch(self, statement: Statement, parameters: Parameters | None = None) -> Sequence[Row]:
        """Run a SELECT on any connection."""
        sql, values = self._compiler.render(statement, parameters)
        try:
            async with self._pool.acquire() as connection:
                rows: Sequence[Row] = await connection.fetch(sql, *values, timeout=self._limit)
        except TimeoutError:
            raise too_costly() from None
        except AWAY as error:
            raise Unavailable("The database is away.") from error
        return rows

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresqlTransaction]:
        """BEGIN ... COMMIT on one connection."""
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                yield PostgresqlTransaction(connection, self._compiler, self._limit)
        except CONTENTION as error:
            raise Contention(str(error)) from error
        except AWAY as error:
            raise Unavailable("The database is away.") from error

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()


def _copied(step: Step) -> tuple[str, Sequence[str], Iterable[Sequence[Any]]] | None:
    """Table, columns and rows of what is better copied; None for the rest."""
    if isinstance(step, Records):
        return (step.table.name, step.table.columns.keys(), step.rows) if len(step.rows) > MANY else None
    statement, rows = step
    if not isinstance(statement, Insert) or rows is None or len(rows) <= MANY:
        return None
    names = tuple(rows[0])
    return statement.table.name, names, (tuple(row[name] for name in names) for row in rows)


def _only_reads(statement: Statement) -> bool:
    """Whether it waits for nobody: who locks may have to, for as long as others work."""
    return isinstance(statement, Select) and statement._for_update_arg is None


async def _nothing_to_reset(connection: Any) -> None:
    """Leave the session as it is: asyncpg would ask the server to, at each statement; nothing here outlasts its
    transaction.
    """
