"""An import beside its floor, Bundle by Bundle in turns, in one database: processor time of the server's process and of
a bare program that parses the same JSON and puts in the same rows.

`BENCH_IMPORTED` (10 patients), `BENCH_DATABASES` ("sqlite postgresql").
"""

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.bench import _write_floor
from tests.bench._server import running
from tests.bench._synthea import bundles
from tests.bench.fhir import Connection, expect, opened, processor_seconds, serve
from tests.bench.fhir_synthea import DATABASES, IMPORTED, PATIENTS, Running, database


def measure() -> Iterator[str]:
    """A line for each database."""
    os.environ.setdefault("KONSIL_FHIR_VALIDATION", "tag")
    files = bundles(PATIENTS)[:IMPORTED]
    os.environ["BENCH_FLOOR"] = os.pathsep.join(map(str, files))
    for kind in DATABASES:
        with database(kind) as (url, _), running(serve, url) as server, running(_write_floor.serve, url) as floor:
            yield f"{kind}: {asyncio.run(by_turns(server, floor, files))}"


async def by_turns(server: Running, floor: Running, files: list[Path]) -> str:
    """Each Bundle to the one and the other; the first one warms up."""
    connections = [Connection(*await opened(port)) for port, _ in (server, floor)]
    spent, count = [0.0, 0.0], 0
    for n, file in enumerate(files):
        body = json.loads(file.read_bytes())
        costs = [await _cost(one, pid, body) for one, (_, pid) in zip(connections, (server, floor), strict=True)]
        if n:
            spent = [before + cost for before, cost in zip(spent, costs, strict=True)]
            count += len(body["entry"])
    for connection in connections:
        connection.writer.close()
    ours, bare = (each / count * 1e6 for each in spent)
    return f"import {ours:,.0f} us of the server's processor a resource, the floor {bare:,.0f} ({bare / ours:.0%})"


async def _cost(connection: Connection, pid: int, body: dict[str, Any]) -> float:
    before = processor_seconds(pid)
    await expect(connection, "POST", "", body)
    return processor_seconds(pid) - before
