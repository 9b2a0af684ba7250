"""Both sides make the same bytes: the server that verifies and the app that signs.  docs/signature.md"""

import json
from pathlib import Path
from typing import Any

import pytest

import profiles
from fhir_server import wire
from fhir_server.rules import signature
from smart_app.report import signature as app_signature

VECTORS = sorted((Path(profiles.__file__).parent / "examples" / "signature").glob("*.json"))


@pytest.fixture(params=VECTORS, ids=lambda path: path.stem)
def vector(request: pytest.FixtureRequest) -> Any:
    return wire.loads(request.param.read_bytes())


def test_the_server_makes_the_canonical_bytes_and_verifies(vector: Any) -> None:
    assert wire.canonical(vector["resource"]).decode() == vector["canonical"]
    assert signature.digest(vector["resource"]) == vector["sha256"]
    verified = signature.verify(vector["jws"], vector["resource"], vector["signer"], [vector["key"]])
    assert verified["instances"] == ["1.2.840.1", "1.2.840.2"]


def test_the_app_makes_the_same_bytes(vector: Any) -> None:
    assert app_signature.canonical(json.loads(wire.dumps(vector["resource"]))).decode() == vector["canonical"]


@pytest.mark.parametrize("change", ["sub", "resource", "sha256", "key", "bytes"])
def test_nothing_else_verifies(vector: Any, change: str) -> None:
    resource, signer, jws = dict(vector["resource"]), vector["signer"], vector["jws"]
    keys = [vector["key"]]
    if change == "sub":
        signer = "Practitioner/other"
    elif change == "resource":
        resource["id"] = "another"
    elif change == "sha256":
        resource["conclusion"] = "Do nothing."
    elif change == "key":
        keys = [vector["key"] | {"kid": "other"}]
    else:
        header, payload, mark = jws.split(".")
        jws = f"{header}.{payload[:-2]}AA.{mark}"
    with pytest.raises(signature.BadSignature):
        signature.verify(jws, resource, signer, keys)
