"""https://hl7.org/fhir/R4/http.html: read, vread, create, update, patch, delete."""

from email.utils import parsedate_to_datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

pytestmark = pytest.mark.anyio

PATCH = {"Content-Type": "application/json-patch+json"}


def patient(unique: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "identifier": [{"system": "urn:test", "value": unique}], **more}


async def made(client: httpx.AsyncClient, resource: dict[str, Any]) -> dict[str, Any]:
    response = await client.post(f"/{resource['resourceType']}", json=resource)
    assert response.status_code == 201, response.text
    result: dict[str, Any] = response.json()
    return result


@pytest.mark.spec("R4 http.html#create")
async def test_create_gives_id_version_time_and_place(client: httpx.AsyncClient, unique: str) -> None:
    response = await client.post("/Patient", json=patient(unique, id="mine"))
    assert response.status_code == 201
    body = response.json()
    assert body["id"] != "mine"
    assert body["meta"]["versionId"] == "1"
    assert response.headers["etag"] == 'W/"1"'
    assert response.headers["location"] == f"http://fhir.test/fhir/Patient/{body['id']}/_history/1"
    assert parsedate_to_datetime(response.headers["last-modified"]).tzinfo is not None
    assert response.headers["content-type"] == "application/fhir+json; charset=utf-8"


@pytest.mark.spec("R4 http.html#ops")
@pytest.mark.parametrize(("preference", "kind"), [("minimal", None), ("OperationOutcome", "OperationOutcome")])
async def test_prefer_return(client: httpx.AsyncClient, unique: str, preference: str, kind: str | None) -> None:
    response = await client.post("/Patient", json=patient(unique), headers={"Prefer": f"return={preference}"})
    assert response.status_code == 201
    assert (response.json()["resourceType"] if response.content else None) == kind
    assert response.headers["etag"] == 'W/"1"'


@pytest.mark.spec("R4 http.html#ccreate")
async def test_conditional_create(client: httpx.AsyncClient, unique: str) -> None:
    condition = {"If-None-Exist": f"identifier=urn:test|{unique}"}
    first = await client.post("/Patient", json=patient(unique), headers=condition)
    second = await client.post("/Patient", json=patient(unique), headers=condition)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    await made(client, patient(unique))
    third = await client.post("/Patient", json=patient(unique), headers=condition)
    assert third.status_code == 412
    assert third.json()["issue"][0]["code"] == "multiple-matches"


@pytest.mark.spec("R4 http.html#ccreate")
@pytest.mark.parametrize("condition", ["", "_sort=name", "_count=1", "nonsense=1"])
async def test_a_condition_needs_a_criterion(client: httpx.AsyncClient, unique: str, condition: str) -> None:
    headers = {"If-None-Exist": condition or "?"}
    response = await client.post("/Patient", json=patient(unique), headers=headers)
    assert response.status_code == 400


@pytest.mark.spec("R4 http.html#read")
async def test_read_gives_what_was_stored(client: httpx.AsyncClient, unique: str) -> None:
    stored = await made(client, patient(unique, name=[{"family": "Łukasiewicz", "given": ["Ælfric", "李"]}]))
    response = await client.get(f"/Patient/{stored['id']}")
    assert response.status_code == 200
    assert response.json() == stored
    assert response.headers["etag"] == 'W/"1"'
    head = await client.head(f"/Patient/{stored['id']}")
    assert head.status_code == 200


@pytest.mark.spec("R4 http.html#cread")
async def test_conditional_read(client: httpx.AsyncClient, unique: str) -> None:
    stored = await made(client, patient(unique))
    address = f"/Patient/{stored['id']}"
    assert (await client.get(address, headers={"If-None-Match": 'W/"1"'})).status_code == 304
    assert (await client.get(address, headers={"If-None-Match": 'W/"2"'})).status_code == 200


@pytest.mark.spec("R4 http.html#read")
async def test_unknown_is_404_and_deleted_is_410(client: httpx.AsyncClient, unique: str) -> None:
    stored = await made(client, patient(unique))
    assert (await client.get(f"/Patient/{uuid4()}")).status_code == 404
    assert (await client.get("/Patient/not_an_id")).status_code == 404
    assert (await client.delete(f"/Patient/{stored['id']}")).status_code == 204
    gone = await client.get(f"/Patient/{stored['id']}")
    assert gone.status_code == 410
    assert gone.json()["issue"][0]["code"] == "deleted"


