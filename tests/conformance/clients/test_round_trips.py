"""Clients that others wrote do what their users do, over HTTP, with tokens that they got.  https://hl7.org/fhir/R4/http.html

Each is a program of its own that ends with a report; all reports are the same.
"""

import json
import os
import sys
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import anyio
import pytest

from deploy.setup import clients, hapi
from tests.conformance.clients.conftest import Served

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
EXPECTED: dict[str, Any] = {
    "created": "1",
    "once": True,  # a conditional create found the first
    "read": "Öberg",
    "updated": "2",
    "stale": "conflict",
    "first": "Öberg",
    "history": 2,
    "transaction": ["201"] * 5,
    "found": [5, 4, 3, 2, 1],
    "page": 2,
    "total": 5,
    "everything": ["Observation", "Patient"],
    "valid": True,
    "refused": "not-supported",
    "gone": "deleted",
}
# -S: of Python's packages only those of the clients.
PYTHON = (sys.executable, "-S")


async def report(*words: str | Path) -> dict[str, Any]:
    """What the program says at its end."""
    environment = {**os.environ, "PYTHONPATH": str(clients.python_folder()), "PYTHONWARNINGS": "default"}
    try:
        done = await anyio.run_process([str(word) for word in words], env=environment)
    except CalledProcessError as error:
        pytest.fail(f"{error.stdout.decode()}\n{error.stderr.decode()}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.spec("R4 http.html")
async def test_the_clients_of_python_and_node_do_their_round_trips(served: Served) -> None:
    token = await served.token()
    assert await report(*PYTHON, HERE / "by_fhirpy.py", served.base, token, "fhirpy") == EXPECTED
    signing_in = served.assertion()
    assert await report(*PYTHON, HERE / "by_fhirclient.py", served.base, signing_in, "fhirclient") == EXPECTED
    for program in ("by_fhirclient.mjs", "by_fhir_kit_client.mjs"):
        assert await report("node", HERE / program, served.base, token, program) == EXPECTED


@pytest.mark.full
@pytest.mark.spec("R4 http.html")
@pytest.mark.parametrize("encoding", ["json", "xml"])
async def test_hapis_generic_client_does_its_round_trip(served: Served, encoding: str) -> None:
    java = ("java", "-cp", f"{hapi.folder()}/*", HERE / "ByHapi.java")
    assert await report(*java, served.base, await served.token(), encoding) == EXPECTED
