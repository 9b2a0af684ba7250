"""The FHIR server with patients of Synthea: bulk load, import, reads beside the floor, a CRUD mix, searches.

`BENCH_PATIENTS` (40; the full run takes 400), `BENCH_IMPORTED` (10 patients by transaction), `BENCH_SECONDS` for each
row, `BENCH_DATABASES` ("sqlite postgresql"). Client, server and database share the machine.
"""

import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fhir_server.settings import Settings
from tests.bench import _floor
from tests.bench._postgresql import cluster
from tests.bench._server import children, on_disk, peak_megabytes, running
from tests.bench._synthea import bundles
from tests.bench.fhir import CONNECTIONS, Connection, Work, expect, opened, processor_seconds, serve

PATIENTS = int(os.environ.get("BENCH_PATIENTS", "40"))
IMPORTED = int(os.environ.get("BENCH_IMPORTED", "10"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "5"))
DATABASES = os.environ.get("BENCH_DATABASES", "sqlite postgresql").split()
DEPTH = 20_000
FLOORS = 3
# Port and process id.
Running = tuple[int, int]


@dataclass
class Known:
    """What searches ask for, taken from the data."""

    resources: int = 0
    patients: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    encounters: list[str] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    conditions: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, files: list[Path]) -> "Known":
        known, codes, conditions = cls(), Counter[str](), Counter[str]()
        for file in files:
            for entry in json.loads(file.read_bytes())["entry"]:
                resource = entry["resource"]
                known.resources += 1
                match resource["resourceType"]:
                    case "Patient":
                        known.patients.append(resource["id"])
                        known.names.append(resource["name"][0]["family"])
                    case "Encounter":
                        known.encounters.append(resource["id"])
                    case "Observation" if "valueQuantity" in resource:
                        codes[_code(resource)] += 1
                    case "Condition":
                        conditions[_code(resource)] += 1
        known.codes = [code for code, _ in codes.most_common(20)]
        known.conditions = [code for code, _ in conditions.most_common(20)]
        return known


def _code(resource: dict[str, Any]) -> str:
    coding = resource["code"]["coding"][0]
    return f"{coding['system']}|{coding['code']}"


def searches(known: Known) -> dict[str, Callable[[random.Random], str]]:
    """What is asked, by name."""
    return {
        "search by id of patient": lambda chance: f"/Patient?_id={chance.choice(known.patients)}",
        "patient + code, newest first": lambda chance: (
            f"/Observation?patient={chance.choice(known.patients)}&code={chance.choice(known.codes)}"
            "&_sort=-date&_count=10&_total=none"
        ),
        "date range": lambda chance: (
            f"/Encounter?date=ge{(year := chance.randrange(2000, 2024))}-03&date=lt{year}-05&_count=10&_total=none"
        ),
        "chained": lambda chance: (
            f"/Observation?patient.family={quote(chance.choice(known.names))}&code={chance.choice(known.codes)}"
            "&_count=10&_total=none"
        ),
        "_has": lambda chance: (
            f"/Patient?_has:Condition:patient:code={chance.choice(known.conditions)}&_count=10&_total=none"
        ),
        "_include": lambda chance: (
            f"/Encounter?_id={chance.choice(known.encounters)}&_include=Encounter:patient"
            "&_include=Encounter:participant&_total=none"
        ),
        "composite": lambda chance: (
            f"/Observation?code-value-quantity={chance.choice(known.codes)}$gt{chance.randrange(5, 150)}"
            "&_count=10&_total=none"
        ),
        "quantity": lambda chance: (
            f"/Observation?patient={chance.choice(known.patients)}&value-quantity=gt{chance.randrange(5, 150)}"
            "&_count=10&_total=none"
        ),
        "string prefix": lambda chance: f"/Patient?name={quote(chance.choice(known.names)[:3])}&_count=10&_total=none",
        "accurate count": lambda chance: (
            f"/Observation?code={chance.choice(known.codes)}&_summary=count&_total=accurate"
        ),
    }


def reading(path: Callable[[random.Random], str]) -> Work:
    chance = random.Random(1)

    async def work(connection: Connection, n: int) -> None:
        await expect(connection, "GET", path(chance))

    return work


def mix(known: Known) -> Work:
    """Half reads; a create, update or delete each sixth, of what it made itself."""
    chance = random.Random(2)
    made: list[str] = []

    async def work(connection: Connection, n: int) -> None:
        kind = chance.randrange(6)
        if kind < 3:
            await expect(connection, "GET", f"/Patient/{chance.choice(known.patients)}")
        elif kind == 3 or not made:
            answer = await expect(connection, "POST", "/Observation", observation(chance.choice(known.patients), n))
            made.append(answer["id"])
        elif kind == 4:
            own = made.pop()
            await expect(
                connection,
                "PUT",
                f"/Observation/{own}",
                observation(chance.choice(known.patients), n) | {"id": own},
            )
            made.insert(0, own)
        else:
            await expect(connection, "DELETE", f"/Observation/{made.pop(0)}")

    return work


def observation(patient: str, n: int) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7", "display": "Body weight"}]},
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": f"2024-{1 + n % 12:02d}-{1 + n % 28:02d}T08:00:00Z",
        "valueQuantity": {"value": n % 200, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"},
    }


def line(name: str, spent: list[float], seconds: float, cost: float = 0.0) -> str:
    """The rate, how long one took, and what each cost the server's process: the part that other work on the machine
    hardly changes.
    """
    ordered = sorted(spent)
    p50, p95, p99 = (ordered[int(len(ordered) * part)] * 1000 for part in (0.5, 0.95, 0.99))
    text = f"{name}: {len(spent) / seconds:,.0f}/s, p50 {p50:.1f}, p95 {p95:.1f}, p99 {p99:.1f} ms"
    return text + (f", {cost / len(spent) * 1000:.2f} ms of the server's processor" if cost else "")