@pytest.mark.spec("R4 http.html#vread")
async def test_every_version_stays_readable(client: httpx.AsyncClient, unique: str) -> None:
    stored = await made(client, patient(unique))
    address = f"/Patient/{stored['id']}"
    await client.put(address, json=patient(unique, id=stored["id"], active=True))
    await client.delete(address)
    assert (await client.get(f"{address}/_history/1")).json() == stored
    assert (await client.get(f"{address}/_history/2")).json()["active"] is True
    assert (await client.get(f"{address}/_history/3")).status_code == 410
    for absent in ("4", "0", "x", "99999999999"):
        assert (await client.get(f"{address}/_history/{absent}")).status_code == 404


@pytest.mark.spec("R4 http.html#update")
async def test_update_replaces_and_counts_versions(client: httpx.AsyncClient, unique: str) -> None:
    stored = await made(client, patient(unique, active=True))
    response = await client.put(f"/Patient/{stored['id']}", json=patient(unique, id=stored["id"]))
    assert response.status_code == 200
    assert "active" not in response.json()
    assert response.json()["meta"]["versionId"] == "2"
    assert response.json()["meta"]["lastUpdated"] > stored["meta"]["lastUpdated"]


@pytest.mark.spec("R4 http.html#upsert")
async def test_update_as_create_and_again_after_a_deletion(client: httpx.AsyncClient, unique: str) -> None:
    address = f"/Patient/{uuid4()}"
    body = patient(unique, id=address.rpartition("/")[2])
    assert (await client.put(address, json=body)).status_code == 201
    assert (await client.delete(address)).status_code == 204
    again = await client.put(address, json=body)
    assert again.status_code == 201
    assert again.json()["meta"]["versionId"] == "3"
    versions = (await client.get(f"{address}/_history")).json()["entry"]
    assert [entry["request"]["method"] for entry in versions] == ["PUT", "DELETE", "POST"]


@pytest.mark.spec("R4 http.html#update")
@pytest.mark.parametrize("own", ["other", None, "with space"])
async def test_the_id_must_be_that_of_the_address(client: httpx.AsyncClient, unique: str, own: str | None) -> None:
    body = patient(unique) | ({"id": own} if own else {})
    assert (await client.put("/Patient/one", json=body)).status_code == 400


@pytest.mark.spec("R4 http.html#concurrency")
async def test_if_match(client: httpx.AsyncClient, unique: str) -> None:
    stored = await made(client, patient(unique))
    address, body = f"/Patient/{stored['id']}", patient(unique, id=stored["id"])
    assert (await client.put(address, json=body, headers={"If-Match": 'W/"1"'})).status_code == 200
    stale = await client.put(address, json=body, headers={"If-Match": 'W/"1"'})
    assert stale.status_code == 412
    assert (await client.put(address, json=body, headers={"If-Match": "nonsense"})).status_code == 400
    assert (await client.delete(address, headers={"If-Match": 'W/"1"'})).status_code == 412
    unknown = str(uuid4())
    absent = await client.put(f"/Patient/{unknown}", json=patient(unique, id=unknown), headers={"If-Match": 'W/"1"'})
    assert absent.status_code == 412


@pytest.mark.spec("R4 http.html#cond-update")
async def test_conditional_update(client: httpx.AsyncClient, unique: str) -> None:
    address = f"/Patient?identifier=urn:test|{unique}"
    first = await client.put(address, json=patient(unique))
    second = await client.put(address, json=patient(unique, active=True))
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    other = await client.put(address, json=patient(unique, id="another"))
    assert other.status_code == 400
    await made(client, patient(unique))
    assert (await client.put(address, json=patient(unique))).status_code == 412
    assert (await client.put("/Patient", json=patient(unique))).status_code == 400


