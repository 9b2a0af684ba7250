"""https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#launch-app-standalone-launch"""

import re
from typing import Any

import httpx
import pytest

from fhir_server.auth.provision import Document, provision
from tests.fhir_server.auth.world import PASSWORD, World, fields, returned

pytestmark = pytest.mark.anyio
SCOPE = "launch/patient openid fhirUser patient/*.rs"


def patient(id_: str, family: str, given: str) -> dict[str, Any]:
    number = {"system": "urn:oid:1.2.3", "value": f"MRN-{id_}"}
    name = {"family": family, "given": [given]}
    return {
        "resourceType": "Patient",
        "id": id_,
        "identifier": [number],
        "name": [name],
        "birthDate": "1961-04-02",
        "gender": "female",
    }


async def hospitals(world: World) -> None:
    for organization, patients in (
        ("anna", [patient("p1", "Okafor", "Grace"), patient("p2", "<b>Li</b>", "Wei")]),
        ("bert", [patient("p3", "Okafor", "Other")]),
    ):
        here: dict[str, Any] = {"resourceType": "Organization", "id": organization, "name": organization}
        document = {"organization": f"Organization/{organization}", "resources": [here, *patients]}
        await provision(world.node, Document.model_validate(document))


async def picker(world: World, username: str = "meyer", scope: str = SCOPE) -> httpx.Response:
    await world.sign_in(username)
    return await world.http.get((await world.authorize(scope=scope)).headers["location"])


def offered(page: httpx.Response) -> list[str]:
    return re.findall(r'name="patient" value="([^"]*)"', page.text)


async def choose(world: World, page: httpx.Response, patient: str) -> httpx.Response:
    return await world.http.post("/oauth/continue", data=fields(page) | {"patient": patient})


async def test_the_chosen_patient_arrives_with_the_token(world: World) -> None:
    await hospitals(world)
    page = await picker(world)
    assert offered(page) == ["p2", "p1"]
    assert "&lt;b&gt;Li&lt;/b&gt;, Wei" in page.text
    assert "1961-04-02 · female · MRN-p1" in page.text
    answer = await choose(world, page, "p1")
    body = (await world.redeem(returned(await world.http.get(answer.headers["location"]))["code"])).json()
    assert (body["patient"], body["scope"]) == ("p1", SCOPE)
    read = await world.http.get("/fhir/Patient/p1", headers={"Authorization": f"Bearer {body['access_token']}"})
    assert read.status_code == 200
    other = await world.http.get("/fhir/Patient/p2", headers={"Authorization": f"Bearer {body['access_token']}"})
    assert other.status_code in {403, 404}


async def test_it_is_searched_by_name(world: World) -> None:
    await hospitals(world)
    page = await picker(world)
    found = await world.http.get("/oauth/continue", params=fields(page) | {"name": "okaf"})
    assert offered(found) == ["p1"]
    none = await world.http.get("/oauth/continue", params=fields(page) | {"name": "zzz"})
    assert offered(none) == []
    assert "No patient of this name" in none.text


async def test_only_what_the_person_sees_can_be_chosen(world: World) -> None:
    await hospitals(world)
    page = await picker(world)
    for patient_id in ("p3", "missing", "p1,p3"):
        answer = await choose(world, page, patient_id)
        assert answer.status_code == 400
    assert offered(await world.http.get("/oauth/continue", params=fields(page))) == ["p2", "p1"]


async def test_what_somebody_else_chose_does_not_count(world: World) -> None:
    await hospitals(world)
    waiting = (await choose(world, await picker(world), "p1")).headers["location"]
    await world.sign_in_again("ito")
    page = await world.http.get(waiting)
    assert "Choose a patient" in page.text
    assert offered(page) == []


async def test_it_is_asked_only_if_the_scopes_ask(world: World) -> None:
    await hospitals(world)
    await world.sign_in("meyer", PASSWORD)
    body = (await world.redeem(await world.code(scope="user/*.rs patient/*.rs"))).json()
    assert "patient" not in body


async def test_it_can_be_cancelled(world: World) -> None:
    page = await picker(world)
    answer = await world.http.post("/oauth/continue", data=fields(page) | {"decision": "deny"})
    assert returned(answer)["error"] == "access_denied"
