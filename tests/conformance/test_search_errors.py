"""https://hl7.org/fhir/R4/search.html#errors"""

import httpx
import pytest

pytestmark = pytest.mark.anyio

BAD = [
    "Patient?nonsense=1",
    "Patient?name:nonsense=x",
    "Patient?gender:exact=x",
    "Observation?date=yesterday",
    "Observation?date=xx2020",
    "Observation?date=2020-13-01",
    "Observation?value-quantity=many",
    "Observation?value-quantity=1|2",
    "Observation?subject:Nonsense=1",
    "Observation?subject.nonsense=1",
    "Observation?code.x=1",
    "Patient?gender:missing=maybe",
    "Patient?_sort=nonsense",
    "Patient?_include=nonsense",
    "Patient?_include=Patient:name",
    "Patient?_include=Patient:nonsense",
    "Patient?_count=many",
    "Patient?_total=some",
    "Patient?_summary=some",
    "Patient?_has:Observation:code=1",
    "Patient?_has:Observation:code:code=1",
    "Patient?identifier=a|b|c",
    "Patient?_cursor=nonsense",
    "Patient?_text=x",
]


NOT_SUPPORTED = {
    "Patient?_text=x": "KONSIL_FHIR_FULL_TEXT",
    "Patient?_content=x": "KONSIL_FHIR_FULL_TEXT",
    "Patient?_contained=true": "what is contained is found by its container only",
    "Patient?_query=x": "'_query' of Patient",
}


@pytest.mark.spec("R4 search.html#errors")
@pytest.mark.parametrize("query", BAD)
async def test_what_is_not_understood_is_400(chart: httpx.AsyncClient, query: str) -> None:
    response = await chart.get(f"/{query}")
    assert response.status_code == 400
    assert response.json()["resourceType"] == "OperationOutcome"


@pytest.mark.spec("R4 search.html#errors")
@pytest.mark.parametrize("query", NOT_SUPPORTED)
async def test_what_is_not_supported_says_so(chart: httpx.AsyncClient, query: str) -> None:
    answer = await chart.get(f"/{query}")
    assert answer.status_code == 400
    assert NOT_SUPPORTED[query] in answer.json()["issue"][0]["diagnostics"]


@pytest.mark.spec("R4 search.html#errors")
async def test_lenient_handling_names_what_it_left_out(chart: httpx.AsyncClient) -> None:
    response = await chart.get("/Patient?_id=anna&nonsense=1", headers={"Prefer": "handling=lenient"})
    bundle = response.json()
    assert bundle["link"][0]["url"] == "http://fhir.test/fhir/Patient?_id=anna"
    modes = {entry["search"]["mode"]: entry["resource"] for entry in bundle["entry"]}
    assert modes["match"]["id"] == "anna"
    assert "nonsense" in modes["outcome"]["issue"][0]["diagnostics"]
    bad_value = await chart.get("/Patient?birthdate=x", headers={"Prefer": "handling=lenient"})
    assert bad_value.status_code == 400
