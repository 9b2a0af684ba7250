"""The OpenAPI document says what the CapabilityStatement says.  https://hl7.org/fhir/R4/capabilitystatement.html"""

import re
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.anyio


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(references(item) for item in value.values()))
    return set().union(*(references(item) for item in value)) if isinstance(value, list) else set()


@pytest.mark.spec("R4 capabilitystatement.html")
async def test_every_interaction_of_the_statement_is_in_openapi(client: httpx.AsyncClient) -> None:
    answer = await client.get("/openapi.json", headers={"Authorization": ""})
    assert answer.status_code == 200
    document, statement = answer.json(), (await client.get("/metadata")).json()
    assert document["openapi"] == "3.1.0"
    assert document["servers"] == [{"url": "http://fhir.test/fhir"}]
    paths = document["paths"]
    for resource in statement["rest"][0]["resource"]:
        name = resource["type"]
        assert {"get", "post", "put", "patch", "delete"} == set(paths[f"/{name}"])
        form = paths[f"/{name}/_search"]["post"]["requestBody"]["content"]["application/x-www-form-urlencoded"][
            "schema"
        ]
        assert {"_filter", "_list", "_count"} <= set(form["properties"])
        assert {"get", "put", "patch", "delete"} <= set(paths[f"/{name}/{{id}}"])
        names = {each["name"] for each in paths[f"/{name}"]["get"]["parameters"]}
        assert {each["name"] for each in resource["searchParam"]} <= names
    assert "/ValueSet/$expand" in paths and "/Patient/{id}/$everything" in paths


@pytest.mark.spec("R4 capabilitystatement.html")
async def test_the_document_is_sound(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert references(document) <= known
    for path, item in document["paths"].items():
        for method, operation in ((m, o) for m, o in item.items() if m != "parameters"):
            placed = [*operation.get("parameters", ()), *item.get("parameters", ())]
            given = {each["name"] for each in placed if each["in"] == "path"}
            assert given == set(re.findall(r"{(\w+)}", path)), (path, method)
            assert operation["responses"]