async def timed(name: str, server: Running, work: Work) -> str:
    """Work on all connections for some seconds, after a moment of the same that does not count."""
    port, pid = server
    connections = [Connection(*await opened(port)) for _ in range(CONNECTIONS)]
    spent: list[float] = []

    async def run(connection: Connection, first: int, end: float) -> None:
        n = first
        while time.perf_counter() < end:
            started = time.perf_counter()
            await work(connection, n)
            spent.append(time.perf_counter() - started)
            n += CONNECTIONS

    for seconds in (SECONDS / 10, SECONDS):
        spent.clear()
        cost, started = processor_seconds(pid), time.perf_counter()
        await asyncio.gather(*(run(one, n, started + seconds) for n, one in enumerate(connections)))
        elapsed, cost = time.perf_counter() - started, processor_seconds(pid) - cost
    for connection in connections:
        connection.writer.close()
    return line(name, spent, elapsed, cost)


def small(files: list[Path]) -> list[Path]:
    """Those that a server takes in one transaction."""
    limit = Settings().max_transaction_entries
    return [file for file in files if len(json.loads(file.read_bytes())["entry"]) <= limit]


async def imported(server: Running, files: list[Path]) -> str:
    """Transaction Bundles as the server's clients send them, two at a time."""
    port, pid = server
    waiting, spent, count = list(files), list[float](), 0

    async def load(connection: Connection) -> None:
        nonlocal count
        while waiting:
            body = json.loads(waiting.pop().read_bytes())
            started = time.perf_counter()
            await expect(connection, "POST", "", body)
            spent.append(time.perf_counter() - started)
            count += len(body["entry"])

    cost, started = processor_seconds(pid), time.perf_counter()
    await asyncio.gather(*[load(Connection(*await opened(port))) for _ in range(2)])
    seconds, cost = time.perf_counter() - started, processor_seconds(pid) - cost
    bundles_ = line("", spent, seconds).partition(", ")[2]
    each = f"{cost / count * 1000:.2f} ms of the server's processor for each"
    return f"import by transaction Bundles: {count / seconds:,.0f} resources/s, {each}; a Bundle {bundles_}"


async def deep(port: int) -> AsyncIterator[str]:
    """The first page and that at depth 20,000, by the server's own links."""
    connection = Connection(*await opened(port))
    path, taken = "/Observation?_count=1000&_total=none", 0
    while taken < DEPTH:
        started = time.perf_counter()
        page = await expect(connection, "GET", path)
        seconds, taken = time.perf_counter() - started, taken + len(page["entry"])
        if taken <= 1000:
            yield f"first page of 1,000: {seconds * 1000:.0f} ms"
        following = [link["url"] for link in page["link"] if link["relation"] == "next"]
        if not following:
            break
        path = following[0].partition("/fhir")[2]
    yield f"page of 1,000 at depth {taken:,}: {seconds * 1000:.0f} ms"
    connection.writer.close()


def bulk_loaded(url: str, files: list[Path], known: Known) -> str:
    command = [sys.executable, "-m", "konsil", "fhir", "bulk-load", "--errors", os.devnull, *map(str, files)]
    started = time.perf_counter()
    subprocess.run(command, check=True, env=os.environ | {"KONSIL_FHIR_DATABASE_URL": url}, stdout=sys.stderr)
    seconds = time.perf_counter() - started
    return f"bulk load of {known.resources:,} resources: {known.resources / seconds:,.0f}/s with the start"


def rows(url: str, files: list[Path], known: Known) -> Iterator[str]:
    """Everything of one database."""
    yield bulk_loaded(url, files, known)
    yield f"on disk: {on_disk(url) / known.resources:,.0f} bytes a resource"

    def read(chance: random.Random) -> str:
        return f"/Patient/{chance.choice(known.patients)}"

    with asyncio.Runner() as runner:

        def measured(name: str, server: Running, work: Work) -> str:
            return runner.run(timed(name, server, work))

        with running(serve, url) as server:
            with running(_floor.serve, url) as floor:
                for _ in range(FLOORS):  # by turns: both in the same company
                    yield measured("floor: read", floor, reading(read))
                    yield measured("read", server, reading(read))
            for name, path in searches(known).items():
                yield measured(name, server, reading(path))
            lines = deep(server[0])
            while text := runner.run(_next(lines)):
                yield text
            yield measured("CRUD mix", server, mix(known))
            yield runner.run(imported(server, small(files)[:IMPORTED]))
            yield f"server's peak memory: {peak_megabytes(server[1]):,.0f} MB"


async def _next(lines: AsyncIterator[str]) -> str:
    return await anext(lines, "")


Database = tuple[str, Callable[[], float]]


@contextmanager
def database(kind: str) -> Iterator[Database]:
    """Its URL, and the most memory that one of its own processes has had."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/bench.db", lambda: 0.0
        return
    with cluster() as (url, postmaster):
        yield url, lambda: max(map(peak_megabytes, [postmaster, *children(postmaster)]))


def measure() -> Iterator[str]:
    # Synthea's data break their own profiles here and there: everything is validated, failures are tagged.
    os.environ.setdefault("KONSIL_FHIR_VALIDATION", "tag")
    files = bundles(PATIENTS)
    known = Known.of(files)
    for kind in DATABASES:
        with database(kind) as (url, peak):
            for text in rows(url, files, known):
                yield f"{kind}: {text}"
            if peak():
                yield f"{kind}: peak memory of the largest process of the database: {peak():,.0f} MB"
