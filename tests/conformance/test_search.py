"""https://hl7.org/fhir/R4/search.html"""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from tests.fhir_server.node import Server

pytestmark = pytest.mark.anyio

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"


def observation(id_: str, code: str, date: str, value: float, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": code}]},
        "subject": {"reference": "Patient/anna"},
        "effectiveDateTime": date,
        "valueQuantity": {"value": value, "system": UCUM, "code": "mg", "unit": "milligram"},
        **more,
    }


CHART: list[dict[str, Any]] = [
    {
        "resourceType": "Patient",
        "id": "anna",
        "meta": {"tag": [{"system": "urn:tag", "code": "vip"}], "profile": ["http://profile.test/patient"]},
        "identifier": [{"system": "urn:mrn", "value": "A1"}, {"system": "urn:other", "value": "77"}],
        "name": [{"family": "Müller-Śliwa", "given": ["Anna", "Maria"]}],
        "gender": "female",
        "birthDate": "1970-05-17",
        "active": True,
        "telecom": [{"system": "phone", "value": "+49 30 1"}, {"system": "email", "value": "anna@test.example"}],
        "address": [{"city": "Köln", "line": ["Domplatz 1"]}],
        "managingOrganization": {"reference": "Organization/clinic"},
        "generalPractitioner": [{"reference": "Practitioner/gp"}, {"identifier": {"system": "urn:npi", "value": "9"}}],
    },
    {
        "resourceType": "Patient",
        "id": "li",
        "identifier": [{"system": "urn:mrn", "value": "a1"}],
        "name": [{"family": "李", "given": ["小龙"], "text": "李小龙"}],
        "gender": "male",
        "birthDate": "1982",
        "deceasedDateTime": "2020-03-01T10:00:00+01:00",
    },
    {"resourceType": "Patient", "id": "nobody"},
    {"resourceType": "Organization", "id": "clinic", "name": "Clinic", "partOf": {"reference": "Organization/group"}},
    {"resourceType": "Organization", "id": "group", "name": "Group"},
    {"resourceType": "Practitioner", "id": "gp", "name": [{"family": "Grün"}]},
    observation("o1", "718-7", "2020-01-10", 13.5),
    observation("o2", "718-7", "2021-06-01T08:30:00Z", 9),
    observation("o3", "2160-0", "2021", 100, status="amended"),
    observation("o4", "2160-0", "2022-02-02T23:30:00-05:00", 100.4, valueQuantity={"value": 100.4, "unit": "pounds"}),
    {
        "resourceType": "Condition",
        "id": "c1",
        "subject": {"reference": "http://fhir.test/fhir/Patient/anna"},
        "code": {"coding": [{"code": "nosystem"}], "text": "Ache"},
        "onsetPeriod": {"start": "2019-01-01"},
    },
    {
        "resourceType": "DocumentReference",
        "id": "d1",
        "status": "current",
        "subject": {"reference": "Patient/li"},
        "content": [{"attachment": {"url": "http://doc.test/1"}}],
        "relatesTo": [{"code": "replaces", "target": {"reference": "http://elsewhere.test/DocumentReference/9"}}],
    },
    {
        "resourceType": "ValueSet",
        "id": "v1",
        "url": "http://values.test/a/b",
        "status": "draft",
        "title": "100% _sure_",
    },
    {
        "resourceType": "RiskAssessment",
        "id": "r1",
        "status": "final",
        "subject": {"reference": "Patient/li"},
        "prediction": [{"probabilityDecimal": 0.25}],
    },
    {
        "resourceType": "Task",
        "id": "t1",
        "status": "requested",
        "intent": "order",
        "for": {"reference": "Patient/anna"},
        "restriction": {"period": {"end": "2026-12-01"}},
        "input": [{"type": {"text": "record"}, "valueReference": {"reference": "Observation/o1"}}],
    },
]


