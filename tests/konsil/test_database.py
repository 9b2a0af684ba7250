"""Engines: durable, concurrent, closed to what they do not know."""

from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from konsil.database import lock_transaction, reader, sync_engine


def test_sqlite_is_set_up_for_durable_concurrent_use(tmp_path: Path) -> None:
    engine = sync_engine(f"sqlite:///{tmp_path}/folder/test.db")
    with engine.begin() as connection:
        values = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
        assert values == ["wal", 2]
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 10_000
        connection.exec_driver_sql("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
        connection.exec_driver_sql("CREATE TABLE child (parent INTEGER REFERENCES parent (id))")
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO child VALUES (1)")
    engine.dispose()


def test_read_then_write_loses_no_update_between_threads(database_url: str) -> None:
    engine = sync_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE counter (value INTEGER)"))
        connection.execute(text("INSERT INTO counter VALUES (0)"))

    def count() -> None:
        for _ in range(25):
            with engine.begin() as connection:
                lock_transaction(connection, "counter")
                value = connection.execute(text("SELECT value FROM counter")).scalar_one()
                connection.execute(text("UPDATE counter SET value = :value"), {"value": value + 1})

    threads = [Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with reader(engine).connect() as connection:
        assert connection.execute(text("SELECT value FROM counter")).scalar_one() == 100
    engine.dispose()


def test_a_reader_waits_for_no_writer(tmp_path: Path) -> None:
    engine = sync_engine(f"sqlite:///{tmp_path}/test.db")
    with engine.begin() as writer:
        writer.exec_driver_sql("CREATE TABLE word (value TEXT)")
    with engine.begin() as writer:
        writer.exec_driver_sql("INSERT INTO word VALUES ('unseen')")
        with reader(engine).connect() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM word").scalar() == 0
    engine.dispose()


def test_an_error_never_quotes_values(database_url: str) -> None:
    engine = sync_engine(database_url)
    with pytest.raises(DBAPIError) as raised, engine.begin() as connection:
        connection.execute(text("INSERT INTO nowhere VALUES (:name)"), {"name": "Jane Doe"})
    assert "Jane" not in str(raised.value)
    engine.dispose()


def test_other_databases_are_refused() -> None:
    with pytest.raises(ValueError, match="mysql"):
        sync_engine("mysql://127.0.0.1/konsil")
