"""The floor of an import: what parsing the same JSON and putting in the same rows cost, without a FHIR server.

A bare Starlette route parses the Bundle, finds the rows that it was given for it before it began to serve, and puts
them in with one prepared statement a table (SQLite) or COPY (PostgreSQL), in one transaction.
"""

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from fhir_server import wire
from fhir_server.caller import Caller
from fhir_server.definitions import load
from fhir_server.interactions import references
from fhir_server.search.extract import Extractor
from fhir_server.search.registry import Registry
from fhir_server.search.ucum import load_units
from fhir_server.settings import default_definitions, default_units
from fhir_server.store.models import INDEX_TABLES, resource
from fhir_server.store.rows import Batch, Placement, Write, add_write

NOBODY = Caller("floor", "floor")
Rows = dict[str, list[tuple[Any, ...]]]


def rows_of(path: Path) -> Rows:
    """Every row that a Bundle becomes, by table."""
    extractor = Extractor(Registry(load(default_definitions()), load_units(default_units())), "http://x.test/fhir")
    entries = wire.loads(path.read_bytes())["entry"]
    named = {one["fullUrl"]: f"{one['resource']['resourceType']}/{uuid4()}" for one in entries}
    batch = Batch()
    for one in entries:
        resource_type, _, resource_id = named[one["fullUrl"]].partition("/")
        found = references.rewrite(one["resource"], named, []) | {"id": resource_id}
        extracted = extractor.extract(found)
        write = Write("create", resource_type, resource_id, found)
        add_write(batch, write, Placement(extracted.patient, "x"), extracted, (NOBODY, 1_700_000_000_000_000, _number))
    states = [tuple(row[column.name] for column in resource.columns) for row in batch.inserted]
    return {"resource": states} | {INDEX_TABLES[kind].name: rows for kind, rows in batch.index.items()}


def _number(resource_type: str, code: str) -> int:
    return sum(f"{resource_type}.{code}".encode())


def serve(database_url: str, port: int) -> None:
    import os

    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    paths = [Path(one) for one in os.environ["BENCH_FLOOR"].split(os.pathsep)]
    known = {json.loads(path.read_bytes())["entry"][0]["fullUrl"]: rows_of(path) for path in paths}
    put_in = _sqlite(database_url) if database_url.startswith("sqlite") else _postgresql(database_url)

    async def take(request: Request) -> Response:
        bundle = json.loads(await request.body())
        await put_in(known[bundle["entry"][0]["fullUrl"]])
        return Response(b'{"entry":[]}', media_type="application/fhir+json")

    app = Starlette(routes=[Route("/fhir", take, methods=["POST"])])
    kept = 60  # seconds that a connection may wait for its turn
    uvicorn.run(app, port=port, loop="uvloop", http="httptools", log_config=None, timeout_keep_alive=kept)


TABLES: Mapping[str, Any] = {table.name: table for table in (resource, *INDEX_TABLES.values())}


def _sqlite(url: str) -> Any:
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    connection.execute("PRAGMA synchronous=FULL")

    async def put_in(rows: Rows) -> None:
        connection.execute("BEGIN IMMEDIATE")
        for name, records in rows.items():
            marks = ", ".join("?" * len(TABLES[name].columns))
            connection.executemany(f"INSERT INTO {name} VALUES ({marks})", records)
        connection.execute("COMMIT")

    return put_in


def _postgresql(url: str) -> Any:
    import asyncpg

    async def put_in(rows: Rows) -> None:
        connection = await asyncpg.connect(url)
        async with connection.transaction():
            for name, records in rows.items():
                columns = TABLES[name].columns.keys()
                await connection.copy_records_to_table(name, records=records, columns=columns)
        await connection.close()

    return put_in
