"""CodeSystem/$lookup and $subsumes, ConceptMap/$translate."""

from typing import Any

import httpx
import pytest

from tests.fhir_server.packages import code_system

PRIORITY = "http://terminology.hl7.org/CodeSystem/v3-ActPriority"
ADDRESS_USE = "http://hl7.org/fhir/address-use"
LOOKUP = "R4 codesystem-operation-lookup.html"
SUBSUMES = "R4 codesystem-operation-subsumes.html"
TRANSLATE = "R4 conceptmap-operation-translate.html"

pytestmark = pytest.mark.anyio


def values(parameters: dict[str, Any]) -> dict[str, Any]:
    """The first value of each name; parts as a mapping."""
    found: dict[str, Any] = {}
    for one in parameters.get("parameter", parameters.get("part", [])):
        value = next((value for key, value in one.items() if key.startswith("value")), None)
        found.setdefault(one["name"], values(one) if "part" in one else value)
    return found


def properties(parameters: dict[str, Any]) -> set[tuple[str, Any]]:
    found = [values(one) for one in parameters["parameter"] if one["name"] == "property"]
    return {(one["code"], one["value"]) for one in found}


@pytest.mark.spec(LOOKUP)
async def test_a_code_is_described(client: httpx.AsyncClient) -> None:
    response = await client.get("/CodeSystem/$lookup", params={"system": PRIORITY, "code": "CS"})
    found = values(response.json())
    assert found["name"] == "v3 Code System ActPriority" and found["display"] == "callback for scheduling"
    assert {("child", "CSP"), ("child", "CSR"), ("inactive", False)} <= properties(response.json())
    few = await client.get("/CodeSystem/$lookup", params={"system": PRIORITY, "code": "CSP", "property": "parent"})
    assert properties(few.json()) == {("parent", "CS")}


@pytest.mark.spec(LOOKUP)
async def test_a_coding_is_described_in_a_language(client: httpx.AsyncClient, unique: str) -> None:
    url = f"http://example.org/CodeSystem/{unique}"
    concept = {
        "code": "r",
        "display": "Red",
        "designation": [{"language": "de", "value": "Rot"}],
        "property": [{"code": "wavelength", "valueDecimal": 700.0}],
    }
    await client.put(f"/CodeSystem/{unique}", json=code_system(url, concept=[concept]))
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "coding", "valueCoding": {"system": url, "code": "r"}},
            {"name": "displayLanguage", "valueCode": "de"},
        ],
    }
    response = await client.post("/CodeSystem/$lookup", json=body)
    found = values(response.json())
    assert found["display"] == "Rot" and found["designation"] == {"language": "de", "value": "Rot"}
    assert ("wavelength", 700.0) in properties(response.json())
    assert '"valueDecimal":700.0' in response.text


@pytest.mark.spec(LOOKUP)
@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        ({"system": PRIORITY, "code": "no such"}, 404),
        ({"system": "http://snomed.info/sct", "code": "73211009"}, 422),
        ({"code": "CS"}, 400),
        ({"system": PRIORITY}, 400),
    ],
)
async def test_what_cannot_be_looked_up(client: httpx.AsyncClient, parameters: dict[str, str], status: int) -> None:
    response = await client.get("/CodeSystem/$lookup", params=parameters)
    assert response.status_code == status and response.json()["resourceType"] == "OperationOutcome"


@pytest.mark.spec(SUBSUMES)
@pytest.mark.parametrize(
    ("a", "b", "outcome"),
    [
        ("red", "deep-crimson", "subsumes"),
        ("deep-crimson", "red", "subsumed-by"),
        ("red", "red", "equivalent"),
        ("scarlet", "crimson", "not-subsumed"),
    ],
)
async def test_subsumption(client: httpx.AsyncClient, unique: str, a: str, b: str, outcome: str) -> None:
    url = f"http://example.org/CodeSystem/{unique}"
    await client.put(f"/CodeSystem/{unique}", json=code_system(url))
    by_type = await client.get("/CodeSystem/$subsumes", params={"system": url, "codeA": a, "codeB": b})
    by_instance = await client.get(f"/CodeSystem/{unique}/$subsumes", params={"codeA": a, "codeB": b})
    assert values(by_type.json()) == values(by_instance.json()) == {"outcome": outcome}


