"""Patient and Encounter $everything."""

from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from fhir_server.caller import Caller
from tests.fhir_server.node import Server

PATIENT_SPEC = "R4 patient-operation-everything.html"
ENCOUNTER_SPEC = "R4 encounter-operation-everything.html"

pytestmark = pytest.mark.anyio


def record(unique: str) -> list[dict[str, Any]]:
    """Two patients of one practitioner; the first with an encounter, observations, a task and a provenance."""
    subject = {"reference": f"Patient/{unique}"}
    doctor = {"reference": f"Practitioner/{unique}"}
    code = {"text": "x"}
    observation = {"resourceType": "Observation", "status": "final", "code": code, "subject": subject}
    dated = [
        {**observation, "id": f"{unique}-o{n}", "effectiveDateTime": f"2020-0{n}-01", "performer": [doctor]}
        for n in range(1, 6)
    ]
    dated[0]["encounter"] = {"reference": f"Encounter/{unique}"}
    ward = {"reference": f"Location/{unique}"}
    sibling = {"other": {"reference": f"Patient/{unique}-2"}, "type": "seealso"}
    return [
        {"resourceType": "Practitioner", "id": unique},
        {"resourceType": "Location", "id": unique},
        {"resourceType": "Patient", "id": unique, "link": [sibling]},
        {"resourceType": "Patient", "id": f"{unique}-2", "generalPractitioner": [doctor]},
        {
            "resourceType": "Encounter",
            "id": unique,
            "status": "finished",
            "class": {"code": "AMB"},
            "subject": subject,
            "location": [{"location": ward}],
        },
        *dated,
        {**observation, "id": f"{unique}-other", "subject": {"reference": f"Patient/{unique}-2"}},
        {"resourceType": "Task", "id": unique, "status": "draft", "intent": "order", "for": subject},
        {
            "resourceType": "Provenance",
            "id": unique,
            "target": [{"reference": f"Observation/{unique}-o1"}],
            "recorded": "2020-01-01T00:00:00Z",
            "agent": [{"who": doctor}],
        },
    ]


OWN = {"Patient/U", "Encounter/U", "Task/U", "Provenance/U", *(f"Observation/U-o{n}" for n in range(1, 6))}


@pytest.fixture
async def known(client: httpx.AsyncClient, unique: str) -> str:
    entries = [
        {"resource": one, "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"}}
        for one in record(unique)
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    response = await client.post("", json=bundle)
    assert response.status_code == 200, response.text
    return unique


def named(bundle: dict[str, Any], unique: str, mode: str | None = None) -> list[str]:
    return [
        f"{entry['resource']['resourceType']}/{entry['resource']['id']}".replace(unique, "U")
        for entry in bundle.get("entry", ())
        if mode in {None, entry["search"]["mode"]}
    ]


@pytest.mark.spec(PATIENT_SPEC)
async def test_the_whole_record_and_what_it_refers_to_and_nobody_elses(client: httpx.AsyncClient, known: str) -> None:
    bundle = (await client.get(f"/Patient/{known}/$everything")).json()
    assert set(named(bundle, known, "match")) == OWN and bundle["total"] == len(OWN)
    assert set(named(bundle, known, "include")) == {"Practitioner/U", "Location/U"}
    assert bundle["type"] == "searchset" and len(bundle["entry"]) == len(OWN) + 2


@pytest.mark.spec(PATIENT_SPEC)
async def test_pages_neither_repeat_nor_miss_while_others_write(client: httpx.AsyncClient, known: str) -> None:
    seen: list[str] = []
    address: str | None = f"/Patient/{known}/$everything?_count=3"
    while address is not None:
        bundle = (await client.get(address)).json()
        seen += named(bundle, known)
        assert len(bundle["entry"]) <= 3
        links = {link["relation"]: link["url"] for link in bundle["link"]}
        address = links.get("next")
        late = {"resourceType": "Observation", "status": "final", "code": {"text": "late"}}
        await client.post("/Observation", json=late | {"subject": {"reference": f"Patient/{known}"}})
    assert sorted(seen) == sorted({*OWN, "Practitioner/U", "Location/U"})


@pytest.mark.spec(PATIENT_SPEC)
async def test_a_cursor_serves_only_its_own_record(client: httpx.AsyncClient, known: str) -> None:
    bundle = (await client.get(f"/Patient/{known}/$everything?_count=3")).json()
    following = next(link["url"] for link in bundle["link"] if link["relation"] == "next")
    query = urlsplit(following).query
    stolen = await client.get(f"/Patient/{known}-2/$everything?{query}")
    assert stolen.status_code == 400


@pytest.mark.spec(PATIENT_SPEC)
async def test_types_since_and_dates_of_care(client: httpx.AsyncClient, known: str) -> None:
    async def of(query: str) -> set[str]:
        response = await client.get(f"/Patient/{known}/$everything?{query}")
        assert response.status_code == 200, response.text
        return set(named(response.json(), known))

    assert await of("_type=Task,Practitioner") == {"Task/U", "Practitioner/U"}
    assert await of("_type=Task&_type=Encounter") == {"Task/U", "Encounter/U"}
    care = await of("_type=Observation&start=2020-02-01&end=2020-03")
    assert care == {"Observation/U-o2", "Observation/U-o3"}
    read = await client.get(f"/Observation/{known}-o4")
    changed = read.json() | {"status": "amended"}
    updated = (await client.put(f"/Observation/{known}-o4", json=changed)).json()["meta"]["lastUpdated"]
    assert await of(f"_since={updated}") == {"Observation/U-o4"}
    body = {"resourceType": "Parameters", "parameter": [{"name": "_type", "valueCode": "Task"}]}
    assert named((await client.post(f"/Patient/{known}/$everything", json=body)).json(), known) == ["Task/U"]


@pytest.mark.spec(ENCOUNTER_SPEC)
async def test_the_record_of_an_encounter(client: httpx.AsyncClient, known: str) -> None:
    bundle = (await client.get(f"/Encounter/{known}/$everything")).json()
    assert set(named(bundle, known, "match")) == {"Encounter/U", "Observation/U-o1"}
    assert set(named(bundle, known, "include")) == {"Patient/U", "Practitioner/U", "Location/U"}


@pytest.mark.spec(PATIENT_SPEC)
async def test_only_what_the_caller_may_see(server: Server, client: httpx.AsyncClient, known: str) -> None:
    scopes = ("patient/Patient.rs", "patient/Observation.rs")
    patient = Caller(f"p-{known}", "app", f"Patient/{known}", frozenset({"patient"}), None, scopes, known)
    async with server.client(patient) as own:
        for address in (f"/Patient/{known}/$everything", "/Patient/$everything"):
            bundle = (await own.get(address)).json()
            seen = {"Patient/U", *(f"Observation/U-o{n}" for n in range(1, 6))}
            assert set(named(bundle, known, "match")) == seen
            assert set(named(bundle, known, "include")) == {"Practitioner/U"}
        assert (await own.get(f"/Patient/{known}-2/$everything")).status_code == 404
        assert (await own.get(f"/Encounter/{known}/$everything")).status_code == 403


@pytest.mark.spec(PATIENT_SPEC)
@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/Patient/nobody/$everything", 404),
        ("/Patient/$everything", 400),
        ("/Encounter/$everything", 404),
        ("/Patient/nobody/$everything?_typ=Task", 400),
    ],
)
async def test_whose_record_must_be_named(client: httpx.AsyncClient, address: str, status: int) -> None:
    assert (await client.get(address)).status_code == status
