"""https://hl7.org/fhir/R4/http.html#search: one type, several, a compartment, a list"""

from typing import Any

import httpx
import pytest

from fhir_server.caller import Caller
from tests.conformance.chart import put
from tests.fhir_server.node import Server

pytestmark = pytest.mark.anyio

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def names(client: httpx.AsyncClient, address: str, **more: Any) -> list[str]:
    """References of the matches; GET and POST must agree."""
    response = await client.get(f"/{address}", **more)
    assert response.status_code == 200, response.text
    path, _, query = address.partition("?")
    posted = await client.post(f"/{path}/_search".replace("//", "/"), content=query, headers=FORM)
    answers = [
        [f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in answer.json().get("entry", [])]
        for answer in (response, posted)
    ]
    assert answers[0] == answers[1]
    return sorted(answers[0])


SYSTEM = {
    "?_type=Patient,Organization&_id=anna,clinic": ["Organization/clinic", "Patient/anna"],
    "?_type=Patient&_id=anna": ["Patient/anna"],
    "?_tag=urn:tag|vip": ["Patient/anna"],
    "?_type=Observation,Condition&patient=anna&_sort=-_id": [
        "Condition/c1",
        "Observation/o1",
        "Observation/o2",
        "Observation/o3",
        "Observation/o4",
    ],
    "?_type=Observation,Condition&patient.name=anna&code=718-7,nosystem": [
        "Condition/c1",
        "Observation/o1",
        "Observation/o2",
    ],
    "?_type=Observation,Condition&subject=anna&code:missing=true": [],
    "?_type=Patient,Practitioner&name=gr": ["Practitioner/gp"],
    "?_type=Patient,Organization&_has:Observation:patient:code=718-7": ["Patient/anna"],
    "?_type=Patient,Practitioner&_include=*&_id=anna&_revinclude=Condition:patient": [
        "Condition/c1",
        "Organization/clinic",
        "Patient/anna",
        "Practitioner/gp",
    ],
}


@pytest.mark.spec("R4 http.html#search")
@pytest.mark.parametrize("query", SYSTEM)
async def test_several_types(chart: httpx.AsyncClient, query: str) -> None:
    assert await names(chart, query) == SYSTEM[query]


@pytest.mark.spec("R4 http.html#search")
async def test_several_types_in_pages(chart: httpx.AsyncClient) -> None:
    url, seen = "?_type=Observation,Condition,Task&patient=anna&_sort=-_lastUpdated&_count=2&_total=accurate", []
    while url:
        bundle = (await chart.get(f"/{url}" if url.startswith("?") else url)).json()
        assert bundle["total"] == 6
        assert bundle["link"][0]["url"].startswith("http://fhir.test/fhir?_type=Observation")
        seen += [entry["resource"]["id"] for entry in bundle["entry"]]
        url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), "")
    assert sorted(seen) == ["c1", "o1", "o2", "o3", "o4", "t1"]


@pytest.mark.spec("R4 http.html#search")
@pytest.mark.parametrize("query", ["?_type=Nonsense", "?_type=Patient,Observation&birthdate=2000", "?gender=male"])
async def test_types_share_only_what_all_of_them_have(chart: httpx.AsyncClient, query: str) -> None:
    assert (await chart.get(f"/{query}")).status_code == 400


@pytest.mark.spec("R4 http.html#search")
async def test_types_that_a_caller_may_not_see_are_not_there(server: Server, chart: httpx.AsyncClient) -> None:
    caller = Caller("only", "tests", None, frozenset({"administrator"}), "Organization/here", ("system/Patient.rs",))
    async with server.client(caller) as client:
        assert await names(client, "?_type=Patient,Observation&_id=anna,o1") == ["Patient/anna"]
        assert await names(client, "?_tag=urn:tag|vip&_revinclude=*") == ["Patient/anna"]
        assert (await client.get("/?_type=Observation&_id=o1")).status_code == 403


COMPARTMENTS = {
    "Patient/anna/Observation": ["Observation/o1", "Observation/o2", "Observation/o3", "Observation/o4"],
    "Patient/anna/Observation?code=718-7&_sort=date": ["Observation/o1", "Observation/o2"],
    "Patient/anna/*?_type=Condition,Patient": ["Condition/c1", "Patient/anna"],
    "Patient/li/*": ["DocumentReference/d1", "Patient/li", "RiskAssessment/r1"],
    "Patient/li/Observation": [],
    "Patient/li/*?_type=Organization": [],
    "Practitioner/gp/Patient": ["Patient/anna"],
    "Practitioner/gp/*": ["Patient/anna", "Practitioner/gp"],
}


@pytest.mark.spec("R4 http.html#vsearch")
@pytest.mark.parametrize("address", COMPARTMENTS)
async def test_compartments(chart: httpx.AsyncClient, address: str) -> None:
    assert await names(chart, address) == COMPARTMENTS[address]


@pytest.mark.spec("R4 http.html#vsearch")
@pytest.mark.parametrize(
    "address", ["Patient/anna/Organization", "Organization/clinic/Patient", "Patient/anna/Nonsense"]
)
async def test_what_is_no_compartment_is_404(chart: httpx.AsyncClient, address: str) -> None:
    assert (await chart.get(f"/{address}")).status_code == 404


@pytest.mark.spec("R4 search.html#list")
async def test_list(chart: httpx.AsyncClient) -> None:
    items = [{"item": {"reference": f"Patient/{name}"}} for name in ("anna", "nobody")]
    items.append({"item": {"reference": "Organization/clinic"}})
    await put(chart, [{"resourceType": "List", "id": "mine", "status": "current", "mode": "working", "entry": items}])
    assert await names(chart, "Patient?_list=mine") == ["Patient/anna", "Patient/nobody"]
    assert await names(chart, "Patient?_list=mine&gender=female") == ["Patient/anna"]
    assert await names(chart, "?_type=Patient,Organization&_list=mine") == [
        "Organization/clinic",
        "Patient/anna",
        "Patient/nobody",
    ]
    assert await names(chart, "Patient?_list=none") == []
