"""https://hl7.org/fhir/R4/http.html#transaction: batch and transaction."""

import base64
import json
from typing import Any
from uuid import uuid4

import httpx
import pytest

pytestmark = pytest.mark.anyio


def entry(method: str, url: str, resource: Any = None, full_url: str | None = None, **request: str) -> dict[str, Any]:
    result: dict[str, Any] = {"request": {"method": method, "url": url, **request}}
    if resource is not None:
        result["resource"] = resource
    if full_url is not None:
        result["fullUrl"] = full_url
    return result


async def send(client: httpx.AsyncClient, *entries: dict[str, Any], kind: str = "transaction") -> httpx.Response:
    return await client.post("", json={"resourceType": "Bundle", "type": kind, "entry": list(entries)})


def patient(unique: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "identifier": [{"system": "urn:test", "value": unique}], **more}


def observation(subject: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": subject},
        **more,
    }


def statuses(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [item["response"]["status"].partition(" ")[0] for item in response.json()["entry"]]


@pytest.mark.spec("R4 http.html#trules")
async def test_temporary_names_are_replaced_everywhere(client: httpx.AsyncClient, unique: str) -> None:
    urn, other = f"urn:uuid:{uuid4()}", f"urn:uuid:{uuid4()}"
    text = f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{urn}">her</a></div>'
    dependent = observation(
        urn,
        text={"status": "generated", "div": text},
        extension=[
            {"url": "http://x.test/e", "valueUri": urn},
            {"url": "http://x.test/s", "valueString": f"not {urn}"},
        ],
        derivedFrom=[{"reference": other}],
    )
    first = observation(urn)
    response = await send(
        client,
        entry("POST", "Observation", dependent),
        entry("POST", "Observation", first, other),
        entry("POST", "Patient", patient(unique), urn),
    )
    assert statuses(response) == ["201", "201", "201"]
    places = [item["response"]["location"].partition("/_history")[0] for item in response.json()["entry"]]
    stored = (await client.get(f"/{places[0]}")).json()
    assert stored["subject"]["reference"] == places[2]
    assert stored["derivedFrom"][0]["reference"] == places[1]
    assert stored["extension"][0]["valueUri"] == places[2]
    assert stored["extension"][1]["valueString"] == f"not {urn}"
    assert f'href="{places[2]}"' in stored["text"]["div"]


@pytest.mark.spec("R4 http.html#transaction")
async def test_all_or_nothing(client: httpx.AsyncClient, unique: str) -> None:
    response = await send(
        client,
        entry("POST", "Patient", patient(unique)),
        entry("PUT", f"Patient/{unique}", patient(unique, id=unique), ifMatch='W/"3"'),
    )
    assert response.status_code == 412
    assert response.json()["resourceType"] == "OperationOutcome"
    assert (await client.get(f"/Patient?identifier={unique}&_summary=count")).json()["total"] == 0


@pytest.mark.spec("R4 http.html#transaction")
@pytest.mark.parametrize(
    "bad",
    [
        entry("POST", "Nonsense", {"resourceType": "Nonsense"}),
        entry("POST", "Patient", {"resourceType": "Practitioner"}),
        entry("POST", "Patient", None),
        entry("PUT", "Patient", {"resourceType": "Patient"}),
        entry("PUT", "Patient/a", {"resourceType": "Patient", "id": "b"}),
        entry("POST", "Observation", observation("urn:uuid:7c9a1a5e-0000-0000-0000-000000000000")),
        entry("GET", "Nonsense/1"),
        entry("EXPLODE", "Patient/1"),
        {"resource": {"resourceType": "Patient"}},
    ],
)
async def test_a_bad_entry_fails_the_whole(client: httpx.AsyncClient, unique: str, bad: dict[str, Any]) -> None:
    response = await send(client, entry("POST", "Patient", patient(unique)), bad)
    assert response.status_code == 400
    assert (await client.get(f"/Patient?identifier={unique}&_summary=count")).json()["total"] == 0


@pytest.mark.spec("R4 http.html#trules")
async def test_order_is_delete_post_put_get_whatever_was_sent(client: httpx.AsyncClient, unique: str) -> None:
    await client.put(f"/Patient/{unique}", json=patient(unique, id=unique))
    response = await send(
        client,
        entry("GET", f"Patient?identifier={unique}"),
        entry("PUT", f"Basic/{unique}", {"resourceType": "Basic", "id": unique, "code": {"text": "x"}}),
        entry("POST", "Patient", patient(unique, active=True), ifNoneExist=f"identifier={unique}&active=true"),
        entry("DELETE", f"Patient/{unique}"),
        entry("GET", f"Basic/{unique}"),
    )
    assert statuses(response) == ["200", "201", "201", "204", "200"]
    matches = response.json()["entry"][0]["resource"]["entry"]
    assert [item["resource"].get("active") for item in matches] == [True]
    assert response.json()["entry"][4]["resource"]["id"] == unique


@pytest.mark.spec("R4 http.html#trules")
async def test_conditional_references(client: httpx.AsyncClient, unique: str) -> None:
    subject = f"Patient?identifier=urn:test|{unique}"
    assert (await send(client, entry("POST", "Observation", observation(subject)))).status_code == 412
    made = (await client.post("/Patient", json=patient(unique))).json()
    response = await send(client, entry("POST", "Observation", observation(subject)))
    place = response.json()["entry"][0]["response"]["location"].partition("/_history")[0]
    assert (await client.get(f"/{place}")).json()["subject"]["reference"] == f"Patient/{made['id']}"
    await client.post("/Patient", json=patient(unique))
    assert (await send(client, entry("POST", "Observation", observation(subject)))).status_code == 412


@pytest.mark.spec("R4 http.html#trules")
async def test_references_follow_conditional_creates_and_updates(client: httpx.AsyncClient, unique: str) -> None:
    known = (await client.post("/Patient", json=patient(unique))).json()["id"]
    for method, url, request in (
        ("POST", "Patient", {"ifNoneExist": f"identifier=urn:test|{unique}"}),
        ("PUT", f"Patient?identifier=urn:test|{unique}", {}),
    ):
        urn = f"urn:uuid:{uuid4()}"
        response = await send(
            client, entry("POST", "Observation", observation(urn)), entry(method, url, patient(unique), urn, **request)
        )
        assert statuses(response) == ["201", "200"]
        place = response.json()["entry"][0]["response"]["location"].partition("/_history")[0]
        assert (await client.get(f"/{place}")).json()["subject"]["reference"] == f"Patient/{known}"


@pytest.mark.spec("R4 http.html#trules")
async def test_the_same_condition_twice_makes_one_resource(client: httpx.AsyncClient, unique: str) -> None:
    condition = {"ifNoneExist": f"identifier=urn:test|{unique}"}
    urns = [f"urn:uuid:{uuid4()}" for _ in range(2)]
    response = await send(
        client,
        *(entry("POST", "Patient", patient(unique), urn, **condition) for urn in urns),
        *(entry("POST", "Observation", observation(urn)) for urn in urns),
    )
    assert statuses(response) == ["201", "200", "201", "201"]
    places = [item["response"]["location"] for item in response.json()["entry"]]
    assert places[0] == places[1]
    found = (await client.get(f"/Observation?patient.identifier={unique}")).json()
    assert found["total"] == 2


@pytest.mark.spec("R4 http.html#trules")
async def test_one_resource_may_not_be_written_twice(client: httpx.AsyncClient, unique: str) -> None:
    put = entry("PUT", f"Patient/{unique}", patient(unique, id=unique))
    assert (await send(client, put, put)).status_code == 400
    twice = entry("PUT", f"Patient?identifier=urn:test|{unique}", patient(unique))
    assert (await send(client, twice, twice)).status_code == 400
    assert (await send(client, put, entry("DELETE", f"Patient/{unique}"))).status_code == 400


@pytest.mark.spec("R4 http.html#patch")
async def test_patch_inside_a_bundle(client: httpx.AsyncClient, unique: str) -> None:
    await client.put(f"/Patient/{unique}", json=patient(unique, id=unique))
    steps = base64.b64encode(json.dumps([{"op": "add", "path": "/active", "value": True}]).encode()).decode()
    binary = {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": steps}
    response = await send(client, entry("PATCH", f"Patient/{unique}", binary, ifMatch='W/"1"'))
    assert statuses(response) == ["200"]
    assert (await client.get(f"/Patient/{unique}")).json()["active"] is True
    wrong = {**binary, "contentType": "text/plain"}
    assert (await send(client, entry("PATCH", f"Patient/{unique}", wrong))).status_code == 400


@pytest.mark.spec("R4 http.html#transaction-response")
async def test_the_response_names_what_was_stored(client: httpx.AsyncClient, unique: str) -> None:
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry("POST", "Patient", patient(unique))]}
    answer = (await client.post("", json=bundle, headers={"Prefer": "return=representation"})).json()
    assert (answer["resourceType"], answer["type"]) == ("Bundle", "transaction-response")
    one = answer["entry"][0]
    assert one["response"]["status"] == "201 Created"
    assert one["response"]["etag"] == 'W/"1"'
    assert one["response"]["location"] == f"Patient/{one['resource']['id']}/_history/1"
    assert one["response"]["lastModified"] == one["resource"]["meta"]["lastUpdated"]
    empty = await client.post("", json={"resourceType": "Bundle", "type": "transaction"})
    assert empty.json() == {"resourceType": "Bundle", "type": "transaction-response"}


