"""What policy, Consents and audit cost the server: the same reads and searches, by turns, by whom no rule binds while
the audit is off, and by the requester of the patient's hospital and the consultant of the case while it is on; on
SQLite, or in a database of the PostgreSQL at BENCH_DATABASE_URL (`.../postgres`). It is one server: of two that do the
same, one is a tenth slower by the luck of its memory.

Processor time of the server. The consultant holds ten cases, each with its Consent.
"""

import asyncio
import os
import signal
import statistics
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from konsil.secrets import new_master_key
from tests.bench._server import running
from tests.bench.fhir import CODES, LOINC, Connection, expect, observation, opened, processor_seconds
from tests.conftest import fresh_database

ROUNDS, CASES = 9 * int(os.environ.get("BENCH_REPEATS", "1")), 10
PUT_DOWN_SECONDS = 0.1
"""After a turn, so that what it left for the audit is counted with it."""
CANONICAL = "https://konsil.example/fhir/CodeSystem"
TASK_CODE = "http://hl7.org/fhir/CodeSystem/task-code"
SEARCH = f"/Observation?patient=p0&code={LOINC}|{CODES[0]}&_count=10"
WORK = {
    "read": (1500, "/Observation/named-0-0"),
    "search of ten": (400, SEARCH),
    "worklist": (400, "/Task?owner=Practitioner/ito&_count=10"),
    "search of all patients": (400, f"/Observation?code={LOINC}|{CODES[0]}&_count=10"),
}
AUDIT = {signal.SIGUSR1: True, signal.SIGUSR2: False}
"""The signals that put the audit on and off."""
WHO = {"x": "nobody's rules", "requester": "requester", "consultant": "consultant"}


def serve(database_url: str, port: int) -> None:
    """Who asks is what the token says."""
    import uvicorn

    from fhir_server.app import create_app
    from fhir_server.caller import Caller
    from fhir_server.settings import Settings

    def person(roles: str, user: str | None, scope: str) -> Caller:
        return Caller(roles, "bench", user, frozenset(roles.split()), "Organization/x", (scope,))

    callers = {
        "x": person("administrator", None, "system/*.cruds"),
        "filler": person("administrator requester coordinator", "Practitioner/weber", "user/*.cruds"),
        "requester": person("requester", "Practitioner/weber", "user/*.cruds"),
        "consultant": person("consultant", "Practitioner/ito", "user/*.cruds"),
    }

    async def authenticate(database: object, token: str) -> Caller:
        return callers[token]

    settings = Settings(
        database_url=database_url,
        base_url=f"http://127.0.0.1:{port}",
        publish_profiles=False,
        requests_per_minute=0,
        validation="structure",
    )
    app = create_app(settings, authenticate)
    for number, enabled in AUDIT.items():
        signal.signal(number, lambda *_, enabled=enabled: setattr(app.state.node.journal, "enabled", enabled))
    uvicorn.run(app, port=port, loop="uvloop", http="httptools", log_config=None, access_log=False)