@pytest.fixture(scope="module")
async def chart(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with server.client() as client:
        entries = [
            {"resource": resource, "request": {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"}}
            for resource in CHART
        ]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        response = await client.post("", json=bundle)
        assert response.status_code == 200, response.text
        yield client


async def found(client: httpx.AsyncClient, search: str) -> list[str]:
    """Ids of the matches, in order; GET and POST must agree.  search.html#Introduction"""
    response = await client.get(f"/{search}")
    assert response.status_code == 200, response.text
    resource_type, _, query = search.partition("?")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    posted = await client.post(f"/{resource_type}/_search", content=query, headers=form)
    ids = [entry["resource"]["id"] for entry in response.json().get("entry", []) if entry["search"]["mode"] == "match"]
    assert ids == [e["resource"]["id"] for e in posted.json().get("entry", []) if e["search"]["mode"] == "match"]
    return ids


TOKEN = {
    "identifier=A1": ["anna"],
    "identifier=urn:mrn|A1": ["anna"],
    "identifier=urn:mrn|a1": ["li"],
    "identifier=urn:other|A1": [],
    "identifier=|A1": [],
    "identifier=urn:other|": ["anna"],
    "identifier=urn:mrn|A1,urn:mrn|a1": ["anna", "li"],
    "identifier=A1&identifier=77": ["anna"],
    "gender=FEMALE": ["anna"],
    "gender=http://hl7.org/fhir/administrative-gender|female": ["anna"],
    "gender:not=female": ["li", "nobody"],
    "gender:missing=true": ["nobody"],
    "gender:missing=false": ["anna", "li"],
    "active=true": ["anna"],
    "deceased=true": ["li"],
    "phone=%2B49 30 1": ["anna"],
    "email=anna@test.example": ["anna"],
    "telecom=anna@test.example": ["anna"],
    "_id=anna,li": ["anna", "li"],
    "_id:not=anna": ["li", "nobody"],
    "_tag=urn:tag|vip": ["anna"],
    "_tag:not=urn:tag|vip": ["li", "nobody"],
    "_profile=http://profile.test/patient": ["anna"],
    "general-practitioner:identifier=urn:npi|9": ["anna"],
    "general-practitioner:identifier=urn:npi|8": [],
}


@pytest.mark.spec("R4 search.html#token")
@pytest.mark.parametrize("query", TOKEN)
async def test_token(chart: httpx.AsyncClient, query: str) -> None:
    assert sorted(await found(chart, f"Patient?{query}")) == sorted(TOKEN[query])


STRING = {
    "family=muller": ["anna"],
    "family=MÜLLER-s": ["anna"],
    "family=ller": [],
    "family:contains=SLIWA": ["anna"],
    "family:exact=Müller-Śliwa": ["anna"],
    "family:exact=müller-śliwa": [],
    "name=maria": ["anna"],
    "name=李": ["li"],
    "name=小": ["li"],
    "given=an,小": ["anna", "li"],
    "address=koln": ["anna"],
    "address-city=köln": ["anna"],
    "address=dom": ["anna"],
    "name:missing=true": ["nobody"],
}


@pytest.mark.spec("R4 search.html#string")
@pytest.mark.parametrize("query", STRING)
async def test_string(chart: httpx.AsyncClient, query: str) -> None:
    assert sorted(await found(chart, f"Patient?{query}")) == sorted(STRING[query])


@pytest.mark.spec("R4 search.html#string")
@pytest.mark.parametrize(("text", "hits"), [("100% _", ["v1"]), ("1000 x", []), ("% _", ["v1"]), ("__", [])])
async def test_wildcards_of_sql_mean_themselves(chart: httpx.AsyncClient, text: str, hits: list[str]) -> None:
    assert await found(chart, "ValueSet?" + urlencode({"title:contains": text})) == hits


DATE = {
    "2020-01-10": ["o1"],
    "2020-01": ["o1"],
    "2021": ["o2", "o3"],
    "2021-06": ["o2"],
    "2021-06-01T08:30:00Z": ["o2"],
    "2021-06-01T10:30:00%2B02:00": ["o2"],
    "2021-06-01T08:31:00Z": [],
    "2022-02-03": ["o4"],
    "gt2021-06-01": ["o3", "o4"],
    "ge2021-06-01": ["o2", "o3", "o4"],
    "lt2020-01-10": [],
    "le2020-01-10": ["o1"],
    "sa2021": ["o4"],
    "eb2021": ["o1"],
    "ne2021": ["o1", "o4"],
    "ap2020-01-11": ["o1"],
    "2020-01-10,2022-02-03": ["o1", "o4"],
    "ge2020-01-01&date=lt2021-01-01": ["o1"],
}


@pytest.mark.spec("R4 search.html#date")
@pytest.mark.parametrize("query", DATE)
async def test_date(chart: httpx.AsyncClient, query: str) -> None:
    assert sorted(await found(chart, f"Observation?date={query}")) == DATE[query]


@pytest.mark.spec("R4 search.html#date")
async def test_open_periods_and_birth_dates(chart: httpx.AsyncClient) -> None:
    assert await found(chart, "Condition?onset-date=gt2025") == ["c1"]
    assert await found(chart, "Condition?onset-date=lt2019") == []
    assert await found(chart, "Patient?birthdate=1982") == ["li"]
    assert await found(chart, "Patient?birthdate=1970-05-17") == ["anna"]
    assert await found(chart, "Patient?birthdate=ge1970&birthdate=lt1971") == ["anna"]
    assert await found(chart, "Patient?death-date=2020-03-01T09:00:00Z") == ["li"]
    assert await found(chart, "Task?due=lt2027&_id=t1") == ["t1"]


QUANTITY = {
    "13.5": ["o1"],
    "100": ["o3", "o4"],
    "100.0": ["o3"],
    "gt13.5": ["o3", "o4"],
    "ge13.5": ["o1", "o3", "o4"],
    "lt13.5": ["o2"],
    "ap95": ["o3", "o4"],
    f"13.5|{UCUM}|mg": ["o1"],
    f"13.5|{UCUM}|kg": [],
    "13.5||mg": ["o1"],
    "13.5||milligram": ["o1"],
    "100.4||pounds": ["o4"],
    f"gt1|{UCUM}|mg": ["o1", "o2", "o3"],
    "1.35e1": ["o1"],
}


@pytest.mark.spec("R4 search.html#quantity")
@pytest.mark.parametrize("query", QUANTITY)
async def test_quantity(chart: httpx.AsyncClient, query: str) -> None:
    assert sorted(await found(chart, f"Observation?value-quantity={query}")) == QUANTITY[query]


@pytest.mark.spec("R4 search.html#number")
@pytest.mark.parametrize(
    ("query", "hits"), [("0.25", ["r1"]), ("0.3", ["r1"]), ("0.30", []), ("gt0.2", ["r1"]), ("lt0.25", [])]
)
async def test_number(chart: httpx.AsyncClient, query: str, hits: list[str]) -> None:
    assert await found(chart, f"RiskAssessment?probability={query}") == hits


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
    ],
)
async def test_includes(chart: httpx.AsyncClient, query: str, included: list[str]) -> None:
    bundle = (await chart.get(f"/{query}")).json()
    modes = [(entry["search"]["mode"], entry["resource"]["id"]) for entry in bundle["entry"]]
    assert sorted(name for mode, name in modes if mode == "include") == included
    assert bundle["total"] == 1


@pytest.mark.spec("R4 search.html#sort")
@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("Observation?_sort=date", ["o1", "o3", "o2", "o4"]),
        ("Observation?_sort=-date", ["o4", "o2", "o3", "o1"]),
        ("Observation?_sort=code,-date", ["o4", "o3", "o2", "o1"]),
        ("Observation?_sort=-value-quantity", ["o4", "o3", "o1", "o2"]),
        ("Patient?_sort=birthdate", ["anna", "li", "nobody"]),
        ("Patient?_sort=-birthdate", ["li", "anna", "nobody"]),
        ("Patient?_sort=family", ["anna", "li", "nobody"]),
        ("Patient?_sort=-_id", ["nobody", "li", "anna"]),
    ],
)
async def test_sort_whole_and_in_pages(chart: httpx.AsyncClient, query: str, ids: list[str]) -> None:
    assert await found(chart, query) == ids
    paged, url = [], f"/{query}&_count=1"
    while url:
        bundle = (await chart.get(url)).json()
        paged += [entry["resource"]["id"] for entry in bundle.get("entry", [])]
        url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), "")
    assert paged == ids


