"""What a token opens of the FHIR API: reads and searches that agree with each other, and granular scopes.

https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#finer-grained-resource-constraints-using-search-parameters
"""

from typing import Any

import httpx
import pytest

from tests.fhir_server.auth.world import World

pytestmark = pytest.mark.anyio
CATEGORY = "http://terminology.hl7.org/CodeSystem/condition-category"
PROBLEM, DIAGNOSIS = "problem-list-item", "encounter-diagnosis"
GRANULAR = f"system/Condition.rs?category={CATEGORY}|{PROBLEM}"
SUBJECT = {"reference": "Patient/p1"}


def condition(id_: str, category: str) -> dict[str, Any]:
    return {
        "resourceType": "Condition",
        "id": id_,
        "subject": SUBJECT,
        "category": [{"coding": [{"system": CATEGORY, "code": category}]}],
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": "363346000"}]},
        "clinicalStatus": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]
        },
        "recordedDate": "2026-05-04",
    }


def observation(id_: str, focus: str) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
        "subject": SUBJECT,
        "focus": [{"reference": f"Condition/{focus}"}],
        "effectiveDateTime": "2026-05-05T10:00:00Z",
    }


CHART = [
    {"resourceType": "Patient", "id": "p1", "name": [{"family": "Okafor"}], "gender": "female"},
    condition("seen", PROBLEM),
    condition("hidden", DIAGNOSIS),
    observation("o1", "seen"),
    observation("o2", "hidden"),
]


async def opened(world: World, scope: str) -> httpx.AsyncClient:
    """A client that has a token of these scopes; the chart is there."""
    whole = (await world.signed("backend", grant_type="client_credentials", scope="system/*.cruds")).json()
    for resource in CHART:
        address = f"/fhir/{resource['resourceType']}/{resource['id']}"
        done = await world.http.put(address, json=resource, headers=bearer(whole))
        assert done.status_code in {200, 201}, done.text
    granted = (await world.signed("backend", grant_type="client_credentials", scope=scope)).json()
    assert granted["scope"] == scope
    world.http.headers.update(bearer(granted))
    return world.http


def bearer(answer: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {answer['access_token']}"}


def ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return sorted(
        f"{each['resource']['resourceType']}/{each['resource']['id']}" for each in answer.json().get("entry", [])
    )


async def test_a_search_by_get_is_the_same_by_post(world: World) -> None:
    http = await opened(world, "system/*.rs")
    for query in ("patient=p1", "patient=Patient/p1", f"category={CATEGORY}|{PROBLEM}", f"category={PROBLEM}"):
        by_get = await http.get(f"/fhir/Condition?{query}")
        by_post = await http.post(
            "/fhir/Condition/_search",
            content=query,
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
        assert ids(by_get) == ids(by_post) != [], query


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Condition?patient=p1", ["Condition/hidden", "Condition/seen"]),
        (f"Condition?patient=p1&category={PROBLEM},{DIAGNOSIS}", ["Condition/hidden", "Condition/seen"]),
        (f"Condition?patient=p1&category={CATEGORY}|{DIAGNOSIS}", ["Condition/hidden"]),
        ("Condition?patient=p1&category=other|encounter-diagnosis", []),
        ("Observation?patient=p1&date=gt2026-05-04&date=lt2026-05-06", ["Observation/o1", "Observation/o2"]),
        ("Observation?patient=p1&date=ge2026-05-06", []),
        ("Observation?patient=p1&code=http://loinc.org|718-7&status=final", ["Observation/o1", "Observation/o2"]),
        ("Patient?_id=p1&gender=female", ["Patient/p1"]),
    ],
)
async def test_every_hit_matches_and_nothing_is_missing(world: World, query: str, expected: list[str]) -> None:
    http = await opened(world, "system/*.rs")
    assert ids(await http.get(f"/fhir/{query}")) == expected


async def test_each_hit_can_be_read_by_its_id(world: World) -> None:
    http = await opened(world, "system/*.rs")
    for entry in (await http.get("/fhir/Condition?patient=p1")).json()["entry"]:
        assert (await http.get(f"/fhir/Condition/{entry['resource']['id']}")).json() == entry["resource"]


async def test_a_granular_scope_filters_every_way_in(world: World) -> None:
    http = await opened(world, f"{GRANULAR} system/Observation.rs system/Patient.rs")
    assert ids(await http.get("/fhir/Condition?patient=p1")) == ["Condition/seen"]
    assert ids(await http.get(f"/fhir/Condition?category={DIAGNOSIS}")) == []
    assert (await http.get("/fhir/Condition?patient=p1&_summary=count")).json()["total"] == 1
    assert (await http.get("/fhir/Condition/seen")).status_code == 200
    for address in ("Condition/hidden", "Condition/hidden/_history/1", "Condition/hidden/_history"):
        answer = await http.get(f"/fhir/{address}")
        assert answer.status_code == 404 or ids(answer) == [], address
    assert "Condition/hidden" not in ids(await http.get("/fhir/Observation?_include=Observation:focus&patient=p1"))
    assert "Condition/hidden" not in ids(await http.get("/fhir/Patient?_id=p1&_revinclude=Condition:patient"))
    assert ids(await http.get(f"/fhir/Observation?focus:Condition.category={DIAGNOSIS}")) == []
    assert ids(await http.get(f"/fhir/Observation?focus:Condition.category={PROBLEM}")) == ["Observation/o1"]
    assert ids(await http.get(f"/fhir/Patient?_has:Condition:patient:category={DIAGNOSIS}")) == []
    assert ids(await http.get(f"/fhir/Patient?_has:Condition:patient:category={PROBLEM}")) == ["Patient/p1"]
    assert "Condition/hidden" not in ids(await http.get("/fhir/Patient/p1/$everything"))
    assert "Condition/hidden" not in ids(await http.get("/fhir/_history"))


async def test_a_scope_that_reads_does_not_write(world: World) -> None:
    http = await opened(world, f"{GRANULAR} system/Patient.rs")
    changed = condition("seen", PROBLEM)
    assert (await http.put("/fhir/Condition/seen", json=changed)).status_code == 403
    assert (await http.delete("/fhir/Condition/seen")).status_code == 403
    assert (await http.get("/fhir/Observation?patient=p1")).status_code == 403


async def test_without_a_token_there_is_nothing(world: World) -> None:
    await opened(world, "system/*.rs")
    for token in ("", "Bearer ", "Bearer nonsense", "Basic abc"):
        answer = await world.http.get("/fhir/Patient/p1", headers={"Authorization": token})
        assert answer.status_code == 401 and answer.headers["www-authenticate"].startswith("Bearer"), token


async def test_the_fhir_user_of_a_token_can_be_read(world: World) -> None:
    await world.sign_in("meyer")
    body = (await world.redeem(await world.code())).json()
    whole = (await world.signed("backend", grant_type="client_credentials", scope="system/*.cruds")).json()
    practitioner = {"resourceType": "Practitioner", "id": "meyer", "name": [{"family": "Meyer"}]}
    await world.http.put("/fhir/Practitioner/meyer", json=practitioner, headers=bearer(whole))
    read = await world.http.get(f"/fhir/{body['fhirUser']}", headers=bearer(body))
    assert read.status_code == 200 and read.json()["id"] == "meyer"
