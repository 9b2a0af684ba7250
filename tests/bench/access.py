"""What policy and Consents cost the server: the same reads and searches by whom no rule binds, by a requester of the
patient's hospital and by the consultant of the case, by turns of some requests, on SQLite or BENCH_DATABASE_URL.

Processor time of the server. The consultant holds ten cases, each with its Consent.
"""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from typing import Any

from tests.bench._server import running
from tests.bench.fhir import CODES, LOINC, Connection, expect, observation, opened, processor_seconds

ROUNDS, CASES = 30 * int(os.environ.get("BENCH_REPEATS", "1")), 10
CANONICAL = "https://konsil.example/fhir/CodeSystem"
TASK_CODE = "http://hl7.org/fhir/CodeSystem/task-code"
SEARCH = f"/Observation?patient=p0&code={LOINC}|{CODES[0]}&_count=10"
WORK = {"read": (100, "/Observation/named-0-0"), "search of ten": (20, SEARCH)}
WHO = {"x": "nobody's rules", "requester": "requester", "consultant": "consultant"}


def serve(database_url: str, port: int) -> None:
    """The server process: who asks is what the token says."""
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
        audit=False,
        validation="structure",
    )
    app = create_app(settings, authenticate)
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
    with tempfile.TemporaryDirectory() as folder:
        url = os.environ.get("BENCH_DATABASE_URL", f"sqlite:///{folder}/access.db")
        with running(serve, url) as (port, pid):
            yield from asyncio.run(by_turns(port, pid))


async def by_turns(port: int, pid: int) -> list[str]:
    """Fill the server, then ask as the one and the other."""
    people = {token: Person(*await opened(port)) for token in (*WHO, "filler")}
    for token, person in people.items():
        person.token = token
    for n in range(CASES):
        for path, resource in case(n):
            await expect(people["filler"], "POST" if path == "/" else "PUT", path.rstrip("/"), resource)
    asking = {token: people[token] for token in WHO}
    lines = [line(name, await _spent(asking, pid, *work)) for name, work in WORK.items()]
    for person in people.values():
        person.writer.close()
    return lines


async def _spent(people: dict[str, Person], pid: int, times: int, path: str) -> dict[str, float]:
    """Microseconds of the server's processor for one request, by who asked."""
    spent = dict.fromkeys(people, 0.0)
    for _ in range(ROUNDS):
        for token, person in people.items():
            before = processor_seconds(pid)
            for _ in range(times):
                await expect(person, "GET", path)
            spent[token] += processor_seconds(pid) - before
    return {token: seconds / times / ROUNDS * 1e6 for token, seconds in spent.items()}


def line(name: str, spent: dict[str, float]) -> str:
    """What one kind of request cost whom."""
    said = (f"{WHO[token]} {each:,.0f} us ({spent['x'] / each:.0%} of the rate)" for token, each in spent.items())
    return f"{name}: {', '.join(said)}"
