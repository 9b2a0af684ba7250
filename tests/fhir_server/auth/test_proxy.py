"""A RelatedPerson's account: for whom it acts, no more than that, and not for longer."""

import time
from typing import Any

import anyio
import httpx
import pytest

from fhir_server.auth import mail as mailing
from fhir_server.auth.provision import Document, provision
from tests.fhir_server.auth.mailbox import empty_mailbox, invited, joined, prove, put, related, resources
from tests.fhir_server.auth.test_joining import CLIENTS, LINA, NOOR
from tests.fhir_server.auth.world import World, fields, returned

pytestmark = [pytest.mark.anyio, pytest.mark.spec("R4 relatedperson.html#RelatedPerson.active")]
ADDRESS = "noor@mail.test"
OMAR = "2012-09-01"
SCOPE = "openid fhirUser patient/*.rs offline_access"


@pytest.fixture(autouse=True)
async def hospital(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailing, "LOOK_SECONDS", 0.02)
    empty_mailbox(world)
    await provision(world.node, Document.model_validate({"clients": CLIENTS}))
    await put(world, *resources(), *records("lina"), *records("omar"))


def records(child: str) -> list[dict[str, Any]]:
    """An ordinary finding and one under a label that a proxy does not see."""
    code = {"text": "x"}
    plain = {"resourceType": "Observation", "id": f"{child}-plain", "status": "final", "code": code}
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "SEX"}
    subject = {"subject": {"reference": f"Patient/{child}"}}
    return [plain | subject, plain | subject | {"id": f"{child}-private", "meta": {"security": [label]}}]


async def mother_of(world: World, *children: str) -> None:
    """Make the account, signed in, acting for the children."""
    dates = {"lina": LINA, "omar": OMAR}
    first, *others = children
    await joined(world, f"RelatedPerson/mother-of-{first}", ADDRESS, dates[first], NOOR)
    for child in others:
        link = await invited(world, f"RelatedPerson/mother-of-{child}", ADDRESS)
        page = await prove(world, link, dates[child], NOOR)
        assert "one more person" in page.text
        assert (await world.http.post("/account/welcome/add", data=fields(page))).status_code == 303


async def token(world: World, child: str = "") -> dict[str, Any]:
    """Open the record of a child as the app does."""
    answer = await world.authorize(scope=SCOPE)
    if child:
        page = await world.http.get(answer.headers["location"])
        assert "Whose record?" in page.text
        form = fields(page) | {"patient": child}
        answer = await world.http.post("/oauth/continue", data=form)
        answer = await world.http.get(answer.headers["location"])
    return dict((await world.redeem(returned(answer)["code"])).json())


async def ask(world: World, given: dict[str, Any], path: str) -> httpx.Response:
    return await world.http.get(f"/fhir/{path}", headers={"Authorization": f"Bearer {given['access_token']}"})


async def ids(world: World, given: dict[str, Any], path: str) -> set[str]:
    answer = await ask(world, given, path)
    assert answer.status_code == 200, answer.text
    return {entry["resource"]["id"] for entry in answer.json().get("entry", ()) if entry["search"]["mode"] == "match"}


async def test_a_mother_sees_her_childs_record_and_is_named_as_who_she_is(world: World) -> None:
    await mother_of(world, "lina")
    given = await token(world)
    assert (given["patient"], given["fhirUser"], given["roles"]) == ("lina", "RelatedPerson/mother-of-lina", ["proxy"])
    assert await ids(world, given, "Observation") == {"lina-plain"}
    assert await ids(world, given, "Patient") == {"lina"}
    until = time.monotonic() + 20
    while not (answer := await ask(world, given, "AuditEvent?agent=RelatedPerson/mother-of-lina")).json().get("entry"):
        assert time.monotonic() < until, "nothing was put down"
        await anyio.sleep(0.05)
    event = answer.json()["entry"][0]["resource"]
    person = next(each for each in event["agent"] if each["requestor"])
    assert (person["who"]["reference"], person["role"][0]["coding"][0]["code"]) == (
        "RelatedPerson/mother-of-lina",
        "proxy",
    )
    assert "Patient/lina" in [each["what"]["reference"] for each in event["entity"] if "what" in each]


async def test_it_is_read_only_and_labelled_records_stay_hidden(world: World) -> None:
    await mother_of(world, "lina")
    given = await token(world)
    assert (await ask(world, given, "Observation/lina-private")).status_code == 404
    assert await ids(world, given, "Observation?_id=lina-private") == set()
    assert "lina-private" not in (await ask(world, given, "Patient/lina/$everything")).text
    headers = {"Authorization": f"Bearer {given['access_token']}"}
    body = records("lina")[0] | {"status": "amended"}
    answer = await world.http.put("/fhir/Observation/lina-plain", json=body, headers=headers)
    assert answer.status_code == 403