@pytest.mark.spec("R4 http.html#paging")
async def test_pages_neither_repeat_nor_miss_while_others_write(server: Server, unique: str) -> None:
    async with server.client() as client:
        names = []
        for n in range(7):
            body = {"resourceType": "Basic", "code": {"coding": [{"code": unique}]}, "created": f"2020-01-{n + 1:02d}"}
            names.append((await client.post("/Basic", json=body)).json()["id"])
        seen: list[str] = []
        url = f"/Basic?code={unique}&_count=2"
        while url:
            bundle = (await client.get(url)).json()
            seen += [entry["resource"]["id"] for entry in bundle["entry"]]
            url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), "")
            await client.post("/Basic", json={"resourceType": "Basic", "code": {"coding": [{"code": unique}]}})
        assert seen == names


@pytest.mark.spec("R4 http.html#paging")
async def test_a_cursor_serves_only_its_own_search(chart: httpx.AsyncClient) -> None:
    bundle = (await chart.get("/Observation?_count=1")).json()
    cursor = bundle["link"][1]["url"].partition("_cursor=")[2]
    assert (await chart.get(f"/Observation?_count=1&_cursor={cursor}")).status_code == 200
    for other in (f"Patient?_count=1&_cursor={cursor}", f"Observation?_count=1&status=final&_cursor={cursor}"):
        assert (await chart.get(f"/{other}")).status_code == 400
    assert (await chart.get(f"/Observation?_count=1&_cursor=x{cursor}")).status_code == 400


