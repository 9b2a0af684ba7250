"""What the audit costs the server: reads, searches, creates on SQLite, at two servers by turns of some requests.

Processor time of each server, its sealing and listing included, also what it does of it in the other's turn; by turns,
because the pace of a processor that is shared with others changes by the second.
"""

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from typing import Any

from tests.bench._server import running
from tests.bench.fhir import CODES, LOINC, Connection, expect, observation, opened, processor_seconds, serve

ROUNDS, REST_SECONDS = 40 * int(os.environ.get("BENCH_REPEATS", "1")), 2
SEARCH = f"/Observation?patient=one&code={LOINC}|{CODES[0]}&_sort=-date&_count=10"
Work = Callable[[Connection, int], Awaitable[Any]]
WORK: dict[str, tuple[int, Work]] = {
    "read": (100, lambda server, n: expect(server, "GET", "/Patient/one")),
    "search of ten": (20, lambda server, n: expect(server, "GET", SEARCH)),
    "create": (20, lambda server, n: expect(server, "POST", "/Observation", observation("Patient/one", n))),
}


def measure() -> Iterator[str]:
    """A line for each kind of request."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        servers = []
        for audit in ("false", "true"):
            os.environ["KONSIL_FHIR_AUDIT"] = audit  # the server's process inherits it
            servers.append(stack.enter_context(running(serve, f"sqlite:///{folder}/{audit}.db")))
        del os.environ["KONSIL_FHIR_AUDIT"]
        yield from asyncio.run(by_turns(servers))


async def by_turns(servers: list[tuple[int, int]]) -> list[str]:
    """Fill both, then ask the one and the other."""
    connections = [Connection(*await opened(port)) for port, _ in servers]
    pids = [pid for _, pid in servers]
    for connection in connections:
        await expect(connection, "PUT", "/Patient/one", {"resourceType": "Patient", "id": "one"})
        for n in range(300):
            await expect(connection, "POST", "/Observation", observation("Patient/one", n))
    lines = []
    for name, (times, work) in WORK.items():
        await asyncio.sleep(REST_SECONDS)  # what was begun before is not this one's
        before = [processor_seconds(pid) for pid in pids]
        for turn in range(ROUNDS):
            for connection in connections:
                for n in range(times):
                    await work(connection, turn * times + n)
        spent = [processor_seconds(pid) - start for pid, start in zip(pids, before, strict=True)]
        without, audited = (each / times / ROUNDS * 1e6 for each in spent)
        lines.append(f"{name}: {without:,.0f} us without, {audited:,.0f} with ({(audited - without) / without:+.0%})")
    for connection in connections:
        connection.writer.close()
    return lines
