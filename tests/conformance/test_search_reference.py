"""https://hl7.org/fhir/R4/search.html#reference"""

import httpx
import pytest

from tests.conformance.chart import found

pytestmark = pytest.mark.anyio

REFERENCE = {
    "Observation?patient=anna": ["o1", "o2", "o3", "o4"],
    "Observation?patient=Patient/anna": ["o1", "o2", "o3", "o4"],
    "Observation?subject=http://fhir.test/fhir/Patient/anna": ["o1", "o2", "o3", "o4"],
    "Observation?subject:Patient=anna": ["o1", "o2", "o3", "o4"],
    "Observation?subject:Group=anna": [],
    "Observation?subject=Patient/li": [],
    "Condition?patient=anna": ["c1"],
    "DocumentReference?relatesto=http://elsewhere.test/DocumentReference/9": ["d1"],
    "Task?patient=anna": ["t1"],
    "Task?task-input=Observation/o1": ["t1"],
    "Patient?organization=clinic": ["anna"],
    "Patient?organization:missing=true": ["li", "nobody"],
}


@pytest.mark.spec("R4 search.html#reference")
@pytest.mark.parametrize("query", REFERENCE)
async def test_reference(chart: httpx.AsyncClient, query: str) -> None:
    assert sorted(await found(chart, query)) == REFERENCE[query]


URI = {
    "url=http://values.test/a/b": ["v1"],
    "url=http://values.test/a": [],
    "url:below=http://values.test/a": ["v1"],
    "url:above=http://values.test/a/b/c": ["v1"],
    "url:above=http://values.test/x": [],
}


@pytest.mark.spec("R4 search.html#uri")
@pytest.mark.parametrize("query", URI)
async def test_uri(chart: httpx.AsyncClient, query: str) -> None:
    assert await found(chart, f"ValueSet?{query}") == URI[query]


CHAINED = {
    "Observation?subject:Patient.name=anna": ["o1", "o2", "o3", "o4"],
    "Observation?patient.identifier=urn:mrn|A1&code=718-7": ["o1", "o2"],
    "Observation?subject.gender=male": [],
    "Patient?organization.name=clin": ["anna"],
    "Patient?organization.partof.name=group": ["anna"],
    "Observation?patient.organization.partof.name=group&date=2020": ["o1"],
    "Patient?_has:Observation:patient:code=718-7": ["anna"],
    "Patient?_has:Observation:patient:code=1-1": [],
    "Organization?_has:Patient:organization:_has:Observation:patient:code=718-7": ["clinic"],
    "Patient?general-practitioner:Practitioner.name=grun": ["anna"],
}


@pytest.mark.spec("R4 search.html#chaining")
@pytest.mark.parametrize("query", CHAINED)
async def test_chains(chart: httpx.AsyncClient, query: str) -> None:
    assert sorted(await found(chart, query)) == CHAINED[query]


@pytest.mark.spec("R4 search.html#include")
@pytest.mark.parametrize(
    ("query", "included"),
    [
        ("Observation?_id=o1&_include=Observation:subject", ["anna"]),
        ("Observation?_id=o1&_include=Observation:subject:Group", []),
        ("Observation?_id=o1&_include=*", ["anna"]),
        ("Observation?_id=o1&_include=Observation:patient&_include:iterate=Patient:organization", ["anna", "clinic"]),
        (
            "Observation?_id=o1&_include=Observation:patient&_include:iterate=Patient:organization"
            "&_include:iterate=Organization:partof",
            ["anna", "clinic", "group"],
        ),
        ("Patient?_id=anna&_revinclude=Condition:subject", ["c1"]),
        ("Patient?_id=anna&_revinclude=Observation:subject&_revinclude=Task:patient", ["o1", "o2", "o3", "o4", "t1"]),
        ("Patient?_id=li&_revinclude=DocumentReference:*", ["d1"]),
        ("Patient?_id=li&_revinclude=*", ["d1", "r1"]),
        (
            "Organization?_id=group&_revinclude:iterate=Organization:partof&_revinclude:iterate=*",
            ["anna", "c1", "clinic", "o1", "o2", "o3", "o4", "t1"],
        ),
    ],
)
async def test_includes(chart: httpx.AsyncClient, query: str, included: list[str]) -> None:
    bundle = (await chart.get(f"/{query}")).json()
    modes = [(entry["search"]["mode"], entry["resource"]["id"]) for entry in bundle["entry"]]
    assert sorted(name for mode, name in modes if mode == "include") == included
    assert bundle["total"] == 1
