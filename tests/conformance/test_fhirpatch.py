"""https://hl7.org/fhir/R4/fhirpatch.html: FHIRPath Patch, and https://hl7.org/fhir/R4/http.html#patch."""

import base64
import json
from typing import Any
from uuid import uuid4

import httpx
import pytest

from fhir_server.definitions import Definitions, load
from fhir_server.errors import FhirError, Invalid, Unprocessable
from fhir_server.interactions.fhirpath_patch import apply_fhirpath_patch
from fhir_server.settings import default_definitions

JSON = {"Content-Type": "application/fhir+json"}
XML = {"Content-Type": "application/fhir+xml", "Accept": "application/fhir+json"}


@pytest.fixture(scope="module")
def definitions() -> Definitions:
    return load(default_definitions())


def operation(kind: str, path: str, **parts: Any) -> dict[str, Any]:
    """One operation; keywords are parts: a dict is taken as it is, an int is an index, a text a string."""
    given = [{"name": "type", "valueCode": kind}, {"name": "path", "valueString": path}]
    for name, part in parts.items():
        value = part if isinstance(part, dict) else {("valueInteger" if isinstance(part, int) else "valueString"): part}
        given.append({"name": name, **value})
    return {"name": "operation", "part": given}


def parameters(*operations: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": list(operations)}


NAMES = [{"given": ["a", "b", "c"], "_given": [None, {"id": "of-b"}, None]}, {"text": "second"}]
PATIENT = {"resourceType": "Patient", "id": "x", "active": True, "name": NAMES, "birthDate": "1920-01-01"}
CONTACT = [
    {"name": "name", "valueHumanName": {"text": "n"}},
    {"name": "relationship", "valueCodeableConcept": {"text": "r"}},
]
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "add to the resource": (
        operation("add", "Patient", name="gender", value={"valueCode": "male"}),
        {"gender": "male"},
    ),
    "add to a list": (
        operation("add", "Patient", name="name", value={"valueHumanName": {"text": "third"}}),
        {"name": [*NAMES, {"text": "third"}]},
    ),
    "add to an element": (
        operation("add", "Patient.name[1]", name="family", value={"valueString": "f"}),
        {"name": [NAMES[0], {"text": "second", "family": "f"}]},
    ),
    "add to a list of primitives": (
        operation("add", "Patient.name[0]", name="given", value={"valueString": "d"}),
        {"name": [{"given": ["a", "b", "c", "d"], "_given": [None, {"id": "of-b"}, None, None]}, NAMES[1]]},
    ),
    "add a choice": (
        operation("add", "Patient", name="deceased", value={"valueBoolean": False}),
        {"deceasedBoolean": False},
    ),
    "add a backbone element by its parts": (
        operation("add", "Patient", name="contact", value={"part": CONTACT}),
        {"contact": [{"name": {"text": "n"}, "relationship": [{"text": "r"}]}]},
    ),
    "add an extension to a primitive": (
        operation(
            "add", "Patient.birthDate", name="extension", value={"valueExtension": {"url": "u", "valueCode": "c"}}
        ),
        {"_birthDate": {"extension": [{"url": "u", "valueCode": "c"}]}},
    ),
    "insert": (
        operation("insert", "Patient.name[0].given", value={"valueString": "z"}, index=1),
        {"name": [{"given": ["a", "z", "b", "c"], "_given": [None, None, {"id": "of-b"}, None]}, NAMES[1]]},
    ),
    "insert at the end": (
        operation("insert", "Patient.name", value={"valueHumanName": {"text": "third"}}, index=2),
        {"name": [*NAMES, {"text": "third"}]},
    ),
    "delete an element": (operation("delete", "Patient.birthDate"), {"birthDate": None}),
    "delete of a list, by a condition": (
        operation("delete", "Patient.name.where(text = 'second')"),
        {"name": NAMES[:1]},
    ),
    "delete a primitive with what is said of it": (
        operation("delete", "Patient.name[0].given[1]"),
        {"name": [{"given": ["a", "c"]}, NAMES[1]]},
    ),
    "delete nothing": (operation("delete", "Patient.gender"), {}),
    "replace": (
        operation("replace", "Patient.birthDate", value={"valueDate": "1930-01-01"}),
        {"birthDate": "1930-01-01"},
    ),
    "replace false by true": (operation("replace", "Patient.active", value={"valueBoolean": False}), {"active": False}),
    "replace in a list": (
        operation("replace", "Patient.name[1]", value={"valueHumanName": {"text": "new"}}),
        {"name": [NAMES[0], {"text": "new"}]},
    ),
    "move": (
        operation("move", "Patient.name[0].given", source=2, destination=0),
        {"name": [{"given": ["c", "a", "b"], "_given": [None, None, {"id": "of-b"}]}, NAMES[1]]},
    ),
}


@pytest.mark.spec("R4 fhirpatch.html#concept")
@pytest.mark.parametrize(("step", "changes"), CASES.values(), ids=CASES.keys())
def test_each_operation(definitions: Definitions, step: dict[str, Any], changes: dict[str, Any]) -> None:
    before = json.dumps(PATIENT)
    expected = {key: value for key, value in {**PATIENT, **changes}.items() if value is not None}
    assert apply_fhirpath_patch(PATIENT, parameters(step), definitions) == expected
    assert json.dumps(PATIENT) == before


