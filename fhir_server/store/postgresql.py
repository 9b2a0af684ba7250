"""PostgreSQL by asyncpg: a pool, prepared statements, READ COMMITTED with explicit locks."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy import Executable
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect

from fhir_server.errors import Unavailable
from fhir_server.store.compiler import Compiler
from fhir_server.store.database import Contention, Dialect, Parameters, Row, Step

CONTENTION = (
    asyncpg.UniqueViolationError,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
)
AWAY = (asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError, OSError)


class PostgresqlTransaction:
    """Statements of one transaction on one connection."""

    dialect: Dialect = "postgresql"

    def __init__(self, connection: Any, compiler: Compiler) -> None:
        self._connection = connection
        self._compiler = compiler

    async def fetch(self, statement: Executable, parameters: Parameters | None = None) -> Sequence[Row]:
        """Run a statement and give its rows."""
        sql, values = self._compiler.render(statement, parameters)
        rows: Sequence[Row] = await self._connection.fetch(sql, *values)
        return rows

    async def execute(self, statement: Executable, parameters: Parameters | None = None) -> int:
        """Run a statement and give the number of rows it touched (the last word of the command tag)."""
        sql, values = self._compiler.render(statement, parameters)
        tag: str = await self._connection.execute(sql, *values)
        count = tag.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    async def run(self, steps: Sequence[Step]) -> None:
        """Run statements one after the other, the parameter sets of each pipelined."""
        for step in steps:
            sql, rows = self._compiler.render_step(step)
            await self._connection.executemany(sql, rows)

    async def execute_many(self, statement: Executable, parameters: Sequence[Parameters]) -> None:
        """Run one statement with many parameter sets, pipelined."""
        if parameters:
            sql, values = self._compiler.render_many(statement, parameters)
            await self._connection.executemany(sql, values)


class PostgresqlDatabase:
    """A pool of connections to one database."""

    dialect: Dialect = "postgresql"

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._compiler = Compiler(asyncpg_dialect())  # type: ignore[no-untyped-call]

    @classmethod
    async def open(cls, url: str, connections: int = 10) -> "PostgresqlDatabase":
        """Open the pool."""
        return cls(await asyncpg.create_pool(url, min_size=1, max_size=connections, statement_cache_size=500))

    async def fetch(self, statement: Executable, parameters: Parameters | None = None) -> Sequence[Row]:
        """Run a SELECT on any connection."""
        sql, values = self._compiler.render(statement, parameters)
        try:
            async with self._pool.acquire() as connection:
                rows: Sequence[Row] = await connection.fetch(sql, *values)
        except AWAY as error:
            raise Unavailable("The database is away.") from error
        return rows

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresqlTransaction]:
        """BEGIN ... COMMIT on one connection."""
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                yield PostgresqlTransaction(connection, self._compiler)
        except CONTENTION as error:
            raise Contention(str(error)) from error
        except AWAY as error:
            raise Unavailable("The database is away.") from error

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()
