"""Synchronous SQLAlchemy engines on SQLite and PostgreSQL, set up once and alike for every program."""

import hashlib
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url

BUSY_TIMEOUT_SECONDS = 10
_READ_ONLY = "konsil_read_only"


def sync_engine(url: str) -> Engine:
    """Make an engine for `sqlite:////absolute/path.db` or `postgresql://user:password@host/name`.

    SQLite: WAL, synchronous=FULL, foreign keys, 10 s busy timeout, and every transaction begins IMMEDIATE, because a
    deferred one fails as locked when it turns from reading to writing; the parent folder is made.  PostgreSQL: psycopg,
    connections checked before use.  No error's text holds a statement's values: they may be somebody's name.
    Raises ValueError for any other kind of database.
    """
    parsed = make_url(url)
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        return _sqlite_engine(parsed)
    if backend == "postgresql":
        return create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True, hide_parameters=True)
    raise ValueError(f"no support for the database kind {backend!r}: use sqlite or postgresql")


def reader(engine: Engine) -> Engine:
    """The same engine and pool for transactions that only read: on SQLite these never wait for a writer."""
    return engine.execution_options(**{_READ_ONLY: True})


def lock_transaction(connection: Connection, name: str) -> None:
    """Let one transaction at a time go past this point, for all that use the same name.

    PostgreSQL: an advisory lock until the transaction's end.  SQLite: nothing to do, BEGIN IMMEDIATE has done it.
    """
    if connection.dialect.name == "postgresql":
        number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})


def _sqlite_engine(url: URL) -> Engine:
    if url.database and url.database != ":memory:":
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    timeout = {"timeout": BUSY_TIMEOUT_SECONDS}
    engine = create_engine(url.set(drivername="sqlite+pysqlite"), connect_args=timeout, hide_parameters=True)
    event.listen(engine, "connect", _prepare_sqlite_connection)
    event.listen(engine, "begin", _begin_sqlite_transaction)
    return engine


def _prepare_sqlite_connection(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself: _begin_sqlite_transaction does
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite_transaction(connection: Connection) -> None:
    read_only = connection.get_execution_options().get(_READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