@pytest.mark.spec("R4 fhirpatch.html#concept")
def test_a_choice_takes_another_type(definitions: Definitions) -> None:
    observation = {"resourceType": "Observation", "valueString": "x", "status": "final"}
    step = operation("replace", "Observation.value", value={"valueInteger": 3})
    patched = apply_fhirpath_patch(observation, parameters(step), definitions)
    assert patched == {"resourceType": "Observation", "valueInteger": 3, "status": "final"}


@pytest.mark.spec("R4 fhirpatch.html#concept")
@pytest.mark.parametrize(
    ("step", "error"),
    [
        (operation("explode", "Patient"), Invalid),
        (operation("add", "Patient..x", name="gender", value={"valueCode": "male"}), Invalid),
        (operation("add", "Patient", name="gender"), Invalid),
        (operation("add", "Patient.name", name="text", value={"valueString": "x"}), Unprocessable),
        (operation("add", "Patient", name="nonsense", value={"valueString": "x"}), Unprocessable),
        (operation("add", "Patient", name="active", value={"valueBoolean": True}), Unprocessable),
        (operation("insert", "Patient.identifier", value={"valueIdentifier": {"value": "x"}}, index=0), Unprocessable),
        (operation("insert", "Patient.name", value={"valueHumanName": {}}, index=3), Unprocessable),
        (operation("insert", "Patient.name", value={"valueHumanName": {}}), Invalid),
        (operation("delete", "Patient.name"), Unprocessable),
        (operation("delete", "Patient"), Unprocessable),
        (operation("replace", "Patient.gender", value={"valueCode": "male"}), Unprocessable),
        (operation("move", "Patient.name", source=0, destination=2), Unprocessable),
        (operation("move", "Patient.name", source=-1, destination=2), Invalid),
        (operation("delete", "Patient.name.where(text.matches('(a+)+$'))"), Invalid),
        (operation("delete", "x" * 3000), Invalid),
        (operation("delete", "(" * 1500), Invalid),
        ({"name": "other"}, Invalid),
    ],
)
def test_what_does_not_fit_is_refused(definitions: Definitions, step: Any, error: type[FhirError]) -> None:
    with pytest.raises(error):
        apply_fhirpath_patch(PATIENT, parameters(step), definitions)


async def made(client: httpx.AsyncClient, unique: str) -> str:
    body = {"resourceType": "Patient", "identifier": [{"system": "urn:test", "value": unique}], "active": True}
    return str((await client.post("/Patient", json=body)).json()["id"])


@pytest.mark.anyio
@pytest.mark.spec("R4 http.html#patch")
async def test_by_id_by_condition_and_in_xml(client: httpx.AsyncClient, unique: str) -> None:
    address = f"/Patient/{await made(client, unique)}"
    change = parameters(operation("replace", "Patient.active", value={"valueBoolean": False}))
    first = await client.patch(address, json=change, headers=JSON)
    assert (first.status_code, first.json()["active"], first.json()["meta"]["versionId"]) == (200, False, "2")
    stale = await client.patch(address, json=change, headers={**JSON, "If-Match": 'W/"1"'})
    assert stale.status_code == 412
    part = '<part><name value="{}"/><value{} value="{}"/></part>'
    parts = (
        ("type", "Code", "add"),
        ("path", "String", "Patient"),
        ("name", "String", "gender"),
        ("value", "Code", "male"),
    )
    operations = f'<parameter><name value="operation"/>{"".join(part.format(*each) for each in parts)}</parameter>'
    body = f'<Parameters xmlns="http://hl7.org/fhir">{operations}</Parameters>'
    second = await client.patch(f"/Patient?identifier=urn:test|{unique}", content=body, headers=XML)
    assert (second.status_code, second.json()["gender"]) == (200, "male")
    bad = parameters(operation("add", "Patient", name="birthDate", value={"valueInteger": 5}))
    assert (await client.patch(address, json=bad, headers=JSON)).status_code in {400, 422}
    renamed = parameters(operation("replace", "Patient.id", value={"valueId": "other"}))
    assert (await client.patch(address, json=renamed, headers=JSON)).status_code == 400
    assert (await client.patch(address, json={"resourceType": "Patient"}, headers=JSON)).status_code == 400
    assert (await client.get(address)).json()["meta"]["versionId"] == "3"


@pytest.mark.anyio
@pytest.mark.spec("R4 http.html#transaction")
async def test_in_a_transaction_by_parameters_and_by_binary(client: httpx.AsyncClient, unique: str) -> None:
    first, second = await made(client, unique), await made(client, f"{unique}-2")
    steps = json.dumps([{"op": "replace", "path": "/active", "value": False}]).encode()
    binary = {
        "resourceType": "Binary",
        "contentType": "application/json-patch+json",
        "data": base64.b64encode(steps).decode(),
    }
    change = parameters(operation("add", "Patient", name="gender", value={"valueCode": "other"}))
    entries = [
        {"resource": change, "request": {"method": "PATCH", "url": f"Patient/{first}"}},
        {"resource": binary, "request": {"method": "PATCH", "url": f"Patient?identifier=urn:test|{unique}-2"}},
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    done = await client.post("", json=bundle)
    assert [entry["response"]["status"] for entry in done.json()["entry"]] == ["200 OK", "200 OK"], done.text
    assert (await client.get(f"/Patient/{first}")).json()["gender"] == "other"
    assert (await client.get(f"/Patient/{second}")).json()["active"] is False
    entries[0]["request"]["url"] = f"Patient/{uuid4()}"
    entries[1]["request"]["url"] = f"Patient/{second}"
    assert (await client.post("", json=bundle)).status_code == 404
    assert (await client.get(f"/Patient/{second}")).json()["meta"]["versionId"] == "2"
