"""Rates of fhir_server over real HTTP: one server process, some connections, one database.

Client, server and database share the machine, so a rate is what all three together did; the processor time of the
server's process (from /proc) says what one request costs it, and hardly depends on the load. `BENCH_DATABASE_URL` names
another database than SQLite in a temporary folder, `BENCH_PATIENTS` and `BENCH_SECONDS` another size.
"""

import asyncio
import json
import os
import random
import socket
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

PATIENTS = int(os.environ.get("BENCH_PATIENTS", "200"))
OBSERVATIONS = 50
SECONDS = float(os.environ.get("BENCH_SECONDS", "5"))
CONNECTIONS = 8
CODES = ["718-7", "2160-0", "2345-7", "4548-4", "8480-6", "8462-4", "8867-4", "29463-7", "8302-2", "2093-3"]
LOINC = "http://loinc.org"


def serve(database_url: str, port: int) -> None:
    """The server process: a caller who may do everything, the rest is as shipped."""
    import uvicorn

    from fhir_server.app import create_app
    from fhir_server.caller import Caller
    from fhir_server.settings import Settings
    from konsil.collector import expect_large_requests
    from konsil.secrets import MASTER_KEY_VARIABLE, new_master_key

    expect_large_requests()
    os.environ.setdefault(MASTER_KEY_VARIABLE, new_master_key())  # seals of the audit are signed
    caller = Caller("bench", "bench", None, frozenset({"administrator"}), "Organization/x", ("system/*.cruds",))

    async def authenticate(database: object, token: str) -> Caller:
        return caller

    settings = Settings(
        database_url=database_url,
        base_url=f"http://127.0.0.1:{port}",
        publish_profiles=False,
        client_requests_per_minute=0,
    )
    app = create_app(settings, authenticate)
    kept = 60  # seconds that a connection may wait for its turn
    uvicorn.run(
        app, port=port, loop="uvloop", http="httptools", log_config=None, access_log=False, timeout_keep_alive=kept
    )


class Connection:
    """The least HTTP/1.1 client there is, so that the client costs little."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def request(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        head = f"{method} /fhir{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\nContent-Length: {len(body)}\r\n"
        self.writer.write(f"{head}Content-Type: application/fhir+json\r\n\r\n".encode() + body)
        answer = await self.reader.readuntil(b"\r\n\r\n")
        status = int(answer[9:12])
        length = next(
            (int(line[15:]) for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        return status, await self.reader.readexactly(length) if length else b""


Work = Callable[[Connection, int], Awaitable[None]]


async def expect(connection: Connection, method: str, path: str, body: Any = None) -> Any:
    status, answer = await connection.request(method, path, json.dumps(body).encode() if body else b"")
    if status >= 300:
        raise RuntimeError(f"{method} {path}: {status} {answer[:500]!r}")
    return json.loads(answer) if answer else None


def observation(patient: str, n: int) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "category": [
            {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}
        ],
        "code": {"coding": [{"system": LOINC, "code": CODES[n % len(CODES)], "display": "A measurement"}]},
        "subject": {"reference": patient},
        "effectiveDateTime": f"20{10 + n % 15}-{1 + n % 12:02d}-{1 + n % 28:02d}T08:00:00Z",
        "valueQuantity": {"value": n + 0.5, "unit": "mg/dL", "system": "http://unitsofmeasure.org", "code": "mg/dL"},
    }


def chart(n: int) -> dict[str, Any]:
    """One patient with a chart, as a transaction."""
    urn = f"urn:uuid:00000000-0000-4000-8000-{n:012d}"
    patient = {
        "resourceType": "Patient",
        "identifier": [{"system": "urn:bench", "value": str(n)}],
        "name": [{"family": f"Family{n}", "given": ["Given", f"Middle{n % 97}"]}],
        "gender": "female",
        "birthDate": f"19{n % 90 + 10}-01-01",
        "address": [{"city": "Berlin", "postalCode": f"{10000 + n % 9999}"}],
    }
    request = {"method": "POST", "url": "Patient", "ifNoneExist": f"identifier=urn:bench|{n}"}
    entries: list[dict[str, Any]] = [{"fullUrl": urn, "resource": patient, "request": request}]
    entries += [
        {"resource": observation(urn, k), "request": {"method": "POST", "url": "Observation"}}
        for k in range(OBSERVATIONS)
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def processor_seconds(pid: int) -> float:
    """What the threads of a process have spent, to the nanosecond (`stat` counts in hundredths of a second)."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(each.read_text(encoding="ascii").split()[0]) for each in threads) / 1e9


