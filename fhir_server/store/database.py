"""The driver seam: SQLAlchemy composes and compiles a statement once, a bare driver runs it.

`connect("sqlite:////path.db")` or `connect("postgresql://user:pw@host/name")` gives a `Database`. Rows are read by
column name (`row["name"]`) on both. Columns hold integers, floats, text, bytes and booleans; on SQLite a boolean comes
back as 0 or 1.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, Protocol

from sqlalchemy import Executable

from fhir_server.errors import TooCostly
from fhir_server.store.compiler import Statement, Step

Parameters = Mapping[str, Any]
Dialect = Literal["sqlite", "postgresql"]
NO_LIMIT = 1e9


class Row(Protocol):
    """One row, read by column name."""

    def __getitem__(self, key: Any, /) -> Any:
        """The value of a column."""

    def keys(self) -> Iterable[str]:
        """The columns' names."""


class Contention(Exception):
    """Another transaction was in the way (deadlock, serialization, unique key): run the whole transaction again."""


class Transaction(Protocol):
    """An open write transaction; it sees its own writes."""

    dialect: Dialect

    async def fetch(self, statement: Statement, parameters: Parameters | None = None) -> Sequence[Row]:
        """Run a statement and give its rows (SELECT, or DML with RETURNING). Raises TooCostly."""

    async def execute(self, statement: Executable, parameters: Parameters | None = None) -> int:
        """Run a statement and give the number of rows it touched."""

    async def run(self, steps: Sequence[Step]) -> None:
        """Run statements one after the other, each with many parameter sets or (None) with none; put in records."""

    async def execute_many(self, statement: Executable, parameters: Sequence[Parameters]) -> None:
        """Run one statement with many parameter sets; all sets have the same names."""


class Database(Protocol):
    """A connected database."""

    dialect: Dialect

    async def fetch(self, statement: Statement, parameters: Parameters | None = None) -> Sequence[Row]:
        """Run a SELECT outside any transaction, on a reading connection. Raises TooCostly."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Open a write transaction: committed at the end, rolled back on any error.

        Raises Contention (also at commit) when the transaction should be run again.
        """

    async def close(self) -> None:
        """Close every connection."""


async def connect(url: str, connections: int = 10, limit_seconds: float = 0.0) -> Database:
    """Open the database of a URL; `connections` is the size of the pool, `limit_seconds` the longest that a SELECT may
    take (0: any time).
    """
    if url.startswith("sqlite:///"):
        from fhir_server.store.sqlite import SqliteDatabase

        path, readers = url.removeprefix("sqlite:///"), min(connections, 4)
        return await SqliteDatabase.open(path, readers, limit_seconds or NO_LIMIT)
    from fhir_server.store.postgresql import PostgresqlDatabase

    return await PostgresqlDatabase.open(url, connections, limit_seconds or NO_LIMIT)


def too_costly() -> TooCostly:
    """What is answered when a SELECT has taken too long."""
    return TooCostly("This takes too long here: ask for less, or add a condition that few resources meet.")
