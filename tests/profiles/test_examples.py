"""The example Bundles are correct FHIR, and the server's rules let them pass."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

import profiles
from fhir_server.caller import Caller
from fhir_server.rules import signature
from tests.fhir_server.rules.story import ENGINE, Memory
from tests.profiles.test_artefacts import validate

FOLDER = Path(profiles.__file__).parent / "examples"
SUBMIT = json.loads((FOLDER / "submit.json").read_text(encoding="utf-8"))
SIGN = json.loads((FOLDER / "sign.json").read_text(encoding="utf-8"))
ANNA_ENGINE = Caller("engine", "engine", None, ENGINE.roles, "Organization/st-anna", ENGINE.scopes)


def resolved(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    """The resources with ids, references by urn:uuid replaced, as a server writes them."""
    text = json.dumps(bundle)
    for entry in bundle["entry"]:
        identity = entry["fullUrl"].removeprefix("urn:uuid:")
        text = text.replace(f'"{entry["fullUrl"]}"', f'"{entry["resource"]["resourceType"]}/{identity}"')
    entries = json.loads(text)["entry"]
    return [entry["resource"] | {"id": entry["fullUrl"].rpartition("/")[2]} for entry in entries]


@pytest.mark.parametrize("resource", resolved(SUBMIT) + resolved(SIGN), ids=lambda one: one["resourceType"])
def test_every_resource_is_valid(resource: dict[str, Any]) -> None:
    validate(copy.deepcopy(resource))


def test_a_machine_may_submit_it() -> None:
    Memory().run(ANNA_ENGINE, *resolved(SUBMIT))


def test_the_signature_of_the_example_verifies() -> None:
    key = json.loads((FOLDER / "signature" / "plain.json").read_text(encoding="utf-8"))["key"]
    parts = {entry["resource"]["resourceType"]: entry["resource"] for entry in SIGN["entry"]}
    compact = signature.decode(parts["Provenance"]["signature"][0]["data"])
    assert signature.verify(compact, parts["DiagnosticReport"], "Practitioner/ito", [key])["instances"] == ["1.2.840.1"]