async def repeated(name: str, connections: list[Connection], work: Work, pid: int) -> str:
    """Run work on all connections for some seconds; its rate, how long one took, and what it cost the server."""
    spent: list[float] = []
    end = time.perf_counter() + SECONDS

    async def run(connection: Connection, first: int) -> None:
        n = first
        while time.perf_counter() < end:
            started = time.perf_counter()
            await work(connection, n)
            spent.append(time.perf_counter() - started)
            n += CONNECTIONS

    cost, started = processor_seconds(pid), time.perf_counter()
    await asyncio.gather(*(run(connection, n) for n, connection in enumerate(connections)))
    rate = len(spent) / (time.perf_counter() - started)
    p50, p99 = statistics.median(spent) * 1000, sorted(spent)[int(len(spent) * 0.99)] * 1000
    cost = (processor_seconds(pid) - cost) / len(spent) * 1000
    return f"{name}: {rate:,.0f}/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms, {cost:.2f} ms of the server's processor time"


def works(patients: list[str]) -> dict[str, Work]:
    """What is measured, by name."""
    chance = random.Random(1)

    def getting(path: Callable[[], str]) -> Work:
        async def work(connection: Connection, n: int) -> None:
            await expect(connection, "GET", path())

        return work

    async def create(connection: Connection, n: int) -> None:
        await expect(connection, "POST", "/Observation", observation(chance.choice(patients), n))

    async def update(connection: Connection, n: int) -> None:
        body = {"resourceType": "Basic", "id": f"b{n % 512}", "code": {"text": str(n)}}
        await expect(connection, "PUT", f"/Basic/b{n % 512}", body)

    def one() -> str:
        return f"identifier=urn:bench|{chance.randrange(len(patients))}"

    def newest() -> str:
        return f"patient={chance.choice(patients)}&code={LOINC}|{chance.choice(CODES)}&_sort=-date&_count=10"

    return {
        "read": getting(lambda: f"/{chance.choice(patients)}"),
        "search by identifier": getting(lambda: f"/Patient?{one()}"),
        "search patient + code, newest first": getting(lambda: f"/Observation?{newest()}"),
        "chained search": getting(lambda: f"/Observation?patient.{one()}&code={CODES[0]}&_count=10"),
        "create Observation": create,
        "update Basic": update,
    }


async def imported(connections: list[Connection]) -> list[str]:
    patients: list[str] = []

    async def load(connection: Connection, first: int) -> None:
        for n in range(first, PATIENTS, CONNECTIONS):
            answer = await expect(connection, "POST", "", chart(n))
            patients.append(answer["entry"][0]["response"]["location"].partition("/_history")[0])

    await asyncio.gather(*(load(connection, n) for n, connection in enumerate(connections)))
    return patients


async def rates(port: int, pid: int) -> AsyncIterator[str]:
    connections = [Connection(*await opened(port)) for _ in range(CONNECTIONS)]
    cost, started = processor_seconds(pid), time.perf_counter()
    patients = await imported(connections)
    count = PATIENTS * (OBSERVATIONS + 1)
    rate = count / (time.perf_counter() - started)
    cost = (processor_seconds(pid) - cost) / count * 1000
    yield f"import of {count:,} resources by {OBSERVATIONS + 1}: {rate:,.0f}/s, {cost:.2f} ms of processor time each"
    for name, work in works(patients).items():
        yield await repeated(name, connections, work, pid)
    for connection in connections:
        connection.writer.close()


async def opened(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    for _ in range(200):
        try:
            return await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
        except ConnectionRefusedError:
            await asyncio.sleep(0.1)
    raise TimeoutError("the server did not start")


async def next_of(lines: AsyncIterator[str]) -> str:
    return await anext(lines, "")


def measure() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        url = os.environ.get("BENCH_DATABASE_URL", f"sqlite:///{folder}/bench.db")
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        server = get_context("spawn").Process(target=serve, args=(url, port))
        server.start()
        try:
            with asyncio.Runner() as runner:
                lines = rates(port, server.pid or 0)
                while line := runner.run(next_of(lines)):
                    yield line
        finally:
            server.terminate()
            server.join()
