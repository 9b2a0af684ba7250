"""A server in which something is hidden: of another hospital, and of a case whose Consent was withdrawn."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.caller import Caller
from tests.bench import access
from tests.fhir_server.node import Server, running

SECRET = "zqsecret"


def person(role: str, user: str, organization: str | None = None) -> Caller:
    """Somebody who signed in."""
    return Caller(user, "app", f"Practitioner/{user}", frozenset(role.split()), organization, ("user/*.cruds",))


WEBER = person("administrator requester coordinator", "weber", "Organization/x")
ITO = person("consultant", "ito")
BRANDT = person("requester", "brandt", "Organization/bert")


@dataclass
class Hidden:
    """The server in which it is hidden, and who must not see it."""

    server: Server
    people: dict[str, httpx.AsyncClient]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
async def hidden(
    anyio_backend: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Hidden]:
    folder: Path = tmp_path_factory.mktemp("fhir")
    sqlite = request.param == "sqlite"
    url = f"sqlite:///{folder}/fhir.db" if sqlite else request.getfixturevalue("postgresql_module_url")
    async with running(url) as server, server.client(WEBER) as weber:
        for path, body in access.case(0):
            await _made(weber, path, body)
        withdrawn = {**access.consent(0, {"reference": "Patient/p0"}), "status": "inactive"}
        assert (await weber.put("/Consent/c0", json=withdrawn)).status_code == 200
        async with server.client(ITO) as ito, server.client(BRANDT) as brandt:
            yield Hidden(server, {"ito": ito, "brandt": brandt})


async def _made(weber: httpx.AsyncClient, path: str, body: dict[str, Any]) -> None:
    """Write what the bench's case consists of, with the secret in every resource but the Task, which Dr. Ito knows."""
    if path == "/":
        for entry in body["entry"]:
            _mark(entry["resource"])
        answer = await weber.post("", json=body)
    else:
        answer = await weber.put(path, json=_mark(body))
    assert answer.status_code < 300, answer.text


def _mark(resource: dict[str, Any]) -> dict[str, Any]:
    if resource["resourceType"] == "Patient":
        resource["name"] = [{"family": SECRET}]
    elif resource["resourceType"] != "Task":
        resource["text"] = {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{SECRET}</div>'}
        resource["identifier"] = [{"value": f"{SECRET}-{resource['id']}"}]
    return resource
