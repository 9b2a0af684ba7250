"""https://hl7.org/fhir/R4/json.html: what JSON says comes back as it was said."""

from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/fhir+json"}


async def stored(client: httpx.AsyncClient, body: dict[str, Any]) -> dict[str, Any]:
    made = await client.post(f"/{body['resourceType']}", json=body)
    assert made.status_code == 201, made.text
    found = await client.get(f"/{body['resourceType']}/{made.json()['id']}")
    return {name: value for name, value in found.json().items() if name not in {"id", "meta"}}


@pytest.mark.spec("R4 json.html#primitive")
async def test_what_is_said_of_primitives_is_kept_beside_them(client: httpx.AsyncClient) -> None:
    extension = [{"url": "urn:unknown", "valueCode": "masked"}]
    patient = {
        "resourceType": "Patient",
        "_birthDate": {"extension": extension},
        "active": True,
        "_active": {"id": "a1"},
        "name": [{"given": ["Anna", None], "_given": [None, {"extension": extension}], "family": "\u0141"}],
    }
    assert await stored(client, patient) == patient


@pytest.mark.spec("R4 references.html#contained")
async def test_contained_logical_and_canonical_references_stay_what_they_are(client: httpx.AsyncClient) -> None:
    request = {
        "resourceType": "ServiceRequest",
        "status": "draft",
        "intent": "proposal",
        "contained": [{"resourceType": "Practitioner", "id": "p", "name": [{"text": "x"}]}],
        "requester": {"reference": "#p"},
        "subject": {"type": "Patient", "identifier": {"system": "urn:mrn", "value": "7"}},
        "instantiatesCanonical": ["http://example.org/PlanDefinition/x|1.2.0"],
        "instantiatesUri": ["urn:oid:1.2.3"],
    }
    assert await stored(client, request) == request


@pytest.mark.spec("R4 json.html#resources")
async def test_white_space_byte_order_mark_and_order_do_not_matter(client: httpx.AsyncClient) -> None:
    body = '\ufeff \n{ "active" : true ,\t"resourceType" : "Patient" } \r\n'.encode()
    made = await client.post("/Patient", content=body, headers=JSON)
    assert made.status_code == 201
    assert made.content.startswith(b'{"resourceType":"Patient","id":"')
    assert made.json()["active"] is True


@pytest.mark.spec("R4 json.html#xhtml")
async def test_the_narrative_is_a_string_and_kept(client: httpx.AsyncClient) -> None:
    div = '<div xmlns="http://www.w3.org/1999/xhtml">a &amp; b<br/>\u00a0</div>'
    basic = {"resourceType": "Basic", "code": {"text": "x"}, "text": {"status": "generated", "div": div}}
    assert await stored(client, basic) == basic
