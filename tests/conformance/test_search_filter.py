"""https://hl7.org/fhir/R4/search_filter.html, and the functional lists of https://hl7.org/fhir/R4/lifecycle.html#lists"""

from contextlib import suppress
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.errors import Invalid
from fhir_server.search.filters import Comparison, Joined, read_filter
from tests.conformance.chart import found, put

pytestmark = pytest.mark.anyio

FILTERS = {
    'Patient?name co "LLER"': ["anna"],
    'Patient?family eq "Müller-Śliwa"': ["anna"],
    'Patient?family eq "müller-śliwa"': ["anna"],
    'Patient?family eq "müller"': [],
    'Patient?family ew "Sliwa"': ["anna"],
    'Patient?family ne "müller-śliwa"': ["li"],
    "Patient?family ge m and family lt n": ["anna"],
    "Patient?family gt m or family le l": ["li"],
    'Patient?name sw "mul" or gender eq male': ["anna", "li"],
    'Patient?name sw "mul" and gender eq male': [],
    "Patient?gender ne female": ["li"],
    "Patient?gender pr true and not (gender eq male)": ["anna"],
    "Patient?gender pr false": ["nobody"],
    "Patient?birthdate lt 1975-01-01 or birthdate ge 1982": ["anna", "li"],
    "Patient?identifier eq urn:mrn|A1": ["anna"],
    'Patient?identifier eq "A1" or identifier eq "77"': ["anna"],
    'Patient?organization.partof.name sw "Gro"': ["anna"],
    "Patient?gender eq male and birthdate eq 1982 or gender eq female and birthdate gt 1990": [],
    "Patient?birthdate gt 1990 or gender eq female and gender eq female or gender eq male": ["anna", "li"],
    "Patient?(gender eq male and birthdate eq 1982) or (gender eq female and birthdate gt 1990)": ["li"],
    "Patient?_id ne anna and not (_id eq li) and not(_id eq nobody)": [],
    "Patient?birthdate po 1982-06": ["li"],
    "Patient?birthdate co 1982-06": ["li"],
    "Patient?birthdate co 1970": [],
    "Patient?_has:Observation:patient:code eq loinc|718-7": ["anna"],
    "Observation?subject re Patient/anna and value-quantity eq 9|ucum|mg": ["o2"],
    'Observation?subject[gender eq male].family sw "mul"': [],
    "Observation?subject:Patient[gender eq female].birthdate lt 1975 and code eq loinc|718-7": ["o1", "o2"],
    "Observation?subject:Patient[organization.name eq Clinic and not (gender eq male)].family sw Mull": [
        "o1",
        "o2",
        "o3",
        "o4",
    ],
    "Patient?(gender eq male or gender eq female) and birthdate lt 1975": ["anna"],
    "Observation?value-quantity gt 9.5 and code eq http://loinc.org|718-7": ["o1"],
    'Observation?subject:Patient.name co "anna" and date ge 2021-02 and not (status eq amended)': ["o2", "o4"],
    "Observation?patient eq Patient/anna and value-quantity ne 9|http://unitsofmeasure.org|mg": ["o1", "o3"],
}
BAD = [
    "name",
    "name eq",
    "name eq x)",
    "(name eq x",
    "name eq x and",
    "name xx y",
    "birthdate ew y",
    "name[family eq x] eq y",
    "organization[name eq x].partof[name eq y",
    "organization[name eq x] pr true",
    "gender re x",
    "nonsense eq y",
    "gender co y",
    "name[use eq official].family eq x",
    'name eq "x',
    "gender pr perhaps",
    "birthdate eq nonsense",
    "organization.nonsense eq 1",
    "(" * 100 + "name eq x" + ")" * 100,
    " or ".join(["name eq x"] * 1000),
]


@pytest.mark.spec("R4 search_filter.html")
@pytest.mark.parametrize(("search", "ids"), FILTERS.items())
async def test_a_filter_finds(chart: httpx.AsyncClient, search: str, ids: list[str]) -> None:
    resource_type, _, text = search.partition("?")
    assert sorted(await found(chart, f"{resource_type}?_filter={quote(text)}")) == ids


@pytest.mark.spec("R4 search_filter.html")
async def test_a_filter_goes_with_other_parameters_and_pages(chart: httpx.AsyncClient) -> None:
    assert await found(chart, "Patient?_filter=gender%20pr%20true&birthdate=1982") == ["li"]
    first = (await chart.get("/Patient?_filter=gender%20pr%20true&_count=1&_total=accurate&_sort=birthdate")).json()
    second = (await chart.get(next(link["url"] for link in first["link"] if link["relation"] == "next"))).json()
    ids = [bundle["entry"][0]["resource"]["id"] for bundle in (first, second)]
    assert (first["total"], ids) == (2, ["anna", "li"])


@pytest.mark.spec("R4 search_filter.html")
@pytest.mark.parametrize("text", BAD, ids=lambda text: text[:20])
async def test_a_filter_that_cannot_be_understood_is_refused(chart: httpx.AsyncClient, text: str) -> None:
    answer = await chart.get("/Patient", params={"_filter": text})
    assert answer.status_code == 400, answer.text
    assert answer.json()["resourceType"] == "OperationOutcome"


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(st.text(alphabet='ab ()[]."\\or nd eq', max_size=60))
def test_whatever_is_written_is_read_or_refused(text: str) -> None:
    with suppress(Invalid):
        assert isinstance(read_filter(text), Comparison | Joined)


def allergy(id_: str, clinical: str, verification: str, category: str) -> dict[str, Any]:
    system = "http://terminology.hl7.org/CodeSystem/allergyintolerance"
    return {
        "resourceType": "AllergyIntolerance",
        "id": id_,
        "clinicalStatus": {"coding": [{"system": f"{system}-clinical", "code": clinical}]},
        "verificationStatus": {"coding": [{"system": f"{system}-verification", "code": verification}]},
        "category": [category],
        "patient": {"reference": "Patient/anna"},
    }


@pytest.mark.spec("R4 lifecycle.html#lists")
async def test_functional_lists(chart: httpx.AsyncClient) -> None:
    medication = {"resourceType": "MedicationStatement", "medicationCodeableConcept": {"text": "x"}}
    taken = medication | {"subject": {"reference": "Patient/anna"}}
    stored = [
        allergy("current", "active", "confirmed", "food"),
        allergy("drug", "active", "unconfirmed", "medication"),
        allergy("over", "resolved", "confirmed", "medication"),
        allergy("wrong", "active", "refuted", "medication"),
        taken | {"id": "taken", "status": "active"},
        taken | {"id": "stopped", "status": "stopped"},
    ]
    await put(chart, stored)
    both = await found(chart, "AllergyIntolerance?patient=anna&_list=$current-allergies")
    assert sorted(both) == ["current", "drug"]
    assert await found(chart, "AllergyIntolerance?patient=Patient/anna&_list=$current-drug-allergies") == ["drug"]
    assert await found(chart, "MedicationStatement?patient=anna&_list=$current-medications") == ["taken"]
    assert await found(chart, "Condition?patient=anna&_list=$current-problems") == []
    for wrong in ("Patient?_list=$current-allergies", "Condition?_list=$nonsense"):
        assert (await chart.get(f"/{wrong}")).status_code == 400
