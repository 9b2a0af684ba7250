"""How many rows a second one runner takes through the outbox: enqueue, claim, run, finish, each durable."""

import tempfile
import time
from collections.abc import Iterator

from sqlalchemy import MetaData

from konsil.database import sync_engine
from konsil.outbox import NewJob, Runner, enqueue, outbox_table

ROWS = 1000


def measure() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        engine = sync_engine(f"sqlite:///{folder}/bench.db")
        metadata = MetaData()
        table = outbox_table(metadata)
        metadata.create_all(engine)
        started = time.perf_counter()
        with engine.begin() as connection:
            for number in range(ROWS):
                connection.execute(enqueue(table, "sqlite", NewJob("work", {"number": number}, str(number))))
        yield f"SQLite enqueue in one transaction: {ROWS / (time.perf_counter() - started):,.0f} rows/s"
        started = time.perf_counter()
        done = Runner(engine, table, {"work": lambda _: None}).run_due(ROWS)
        yield f"SQLite claim, run, finish: {done / (time.perf_counter() - started):,.0f} rows/s"
        engine.dispose()
