"""What reads and selective searches cost with 10,000 resources and with 1,000,000: the same ones, in more company.

A few of Synthea's patients are loaded as any others; their rows are then copied inside the database under other ids,
names and hashes, as other people's of the same make, and measured are the first patients before and after.
`BENCH_GROWN` (1,000,000), `BENCH_DATABASES`, `BENCH_SECONDS` as in `fhir_synthea`.
"""

import asyncio
import os
import random
import re
import time
from collections.abc import Callable, Iterator

from sqlalchemy import Connection, Table, text

from fhir_server.store.models import INDEX_TABLES, metadata, resource
from konsil.database import sync_engine
from konsil.secrets import MASTER_KEY_VARIABLE, new_master_key
from tests.bench._server import on_disk, running
from tests.bench._synthea import bundles
from tests.bench.fhir import serve
from tests.bench.fhir_synthea import DATABASES, Known, Running, bulk_loaded, database, deep, reading, searches, timed

SEED_PATIENTS = 4
GROWN = int(os.environ.get("BENCH_GROWN", "1000000"))
SELECTIVE = ("search by id of patient", "patient + code, newest first", "chained", "_include", "quantity")
TABLES = (resource, *INDEX_TABLES.values())
GOLDEN = 0x9E3779B97F4A7C15  # spreads the hashes of the copies
HASHES = {"identity_hash", "patient_key", "target_hash"}
NAMED = {"resource_id", "patient", "target_id"}


def measure() -> Iterator[str]:
    """Lines for each database."""
    os.environ.setdefault("KONSIL_FHIR_VALIDATION", "tag")
    os.environ.setdefault(MASTER_KEY_VARIABLE, new_master_key())  # one for the servers before and after
    files = bundles(40)[:SEED_PATIENTS]
    known = Known.of(files)
    for kind in DATABASES:
        with database(kind) as (url, _):
            yield f"{kind}: {bulk_loaded(url, files, known)}"
            before = costs(url, known)
            started = time.perf_counter()
            count = grow(url, GROWN)
            yield f"{kind}: grown to {count:,} in {time.perf_counter() - started:,.0f} s, {on_disk(url) / 1e9:.1f} GB"
            after = costs(url, known)
            for name, (rate, p50) in before.items():
                now = after[name]
                growth = f"p50 {p50:.1f} to {now[1]:.1f} ms ({now[1] / p50:.2f} times)"
                yield f"{kind}: {name}: {rate:,.0f}/s to {now[0]:,.0f}/s, {growth}"
            yield f"{kind}: {asyncio.run(deepest(url))}"


def costs(url: str, known: Known) -> dict[str, tuple[float, float]]:
    """Rate and median of a read and each selective search."""
    asked: dict[str, Callable[[random.Random], str]] = {
        "read": lambda chance: f"/Patient/{chance.choice(known.patients)}",
        **{name: searches(known)[name] for name in SELECTIVE},
    }
    with running(serve, url) as server, asyncio.Runner() as runner:
        return {name: figures(runner.run(timed(name, server, reading(path)))) for name, path in asked.items()}


def figures(line: str) -> tuple[float, float]:
    """Rate and median out of a line of `timed`."""
    found = re.search(r": ([\d,]+)/s, p50 ([\d.]+)", line)
    if found is None:
        raise ValueError(line)
    return float(found[1].replace(",", "")), float(found[2])


async def deepest(url: str) -> str:
    """The page at depth 20,000."""
    with running(serve, url) as server:
        return [line async for line in deep(port_of(server))][-1]


def port_of(server: Running) -> int:
    return server[0]


def grow(url: str, wanted: int) -> int:
    """Copy what is there until so many resources are; indexes are made again at the end, as a bulk load's would be."""
    engine = sync_engine(url)
    with engine.begin() as connection:
        first, last, count = connection.execute(text("SELECT min(row_id), max(row_id), count(*) FROM resource")).one()
        indexes = [index for table in TABLES for index in table.indexes]
        for index in indexes:
            index.drop(connection)
    copies = max(0, -(-wanted // count) - 1)
    for number in range(1, copies + 1):
        with engine.begin() as connection:
            for table in TABLES:
                copy(connection, table, number, (first, last - first + 1))
    with engine.begin() as connection:
        for index in indexes:
            index.create(connection)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    engine.dispose()
    return int(count * (copies + 1))


def copy(connection: Connection, table: Table, number: int, place: tuple[int, int]) -> None:
    """Everything of the first rows again, as another patient's."""
    first, span = place
    chosen = ", ".join(_copied(table, column.name, number, span) for column in table.columns)
    names = ", ".join(column.name for column in table.columns)
    statement = f"INSERT INTO {table.name} ({names}) SELECT {chosen} FROM {table.name} WHERE row_id >= {first}"
    connection.execute(text(statement))


def _copied(table: Table, name: str, number: int, span: int) -> str:
    if name == "row_id":
        return f"row_id - {number * span}"
    if name in HASHES:
        other = number * GOLDEN % (1 << 62)
        return f"({name} | {other}) - ({name} & {other})"  # exclusive or, in what both databases have
    if name in NAMED:
        return f"{name} || '-{number}'"
    if name in {"value", "exact"} and table is metadata.tables["index_string"]:
        return f"'{number}' || {name}"
    return name
