"""$validate-code on CodeSystem and ValueSet, over R4's own definitions and stored ones."""

from typing import Any

import httpx
import pytest

GENDER = "http://hl7.org/fhir/ValueSet/administrative-gender"
GENDER_CODES = "http://hl7.org/fhir/administrative-gender"
PRIORITY = "http://terminology.hl7.org/ValueSet/v3-ActPriority"
PRIORITY_CODES = "http://terminology.hl7.org/CodeSystem/v3-ActPriority"

pytestmark = pytest.mark.anyio


async def ask(client: httpx.AsyncClient, address: str, **parameters: str) -> dict[str, Any]:
    response = await client.get(address, params=parameters)
    assert response.status_code == 200, response.text
    return {
        one["name"]: value
        for one in response.json()["parameter"]
        for key, value in one.items()
        if key.startswith("value")
    }


@pytest.mark.spec("R4 valueset-operation-validate-code.html")
async def test_a_code_of_r4_is_in_its_value_set_and_another_is_not(client: httpx.AsyncClient) -> None:
    right = await ask(client, "/ValueSet/$validate-code", url=GENDER, system=GENDER_CODES, code="male")
    assert right == {"result": True, "display": "Male"}
    wrong = await ask(client, "/ValueSet/$validate-code", url=GENDER, system=GENDER_CODES, code="man")
    assert wrong["result"] is False and "man" in wrong["message"]


@pytest.mark.spec("R4 codesystem-operation-validate-code.html")
async def test_a_code_system_knows_its_codes_and_their_displays(client: httpx.AsyncClient) -> None:
    right = await ask(client, "/CodeSystem/$validate-code", url=PRIORITY_CODES, code="CSP")
    assert right["result"] is True
    named = await ask(client, "/CodeSystem/$validate-code", url=GENDER_CODES, code="male", display="Female")
    assert named["result"] is False and named["display"] == "Male"


@pytest.mark.spec("R4 valueset-operation-validate-code.html")
async def test_a_posted_codeable_concept_is_right_when_one_coding_is(client: httpx.AsyncClient) -> None:
    concept = {"coding": [{"system": "http://nowhere", "code": "x"}, {"system": PRIORITY_CODES, "code": "EL"}]}
    parameters = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "url", "valueUri": PRIORITY},
            {"name": "codeableConcept", "valueCodeableConcept": concept},
        ],
    }
    response = await client.post("/ValueSet/$validate-code", json=parameters)
    assert response.json()["parameter"][0] == {"name": "result", "valueBoolean": True}


@pytest.mark.spec("R4 valueset-operation-validate-code.html")
async def test_a_stored_value_set_counts_at_once_and_no_longer_once_deleted(
    client: httpx.AsyncClient, unique: str
) -> None:
    url = f"http://example.org/ValueSet/{unique}"
    value_set = {
        "resourceType": "ValueSet",
        "url": url,
        "status": "active",
        "compose": {"include": [{"system": GENDER_CODES, "concept": [{"code": "other"}]}]},
    }
    created = await client.post("/ValueSet", json=value_set)
    address = created.headers["location"].partition("/_history")[0]
    assert (await ask(client, "/ValueSet/$validate-code", url=url, system=GENDER_CODES, code="other"))["result"] is True
    assert (await ask(client, f"{address}/$validate-code", system=GENDER_CODES, code="male"))["result"] is False
    await client.delete(address)
    gone = await client.get("/ValueSet/$validate-code", params={"url": url, "code": "other"})
    assert gone.status_code == 422 and "not loaded" in gone.json()["issue"][0]["diagnostics"]


@pytest.mark.spec("R4 valueset-operation-validate-code.html")
async def test_what_is_not_loaded_is_said_clearly(client: httpx.AsyncClient) -> None:
    response = await client.get(
        "/ValueSet/$validate-code",
        params={
            "url": "http://hl7.org/fhir/ValueSet/observation-codes",
            "system": "http://loinc.org",
            "code": "8867-4",
        },
    )
    assert response.status_code == 422
    issue = response.json()["issue"][0]
    assert issue["code"] == "not-found" and "LOINC (http://loinc.org) is not loaded" in issue["diagnostics"]


@pytest.mark.spec("R4 valueset-operation-validate-code.html")
async def test_units_of_ucum_are_recognised(client: httpx.AsyncClient) -> None:
    units = {"url": "http://hl7.org/fhir/ValueSet/ucum-units", "system": "http://unitsofmeasure.org"}
    assert (await ask(client, "/ValueSet/$validate-code", **units, code="mg/dL"))["result"] is True
    response = await client.get("/ValueSet/$validate-code", params=units | {"code": "spoons"})
    assert response.status_code == 422 and "unitsofmeasure" in response.text


@pytest.mark.spec("R4 operations.html#executing")
async def test_unknown_operations_types_and_parameters_are_refused(client: httpx.AsyncClient) -> None:
    assert (await client.get("/ValueSet/$nonsense")).status_code == 404
    assert (await client.get("/Nothing/$validate-code")).status_code == 404
    assert (await client.get("/Patient/$validate-code")).status_code == 404
    response = await client.get("/ValueSet/$validate-code", params={"url": GENDER, "cod": "male"})
    assert response.status_code == 400 and "'cod'" in response.text


@pytest.mark.spec("R4 capabilitystatement.html")
async def test_the_capability_statement_lists_operations(client: httpx.AsyncClient) -> None:
    rest = (await client.get("/metadata")).json()["rest"][0]
    by_type = {resource["type"]: resource.get("operation", []) for resource in rest["resource"]}
    definition = "http://hl7.org/fhir/OperationDefinition/ValueSet-validate-code"
    assert {"name": "validate-code", "definition": definition} in by_type["ValueSet"]