async def test_a_sibling_without_relation_is_hidden_in_every_way(world: World) -> None:
    await mother_of(world, "lina")
    given = await token(world)
    for path in ("Patient/omar", "Observation/omar-plain", "Observation/omar-plain/_history/1"):
        assert (await ask(world, given, path)).status_code == 404
    for path in (
        "Observation?patient=omar",
        "Observation?patient.birthdate=2012-09-01",
        "Patient?_has:Observation:patient:status=final&_id=omar",
        "RelatedPerson?patient=omar",
        "AuditEvent?patient=omar",
    ):
        assert await ids(world, given, path) == set()


async def test_of_two_children_one_is_chosen_and_another_later(world: World) -> None:
    await mother_of(world, "lina", "omar")
    lina, omar = await token(world, "lina"), await token(world, "omar")
    assert await ids(world, lina, "Observation") == {"lina-plain"}
    assert await ids(world, omar, "Observation") == {"omar-plain"}
    assert omar["fhirUser"] == "RelatedPerson/mother-of-omar"


async def test_a_child_of_others_cannot_be_chosen(world: World) -> None:
    await mother_of(world, "lina", "omar")
    page = await world.http.get((await world.authorize(scope=SCOPE)).headers["location"])
    answer = await world.http.post("/oauth/continue", data=fields(page) | {"patient": "noor"})
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "changed", [{"active": False}, {"period": {"end": "2021-01-01"}}, {"patient": {"reference": "Patient/omar"}}]
)
async def test_the_relation_ends_and_so_does_every_access(world: World, changed: dict[str, Any]) -> None:
    await mother_of(world, "lina")
    given = await token(world)
    assert await ids(world, given, "Observation") == {"lina-plain"}
    await put(world, related("mother-of-lina", "lina", **changed))
    for path in ("Observation", "Patient/lina", "Patient/omar", "Observation/lina-plain", "AuditEvent"):
        assert (await ask(world, given, path)).status_code == 403
    renewed = await world.signed(grant_type="refresh_token", refresh_token=given["refresh_token"])
    assert (await ask(world, renewed.json(), "Patient/lina")).status_code == 403
    answer = await world.authorize(scope=SCOPE)
    assert returned(answer)["error"] == "access_denied"


async def test_an_invitation_ends_with_the_relation(world: World) -> None:
    link = await invited(world, "RelatedPerson/mother-of-lina", ADDRESS)
    await put(world, related("mother-of-lina", "lina", active=False))
    assert (await prove(world, link, LINA, NOOR)).status_code == 400


async def test_both_birth_dates_are_asked(world: World) -> None:
    link = await invited(world, "RelatedPerson/mother-of-lina", ADDRESS)
    assert (await prove(world, link, LINA)).status_code == 401
    assert (await prove(world, link, LINA, OMAR)).status_code == 401
    assert (await prove(world, link, OMAR, NOOR)).status_code == 401
    assert "Password" in (await prove(world, link, LINA, NOOR)).text


async def test_what_the_patient_denies_to_the_proxy_is_hidden(world: World) -> None:
    await mother_of(world, "lina")
    given = await token(world)
    release = {"system": "http://loinc.org", "code": "64292-6"}
    scope = {"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}
    role = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "code": "MTH"}]}
    mother = {"role": role, "reference": {"reference": "RelatedPerson/mother-of-lina"}}
    denied = {
        "type": "deny",
        "actor": [mother],
        "class": [{"system": "http://hl7.org/fhir/resource-types", "code": "Observation"}],
    }
    consent = {
        "resourceType": "Consent",
        "id": "lina-denies",
        "status": "active",
        "scope": {"coding": [scope]},
        "category": [{"coding": [release]}],
        "policyRule": {"text": "x"},
        "patient": {"reference": "Patient/lina"},
        "dateTime": "2026-01-01",
        "provision": {"provision": [denied]},
    }
    await put(world, consent)
    assert await ids(world, given, "Observation") == set()
    assert (await ask(world, given, "Patient/lina")).status_code == 200


async def test_the_own_record_and_a_childs_are_two_tokens(world: World) -> None:
    await mother_of(world, "lina")
    page = await prove(world, await invited(world, "Patient/noor", ADDRESS), NOOR)
    assert "own record" in page.text
    await world.http.post("/account/welcome/add", data=fields(page))
    own, lina = await token(world, "noor"), await token(world, "lina")
    assert (own["roles"], own["fhirUser"]) == (["patient"], "Patient/noor")
    assert await ids(world, own, "Patient") == {"noor"}
    assert await ids(world, lina, "Patient") == {"lina"}
    assert (await ask(world, own, "Patient/lina")).status_code == 404