@pytest.mark.spec("R4 http.html#patch")
async def test_json_patch(client: httpx.AsyncClient, unique: str) -> None:
    stored = await made(client, patient(unique, active=True))
    address = f"/Patient/{stored['id']}"
    steps = [
        {"op": "test", "path": "/active", "value": True},
        {"op": "replace", "path": "/active", "value": False},
        {"op": "add", "path": "/identifier/-", "value": {"value": "second"}},
    ]
    response = await client.patch(address, json=steps, headers=PATCH)
    assert response.status_code == 200
    assert response.json()["active"] is False
    assert response.json()["identifier"][1] == {"value": "second"}
    assert response.json()["meta"]["versionId"] == "2"


@pytest.mark.spec("R4 http.html#patch")
@pytest.mark.parametrize(
    ("steps", "status"),
    [
        ([{"op": "test", "path": "/active", "value": True}], 422),
        ([{"op": "remove", "path": "/birthDate"}], 422),
        ([{"op": "replace", "path": "/id", "value": "other"}], 400),
        ([{"op": "add", "path": "/nonsense", "value": 1}], 400),
        ([{"op": "explode", "path": "/active"}], 400),
        ({"op": "add"}, 400),
    ],
)
async def test_a_patch_that_does_not_fit_changes_nothing(
    client: httpx.AsyncClient, unique: str, steps: Any, status: int
) -> None:
    stored = await made(client, patient(unique))
    address = f"/Patient/{stored['id']}"
    assert (await client.patch(address, json=steps, headers=PATCH)).status_code == status
    assert (await client.get(address)).json() == stored


@pytest.mark.spec("R4 http.html#patch")
async def test_patch_of_nothing_and_by_condition(client: httpx.AsyncClient, unique: str) -> None:
    steps = [{"op": "add", "path": "/active", "value": True}]
    assert (await client.patch(f"/Patient/{uuid4()}", json=steps, headers=PATCH)).status_code == 404
    condition = f"/Patient?identifier=urn:test|{unique}"
    assert (await client.patch(condition, json=steps, headers=PATCH)).status_code == 404
    await made(client, patient(unique))
    assert (await client.patch(condition, json=steps, headers=PATCH)).json()["active"] is True
    assert (await client.patch(condition, json=steps)).status_code == 415


@pytest.mark.spec("R4 http.html#delete")
async def test_delete_is_idempotent_and_conditional(client: httpx.AsyncClient, unique: str) -> None:
    assert (await client.delete(f"/Patient/{uuid4()}")).status_code == 204
    condition = f"/Patient?identifier=urn:test|{unique}"
    assert (await client.delete(condition)).status_code == 204
    stored = await made(client, patient(unique))
    response = await client.delete(condition)
    assert response.status_code == 204
    assert response.headers["etag"] == 'W/"2"'
    assert (await client.get(f"/Patient/{stored['id']}")).status_code == 410
    await made(client, patient(unique))
    await made(client, patient(unique))
    assert (await client.delete(condition)).status_code == 412


@pytest.mark.spec("R4 datatypes.html#decimal")
async def test_decimals_keep_their_digits(client: httpx.AsyncClient) -> None:
    text = (
        '{"resourceType":"Observation","status":"final","code":{"text":"x"},'
        '"valueQuantity":{"value":1.500},"referenceRange":[{"low":{"value":1E+2},"high":{"value":0.00000010}}]}'
    )
    response = await client.post("/Observation", content=text, headers={"Content-Type": "application/fhir+json"})
    assert response.status_code == 201
    for written in ('"value":1.500}', '"value":1E+2}', '"value":0.00000010}'):
        assert written in response.text


@pytest.mark.spec("R4 http.html#versioning")
async def test_meta_of_the_client_is_kept_except_version_and_time(client: httpx.AsyncClient, unique: str) -> None:
    meta = {"versionId": "7", "lastUpdated": "2001-01-01T00:00:00Z", "tag": [{"code": unique}], "source": "urn:here"}
    stored = await made(client, patient(unique, meta=meta))
    assert stored["meta"]["versionId"] == "1"
    assert stored["meta"]["lastUpdated"] > "2026"
    assert (stored["meta"]["tag"], stored["meta"]["source"]) == ([{"code": unique}], "urn:here")