@pytest.mark.spec(SUBSUMES)
async def test_subsumption_of_unknown_codes_and_systems(client: httpx.AsyncClient) -> None:
    unknown = await client.get("/CodeSystem/$subsumes", params={"system": PRIORITY, "codeA": "CS", "codeB": "?"})
    assert unknown.status_code == 404
    snomed = {"system": "http://snomed.info/sct", "codeA": "3738000", "codeB": "235856003"}
    assert (await client.get("/CodeSystem/$subsumes", params=snomed)).status_code == 422


@pytest.mark.spec(TRANSLATE)
async def test_a_map_of_r4_translates_and_back(client: httpx.AsyncClient) -> None:
    url = "http://hl7.org/fhir/ConceptMap/101"
    there = await client.get("/ConceptMap/$translate", params={"url": url, "system": ADDRESS_USE, "code": "home"})
    found = values(there.json())
    target = "http://terminology.hl7.org/CodeSystem/v3-AddressUse"
    assert found["result"] is True
    assert found["match"] == {
        "equivalence": "equivalent",
        "concept": {"system": target, "code": "H", "display": "home"},
        "source": url,
    }
    back = {"url": url, "system": target, "code": "H", "reverse": "true"}
    again = values((await client.get("/ConceptMap/$translate", params=back)).json())
    assert again["match"]["concept"] == {"system": ADDRESS_USE, "code": "home", "display": "home"}
    without_url = {"system": ADDRESS_USE, "code": "home", "targetsystem": target}
    assert values((await client.get("/ConceptMap/$translate", params=without_url)).json())["result"] is True


@pytest.mark.spec("R4 conceptmap-definitions.html#ConceptMap.group.unmapped")
async def test_unmapped_codes_dependencies_and_products(client: httpx.AsyncClient, unique: str) -> None:
    base = f"http://example.org/{unique}"
    depends = [{"property": f"{base}/sex", "value": "female"}]
    product = [{"property": f"{base}/side", "system": f"{base}/sides", "value": "left"}]
    target = {"code": "X", "equivalence": "wider", "dependsOn": depends, "product": product}
    group = {
        "source": f"{base}/a",
        "target": f"{base}/b",
        "element": [{"code": "x", "target": [target]}],
        "unmapped": {"mode": "fixed", "code": "other", "display": "Other"},
    }
    concept_map = {"resourceType": "ConceptMap", "url": f"{base}/map", "status": "active", "group": [group]}

    async def ask(*more: dict[str, Any]) -> dict[str, Any]:
        coding = {"name": "coding", "valueCoding": {"system": f"{base}/a", "code": "x"}}
        parameter = [{"name": "conceptMap", "resource": concept_map}, coding, *more]
        body = {"resourceType": "Parameters", "parameter": parameter}
        response = await client.post("/ConceptMap/$translate", json=body)
        assert response.status_code == 200, response.text
        return values(response.json())

    assert (await ask())["match"]["concept"]["code"] == "other"
    concept = {"name": "concept", "valueCodeableConcept": {"coding": [{"code": "female"}]}}
    dependency = {"name": "dependency", "part": [{"name": "element", "valueUri": f"{base}/sex"}, concept]}
    matched = (await ask(dependency))["match"]
    assert matched["equivalence"] == "wider" and matched["concept"] == {"system": f"{base}/b", "code": "X"}
    assert matched["product"]["concept"] == {"system": f"{base}/sides", "code": "left"}


@pytest.mark.spec(TRANSLATE)
async def test_no_translation_and_no_map(client: httpx.AsyncClient) -> None:
    url, system = "http://hl7.org/fhir/ConceptMap/102", "http://terminology.hl7.org/CodeSystem/v2-0487"
    none = await client.get("/ConceptMap/$translate", params={"url": url, "system": system, "code": "?"})
    assert values(none.json())["result"] is False
    no_map = await client.get("/ConceptMap/$translate", params={"system": "http://nowhere.example", "code": "x"})
    assert no_map.status_code == 422 and "concept map" in no_map.text
