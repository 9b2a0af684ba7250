"""A small chart to be searched, and what a search finds in it."""

from typing import Any

import httpx

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


async def put(client: httpx.AsyncClient, resources: list[dict[str, Any]]) -> None:
    """Store resources under their ids."""
    entries = [
        {"resource": resource, "request": {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"}}
        for resource in resources
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    response = await client.post("", json=bundle)
    assert response.status_code == 200, response.text
