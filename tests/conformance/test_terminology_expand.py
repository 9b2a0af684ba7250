"""ValueSet/$expand."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.fhir_server.packages import code_system

GENDER = "http://hl7.org/fhir/ValueSet/administrative-gender"
PRIORITY = "http://terminology.hl7.org/ValueSet/v3-ActPriority"
SPEC = "R4 valueset-operation-expand.html"

pytestmark = pytest.mark.anyio


async def expand(client: httpx.AsyncClient, url: str, **parameters: str) -> dict[str, Any]:
    response = await client.get("/ValueSet/$expand", params={"url": url, **parameters})
    assert response.status_code == 200, response.text
    expansion: dict[str, Any] = response.json()["expansion"]
    return expansion


def codes(node: dict[str, Any]) -> list[str]:
    return list(_codes(node))


def _codes(node: dict[str, Any]) -> Iterator[str]:
    for one in node.get("contains", ()):
        yield one["code"]
        yield from _codes(one)


@pytest.fixture
async def colours(client: httpx.AsyncClient, unique: str) -> str:
    """The URL of a stored code system of colours."""
    url = f"http://example.org/CodeSystem/{unique}"
    assert (await client.put(f"/CodeSystem/{unique}", json=code_system(url))).status_code == 201
    return url


async def composed(client: httpx.AsyncClient, *includes: dict[str, Any], **more: Any) -> list[str]:
    """The codes of a value set that is sent along."""
    value_set = {"resourceType": "ValueSet", "status": "active", "compose": {"include": [*includes], **more}}
    response = await client.post("/ValueSet/$expand", json=value_set)
    assert response.status_code == 200, response.text
    return codes(response.json()["expansion"])


def filtered(system: str, *filters: tuple[str, str, str]) -> dict[str, Any]:
    return {"system": system, "filter": [{"property": p, "op": op, "value": v} for p, op, v in filters]}


@pytest.mark.spec(SPEC)
async def test_a_value_set_of_r4_is_listed(client: httpx.AsyncClient) -> None:
    response = await client.get("/ValueSet/$expand", params={"url": GENDER})
    value_set = response.json()
    assert value_set["url"] == GENDER and "compose" not in value_set
    expansion = value_set["expansion"]
    assert codes(expansion) == ["male", "female", "other", "unknown"] and expansion["total"] == 4
    assert expansion["contains"][0]["display"] == "Male" and expansion["identifier"].startswith("urn:uuid:")
    version = {"name": "version", "valueUri": "http://hl7.org/fhir/administrative-gender|4.0.1"}
    assert version in expansion["parameter"]
    whole = await client.get("/ValueSet/$expand", params={"url": GENDER, "includeDefinition": "true"})
    assert "compose" in whole.json()


@pytest.mark.spec(SPEC)
async def test_codes_nest_as_in_their_system_unless_told_otherwise(client: httpx.AsyncClient) -> None:
    nested = await expand(client, PRIORITY)
    scheduling = next(one for one in nested["contains"] if one["code"] == "CS")
    assert codes(scheduling) == ["CSP", "CSR"]
    flat = await expand(client, PRIORITY, excludeNested="true")
    assert codes(flat) == codes(nested) and all("contains" not in one for one in flat["contains"])


@pytest.mark.spec(SPEC)
async def test_pages_follow_each_other_without_gap(client: httpx.AsyncClient) -> None:
    whole = codes(await expand(client, PRIORITY, excludeNested="true"))
    pages = [await expand(client, PRIORITY, offset=str(start), count="5") for start in range(0, len(whole), 5)]
    assert [code for page in pages for code in codes(page)] == whole
    assert {page["total"] for page in pages} == {len(whole)} and pages[1]["offset"] == 5
    assert codes(await expand(client, PRIORITY, count="0")) == []


@pytest.mark.spec(SPEC)
async def test_the_filter_finds_beginnings_of_words_without_case_and_accents(client: httpx.AsyncClient) -> None:
    assert codes(await expand(client, PRIORITY, filter="SCHED callb")) == ["CS", "CSP"]
    assert codes(await expand(client, GENDER, filter="Fémale")) == ["female"]
    assert codes(await expand(client, GENDER, filter="ale")) == []


@pytest.mark.spec(SPEC)
async def test_designations_languages_and_inactive_codes(client: httpx.AsyncClient, unique: str) -> None:
    url = f"http://example.org/CodeSystem/{unique}"
    german = {"language": "de", "value": "Rot"}
    inactive = [{"code": "inactive", "valueBoolean": True}]
    concepts = [
        {"code": "r", "display": "Red", "designation": [german]},
        {"code": "old", "display": "Old", "property": inactive},
    ]
    await client.put(f"/CodeSystem/{unique}", json=code_system(url, concept=concepts))
    value_set = {"resourceType": "ValueSet", "url": f"{url}/vs", "status": "active"}
    await client.post("/ValueSet", json=value_set | {"compose": {"include": [{"system": url}]}})
    told = (await expand(client, f"{url}/vs", includeDesignations="true"))["contains"]
    assert told[0]["designation"] == [german] and told[1]["inactive"] is True
    assert (await expand(client, f"{url}/vs", displayLanguage="de-CH"))["contains"][0]["display"] == "Rot"
    assert codes(await expand(client, f"{url}/vs", activeOnly="true")) == ["r"]
    assert codes(await expand(client, f"{url}/vs", filter="rot")) == ["r"]


@pytest.mark.spec("R4 valueset-filter-operator.html")
async def test_every_filter_operator(client: httpx.AsyncClient, colours: str) -> None:
    async def by(*filters: tuple[str, str, str]) -> list[str]:
        return await composed(client, filtered(colours, *filters))

    assert await by(("concept", "is-a", "crimson")) == ["crimson", "deep-crimson"]
    assert await by(("concept", "descendent-of", "red")) == ["scarlet", "crimson", "deep-crimson"]
    assert await by(("concept", "is-not-a", "crimson")) == ["red", "scarlet", "blue"]
    assert await by(("concept", "generalizes", "crimson")) == ["red", "crimson"]
    assert await by(("code", "regex", "(b|r)[a-z]+")) == ["red", "blue"]
    assert await by(("code", "in", "blue, scarlet")) == ["scarlet", "blue"]
    assert await by(("code", "not-in", "blue,scarlet,red")) == ["crimson", "deep-crimson"]
    assert await by(("parent", "=", "red")) == ["scarlet", "crimson"]
    assert await by(("parent", "exists", "false")) == ["red", "blue"]
    assert await by(("concept", "is-a", "red"), ("display", "regex", "S.*")) == ["scarlet"]


@pytest.mark.spec("R4 valueset.html#compositions")
async def test_imports_intersect_and_excludes_are_taken_away(client: httpx.AsyncClient, colours: str) -> None:
    reds = {"resourceType": "ValueSet", "url": f"{colours}/reds", "status": "active"}
    await client.post(
        "/ValueSet", json=reds | {"compose": {"include": [filtered(colours, ("concept", "is-a", "red"))]}}
    )
    few = {"system": colours, "concept": [{"code": "blue"}, {"code": "scarlet", "display": "Bright"}]}
    assert await composed(client, {**few, "valueSet": [f"{colours}/reds"]}) == ["scarlet"]
    assert await composed(client, {"valueSet": [f"{colours}/reds"]}, exclude=[few]) == [
        "red",
        "crimson",
        "deep-crimson",
    ]
    assert await composed(client, {"valueSet": [f"{colours}/reds"]}, few) == [
        "red",
        "scarlet",
        "crimson",
        "deep-crimson",
        "blue",
    ]


@pytest.mark.spec("R4 valueset.html#compositions")
async def test_a_value_set_that_imports_itself_is_refused(client: httpx.AsyncClient, unique: str) -> None:
    url = f"http://example.org/ValueSet/{unique}"
    value_set = {"resourceType": "ValueSet", "url": url, "status": "active"}
    await client.post("/ValueSet", json=value_set | {"compose": {"include": [{"valueSet": [url]}]}})
    response = await client.get("/ValueSet/$expand", params={"url": url})
    assert response.status_code == 422 and "imports itself" in response.text


@pytest.mark.spec(SPEC)
async def test_too_many_codes_are_refused_until_asked_for_in_pages(client: httpx.AsyncClient, unique: str) -> None:
    url = f"http://example.org/ValueSet/{unique}"
    everything = {"include": [{"system": "http://dicom.nema.org/resources/ontology/DCM"}]}
    value_set = {"resourceType": "ValueSet", "url": url, "status": "active", "compose": everything}
    await client.post("/ValueSet", json=value_set)
    response = await client.get("/ValueSet/$expand", params={"url": url})
    assert response.status_code == 422 and response.json()["issue"][0]["code"] == "too-costly"
    page = await expand(client, url, offset="3000", count="200")
    assert page["total"] > 3000 and len(page["contains"]) == page["total"] - 3000


@pytest.mark.spec(SPEC)
@pytest.mark.parametrize(
    ("parameters", "status", "said"),
    [
        ({"url": "http://hl7.org/fhir/ValueSet/observation-codes"}, 422, "LOINC"),
        ({"url": "http://hl7.org/fhir/ValueSet/mimetypes"}, 422, "urn:ietf:bcp:13"),
        ({"url": "http://nowhere.example/ValueSet/x"}, 422, "not loaded"),
        ({}, 400, "'url' is missing"),
        ({"url": GENDER, "count": "-1"}, 400, "whole number"),
        ({"url": GENDER, "activeOnly": "perhaps"}, 400, "true or false"),
        ({"url": GENDER, "date": "long ago"}, 400, "long ago"),
        ({"url": GENDER, "date": "1999"}, 422, "from 1999 or before"),
        ({"url": GENDER, "system-version": "http://hl7.org/fhir/administrative-gender"}, 400, "system|version"),
    ],
)
async def test_what_cannot_be_expanded_is_said(
    client: httpx.AsyncClient, parameters: dict[str, str], status: int, said: str
) -> None:
    response = await client.get("/ValueSet/$expand", params=parameters)
    assert response.status_code == status and said in response.text


@pytest.mark.spec(SPEC)
async def test_a_hostile_pattern_costs_nothing_and_a_broken_one_is_refused(
    client: httpx.AsyncClient, unique: str
) -> None:
    url = f"http://example.org/CodeSystem/{unique}"
    await client.put(f"/CodeSystem/{unique}", json=code_system(url, concept=[{"code": "a" * 60 + "!"}]))
    assert await composed(client, filtered(url, ("code", "regex", "(a+)+b"))) == []
    value_set = {"resourceType": "ValueSet", "status": "active"}
    broken = value_set | {"compose": {"include": [filtered(url, ("code", "regex", "("))]}}
    assert (await client.post("/ValueSet/$expand", json=broken)).status_code == 422
    shapeless = value_set | {"compose": {"include": "everything"}}
    assert (await client.post("/ValueSet/$expand", json=shapeless)).status_code == 400


@pytest.mark.spec("R4 valueset-operation-expand.html")
async def test_a_context_is_the_element_that_is_bound(client: httpx.AsyncClient) -> None:
    codes = "http://hl7.org/fhir/administrative-gender"
    patient = "http://hl7.org/fhir/StructureDefinition/Patient#Patient.gender"
    found = await client.get("/ValueSet/$expand", params={"context": patient, "contextDirection": "incoming"})
    assert found.json()["url"] == GENDER
    checked = await client.get("/ValueSet/$validate-code", params={"context": patient, "code": "male", "system": codes})
    assert checked.json()["parameter"][0] == {"name": "result", "valueBoolean": True}
    for nothing in ("http://hl7.org/fhir/StructureDefinition/Patient#Patient.birthDate", "urn:nobody#x"):
        assert (await client.get("/ValueSet/$expand", params={"context": nothing})).status_code == 404
