"""Validation before storing, and `$validate`.  https://hl7.org/fhir/R4/validation.html"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fhir_server.node import Server, running

OUTCOME = {"Prefer": "return=minimal"}
TAG = {"system": "https://konsil.example/fhir/CodeSystem/validation", "code": "failed"}
PROFILE = "https://hospital.example/fhir/StructureDefinition/weighed"
DEFINITION: dict[str, Any] = {
    "resourceType": "StructureDefinition",
    "url": PROFILE,
    "name": "Weighed",
    "status": "active",
    "kind": "resource",
    "abstract": False,
    "type": "Observation",
    "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Observation",
    "derivation": "constraint",
    "differential": {"element": [{"id": "Observation.value[x]", "path": "Observation.value[x]", "min": 1}]},
}
RIGHT: dict[str, Any] = {"resourceType": "Observation", "status": "final", "code": {"text": "weight"}}
WRONG: dict[str, Any] = RIGHT | {"status": "done", "effectiveDateTime": "yesterday"}


@pytest.fixture(scope="module")
async def server(anyio_backend: str, module_database_url: str) -> AsyncIterator[Server]:
    """A server with the validation that an installation has unless it is told otherwise."""
    async with running(module_database_url, validation="refuse") as node:
        async with node.client() as http:
            created = await http.post("/StructureDefinition", json=DEFINITION)
            assert created.status_code == 201, created.text
        yield node


def issues(response: httpx.Response) -> list[tuple[str, str, str]]:
    assert response.json()["resourceType"] == "OperationOutcome", response.text
    return [(one["severity"], one["code"], one.get("expression", [""])[0]) for one in response.json()["issue"]]


@pytest.mark.spec("R4 http.html#create")
async def test_every_problem_of_a_create_is_told_at_once(client: httpx.AsyncClient) -> None:
    response = await client.post("/Observation", json=WRONG)
    assert response.status_code == 400
    assert issues(response) == [
        ("error", "code-invalid", "Observation.status"),
        ("error", "value", "Observation.effective"),
    ]


@pytest.mark.spec("R4 http.html#rejecting-updates")
async def test_a_profile_that_is_claimed_must_be_met(client: httpx.AsyncClient) -> None:
    claimed = RIGHT | {"meta": {"profile": [PROFILE]}}
    refused = await client.post("/Observation", json=claimed)
    assert refused.status_code == 422
    assert issues(refused) == [("error", "required", "Observation")]
    assert PROFILE in refused.json()["issue"][0]["diagnostics"]
    assert (await client.post("/Observation", json=claimed | {"valueString": "60 kg"})).status_code == 201


@pytest.mark.spec("R4 http.html#update")
@pytest.mark.spec("R4 http.html#patch")
async def test_updates_and_patches_are_checked(client: httpx.AsyncClient) -> None:
    made = (await client.post("/Observation", json=RIGHT)).json()
    address = f"/Observation/{made['id']}"
    assert (await client.put(address, json=made | {"status": "done"})).status_code == 400
    patch = [{"op": "replace", "path": "/status", "value": "done"}]
    refused = await client.patch(address, json=patch, headers={"Content-Type": "application/json-patch+json"})
    assert refused.status_code == 400
    assert (await client.get(address)).json()["status"] == "final"


@pytest.mark.spec("R4 http.html#transaction")
async def test_entries_of_a_batch_are_checked_one_by_one(client: httpx.AsyncClient) -> None:
    entries = [{"resource": one, "request": {"method": "POST", "url": "Observation"}} for one in (WRONG, RIGHT)]
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": entries}
    answers = (await client.post("", json=bundle)).json()["entry"]
    assert [one["response"]["status"][:3] for one in answers] == ["400", "201"]
    assert len(answers[0]["response"]["outcome"]["issue"]) == 2
    assert (await client.post("", json=bundle | {"type": "transaction"})).status_code == 400


@pytest.mark.spec("R4 resource-operation-validate.html")
async def test_validate_a_resource_that_is_sent(client: httpx.AsyncClient) -> None:
    fine = await client.post("/Observation/$validate", json=RIGHT)
    assert fine.status_code == 200
    assert {severity for severity, *_ in issues(fine)} == {"warning"}
    wrong = await client.post("/Observation/$validate", json=WRONG)
    assert wrong.status_code == 200
    assert [one for one in issues(wrong) if one[0] == "error"] == [
        ("error", "code-invalid", "Observation.status"),
        ("error", "value", "Observation.effective"),
    ]


@pytest.mark.spec("R4 resource-operation-validate.html")
async def test_validate_against_a_profile(client: httpx.AsyncClient) -> None:
    by_query = await client.post(f"/Observation/$validate?profile={PROFILE}", json=RIGHT)
    parameters = {
        "resourceType": "Parameters",
        "parameter": [{"name": "resource", "resource": RIGHT}, {"name": "profile", "valueUri": PROFILE}],
    }
    by_body = await client.post("/Observation/$validate", json=parameters)
    for response in (by_query, by_body):
        assert ("error", "required", "Observation") in issues(response)
    unknown = await client.post("/Observation/$validate?profile=urn:none", json=RIGHT)
    assert ("error", "not-found", "Observation") in issues(unknown)


@pytest.mark.spec("R4 resource-operation-validate.html")
async def test_validate_with_a_mode_changes_nothing(client: httpx.AsyncClient, unique: str) -> None:
    made = (await client.post("/Observation", json=RIGHT)).json()
    address = f"/Observation/{made['id']}"

    async def errors(url: str, body: dict[str, Any] | None = None) -> list[str]:
        response = await client.post(url, json=body) if body else await client.get(url)
        assert response.status_code == 200, response.text
        return [code for severity, code, _ in issues(response) if severity == "error"]

    tagged = RIGHT | {"identifier": [{"value": unique}]}
    assert await errors("/Observation/$validate?mode=create", tagged) == []
    assert "entry" not in (await client.get(f"/Observation?identifier={unique}")).json()
    assert await errors(f"{address}/$validate?mode=update", made) == []
    assert await errors(f"{address}/$validate?mode=update", made | {"id": "other"}) == ["value"]
    assert await errors(f"{address}/$validate?mode=delete") == []
    assert await errors(f"/Observation/{unique}/$validate?mode=delete") == ["not-found"]
    assert await errors(f"{address}/$validate") == []
    assert (await client.get(address)).json()["meta"]["versionId"] == "1"


@pytest.mark.spec("R4 resource-operation-validate.html")
@pytest.mark.parametrize(
    ("url", "status"), [("/Observation/$validate?mode=dream", 400), ("/Observation/$validate", 400)]
)
async def test_a_call_that_makes_no_sense(client: httpx.AsyncClient, url: str, status: int) -> None:
    assert (await client.post(url, json={"resourceType": "Patient"})).status_code == status


@pytest.mark.spec("R4 validation.html")
async def test_the_policy_may_store_and_tag(anyio_backend: str, tmp_path: Path) -> None:
    settings = {"validation": "tag", "validation_profiles": (PROFILE,)}
    async with running(f"sqlite:///{tmp_path}/fhir.db", **settings) as node, node.client() as http:
        await http.post("/StructureDefinition", json=DEFINITION)
        stored = (await http.post("/Observation", json=RIGHT)).json()
        assert [tag["code"] for tag in stored["meta"]["tag"]] == [TAG["code"]]
        found = (await http.get(f"/Observation?_tag={TAG['system']}|{TAG['code']}")).json()
        assert len(found["entry"]) == 1
        mended = (await http.put(f"/Observation/{stored['id']}", json=stored | {"valueString": "60 kg"})).json()
        assert "tag" not in mended["meta"]
        assert (await http.post("/Observation", json=RIGHT | {"colour": "red"})).status_code == 400


@pytest.mark.anyio
@pytest.mark.spec("R4 http.html#integrity")
async def test_what_is_referred_to_may_have_to_be_there(module_database_url: str, unique: str) -> None:
    async with running(module_database_url, validation_references=True) as node, node.client() as http:
        about = RIGHT | {"subject": {"reference": f"Patient/{unique}"}}
        refused = await http.post(
            "/Observation", json=about | {"focus": [{"reference": "https://else.example/Basic/1"}]}
        )
        assert refused.status_code == 422 and issues(refused) == [("error", "not-found", "")]
        assert f"Patient/{unique}" in refused.text
        patient = {"resourceType": "Patient", "id": unique}
        entries = [
            {"resource": RIGHT | {"subject": {"reference": f"http://fhir.test/fhir/Patient/{unique}"}}}
            | {"request": {"method": "POST", "url": "Observation"}},
            {"resource": patient, "request": {"method": "PUT", "url": f"Patient/{unique}"}},
        ]
        done = await http.post("", json={"resourceType": "Bundle", "type": "transaction", "entry": entries})
        assert done.status_code == 200, done.text
        inner = {"contained": [{"resourceType": "Device", "id": "d"}], "device": {"reference": "#d"}}
        made = await http.post("/Observation", json=RIGHT | {"subject": {"reference": f"Patient/{unique}"}} | inner)
        assert made.status_code == 201
        await http.delete(f"/Patient/{unique}")
        gone = await http.put(f"/Observation/{made.json()['id']}", json=made.json() | {"language": "de"})
        assert gone.status_code == 422