@pytest.mark.spec("R4 search.html#total")
async def test_totals(chart: httpx.AsyncClient) -> None:
    async def total(query: str) -> int | None:
        bundle = (await chart.get(f"/Observation?{query}")).json()
        value: int | None = bundle.get("total")
        return value

    assert await total("") == 4
    assert await total("_count=1") is None
    assert await total("_count=1&_total=accurate") == 4
    assert await total("_summary=count&code=718-7") == 2
    assert await total("_count=0") == 4
    assert "entry" not in (await chart.get("/Observation?_summary=count")).json()


@pytest.mark.spec("R4 search.html#summary")
async def test_summary_and_elements(chart: httpx.AsyncClient) -> None:
    async def keys(query: str) -> set[str]:
        bundle = (await chart.get(f"/Patient?_id=anna&{query}")).json()
        resource = bundle["entry"][0]["resource"]
        assert resource["meta"]["tag"][-1]["code"] == "SUBSETTED"
        return set(resource) - {"resourceType", "id", "meta"}

    assert await keys("_elements=birthDate") == {"birthDate"}
    assert "generalPractitioner" not in await keys("_summary=true")
    assert "name" in await keys("_summary=true")
    assert await keys("_summary=text") == set()
    assert "name" in await keys("_summary=data")


@pytest.mark.spec("R4 search.html#lastUpdated")
async def test_last_updated(chart: httpx.AsyncClient) -> None:
    stamp = (await chart.get("/Patient/anna")).json()["meta"]["lastUpdated"]
    assert await found(chart, f"Patient?_lastUpdated={stamp}&_id=anna") == ["anna"]
    assert await found(chart, f"Patient?_lastUpdated=lt{stamp}&_id=anna") == []
    assert await found(chart, f"Patient?_lastUpdated=ge{stamp}&_id=anna") == ["anna"]
    assert await found(chart, "Patient?_lastUpdated=gt2020&_id=anna") == ["anna"]


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


@pytest.mark.spec("R4 search.html#errors")
@pytest.mark.parametrize("query", BAD)
async def test_what_is_not_understood_is_400(chart: httpx.AsyncClient, query: str) -> None:
    response = await chart.get(f"/{query}")
    assert response.status_code == 400
    assert response.json()["resourceType"] == "OperationOutcome"


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


async def test_updates_and_deletions_move_the_index(server: Server, unique: str) -> None:
    async with server.client() as client:
        body = {"resourceType": "Patient", "id": unique, "name": [{"family": f"old{unique}"}]}
        await client.put(f"/Patient/{unique}", json=body)
        assert await found(client, f"Patient?family=old{unique}") == [unique]
        await client.put(f"/Patient/{unique}", json={**body, "name": [{"family": f"new{unique}"}]})
        assert await found(client, f"Patient?family=old{unique}") == []
        assert await found(client, f"Patient?family=new{unique}") == [unique]
        await client.delete(f"/Patient/{unique}")
        assert await found(client, f"Patient?family=new{unique}") == []