class Person(Connection):
    """A connection with somebody's token."""

    token = "x"

    async def request(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Ask in the person's name."""
        write, name = self.writer.write, self.token.encode()
        self.writer.write = lambda data: write(data.replace(b"Bearer x", b"Bearer " + name, 1))  # type: ignore[method-assign]
        try:
            return await super().request(method, path, body)
        finally:
            self.writer.write = write  # type: ignore[method-assign]


def case(n: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """A patient, twenty Observations, a Consent, the request that names all of them, the case as sent, as offered."""
    patient, named = {"reference": f"Patient/p{n}"}, [f"named-{n}-{i}" for i in range(20)]
    yield f"/Patient/p{n}", {"resourceType": "Patient", "id": f"p{n}"}
    for i, name in enumerate(named):
        yield f"/Observation/{name}", {**observation(f"Patient/p{n}", i % 2), "id": name}
    yield f"/Consent/c{n}", consent(n, patient)
    who = {"requester": {"reference": "Practitioner/weber"}, "intent": "order"}
    request = {"resourceType": "ServiceRequest", "id": f"s{n}", "status": "active", "subject": patient, **who}
    request["code"] = {"coding": [{"system": f"{CANONICAL}/product", "code": "written-opinion"}]}
    supporting = [f"Consent/c{n}", *(f"Observation/{name}" for name in named)]
    request["supportingInfo"] = [{"reference": each} for each in supporting]
    task = {
        "resourceType": "Task",
        "id": f"t{n}",
        "focus": {"reference": f"ServiceRequest/s{n}"},
        "for": patient,
        **who,
    }
    task["code"] = {"coding": [{"system": TASK_CODE, "code": "fulfill"}]}
    sent = {**task, "status": "requested", "businessStatus": state("submitted")}
    entries = [
        {"resource": one, "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"}}
        for one in (request, sent)
    ]
    yield "/", {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    owner = {"reference": "Practitioner/ito"}
    yield f"/Task/t{n}", {**task, "status": "received", "businessStatus": state("offered"), "owner": owner}


def consent(n: int, patient: dict[str, str]) -> dict[str, Any]:
    """A release of information, as the app makes it."""
    return {
        "resourceType": "Consent",
        "id": f"c{n}",
        "status": "active",
        "scope": {"coding": [{"code": "patient-privacy"}]},
        "category": [{"coding": [{"system": LOINC, "code": "64292-6"}]}],
        "policyRule": {"text": "release"},
        "patient": patient,
        "provision": {"type": "permit", "period": {"start": "2020-01-01"}},
    }


def state(code: str) -> dict[str, Any]:
    """A businessStatus."""
    return {"coding": [{"system": f"{CANONICAL}/business-status", "code": code}]}


def measure() -> Iterator[str]:
    """A line for each kind of request."""
    os.environ.setdefault("KONSIL_MASTER_KEY", new_master_key())
    with _database() as url, running(serve, url) as (port, pid):
        yield from asyncio.run(by_turns(port, pid))


@contextmanager
def _database() -> Iterator[str]:
    if not (cluster := os.environ.get("BENCH_DATABASE_URL")):
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/access.db"
        return
    yield from fresh_database(cluster.rpartition("/")[0])


async def by_turns(port: int, pid: int) -> list[str]:
    """Fill the server, then ask as the one and the other."""
    filler = await person("filler", port)
    for n in range(CASES):
        for path, resource in case(n):
            await expect(filler, "POST" if path == "/" else "PUT", path.rstrip("/"), resource)
    filler.writer.close()
    asking = {token: await person(token, port) for token in WHO}
    lines = [line(name, await _spent(asking, pid, *work)) for name, work in WORK.items()]
    for connection in asking.values():
        connection.writer.close()
    return lines


async def person(token: str, port: int) -> Person:
    """A connection in somebody's name."""
    connection = Person(*await opened(port))
    connection.token = token
    return connection


async def _spent(asking: Mapping[str, Person], pid: int, times: int, path: str) -> dict[str, list[float]]:
    """Microseconds of the server's processor for one request, by who asked, turn by turn; each turn begins with
    another, since a machine's pace drifts while it is measured.
    """
    spent: dict[str, list[float]] = {token: [] for token in asking}
    for turn in range(ROUNDS + 1):
        order = deque(asking.items())
        order.rotate(turn)
        for token, connection in order:
            os.kill(pid, signal.SIGUSR2 if token == "x" else signal.SIGUSR1)
            await _ask(connection, path, times // 4)  # it ends what a server does that nobody asks for anything
            before = processor_seconds(pid)
            await _ask(connection, path, times)
            await asyncio.sleep(PUT_DOWN_SECONDS)
            if turn:  # the first composes the statements
                spent[token].append((processor_seconds(pid) - before) / times * 1e6)
    return spent


async def _ask(connection: Person, path: str, times: int) -> None:
    for _ in range(times):
        await expect(connection, "GET", path)


def line(name: str, spent: Mapping[str, Sequence[float]]) -> str:
    """What one kind of request cost whom, and the rate against nobody's rules in the same turn: medians of both."""
    said = []
    for token, turns in spent.items():
        rate = statistics.median(bare / each for bare, each in zip(spent["x"], turns, strict=True))
        said.append(f"{WHO[token]} {statistics.median(turns):,.0f} us ({rate:.0%} of the rate)")
    return f"{name}: {', '.join(said)}"