@pytest.mark.spec("R4 http.html#brules")
async def test_in_a_batch_each_entry_stands_for_itself(client: httpx.AsyncClient, unique: str) -> None:
    response = await send(
        client,
        entry("POST", "Patient", patient(unique)),
        entry("POST", "Patient", {"resourceType": "Patient", "nonsense": 1}),
        entry("GET", f"Patient/{uuid4()}"),
        entry("GET", f"Patient?identifier={unique}"),
        entry("GET", "Patient/_history?_count=1"),
        entry("DELETE", "Nonsense/1"),
        kind="batch",
    )
    assert statuses(response) == ["201", "400", "404", "200", "200", "400"]
    assert response.json()["type"] == "batch-response"
    assert response.json()["entry"][1]["response"]["outcome"]["resourceType"] == "OperationOutcome"
    assert response.json()["entry"][3]["resource"]["total"] == 1
    assert response.json()["entry"][4]["resource"]["type"] == "history"


@pytest.mark.spec("R4 http.html#transaction")
@pytest.mark.parametrize("kind", ["collection", "searchset", "", None])
async def test_other_bundles_are_refused(client: httpx.AsyncClient, kind: str | None) -> None:
    response = await client.post("", json={"resourceType": "Bundle", "type": kind})
    assert response.status_code == 400
    assert (await client.post("", json={"resourceType": "Patient"})).status_code == 400


@pytest.mark.spec("R4 http.html#cread")
async def test_a_read_in_a_bundle_sends_nothing_again(client: httpx.AsyncClient) -> None:
    made = (await client.post("/Basic", json={"resourceType": "Basic", "code": {"text": "x"}})).json()
    url = f"Basic/{made['id']}"
    requests = [
        {"method": "GET", "url": url, "ifNoneMatch": 'W/"1"'},
        {"method": "GET", "url": url, "ifNoneMatch": 'W/"2"'},
        {"method": "HEAD", "url": url},
    ]
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": [{"request": request} for request in requests]}
    entries = (await client.post("", json=bundle)).json()["entry"]
    assert [each["response"]["status"] for each in entries] == ["304 Not Modified", "200 OK", "200 OK"]
    assert ["resource" in each for each in entries] == [False, True, False]
