"""$meta, $meta-add, $meta-delete."""

from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.anyio


def given(**meta: Any) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": meta}]}


def meta_of(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    found = response.json().get("parameter", [{}])[0].get("valueMeta", {})
    assert isinstance(found, dict)
    return found


@pytest.fixture
async def patient(client: httpx.AsyncClient, unique: str) -> str:
    tag = {"system": "http://example.org", "code": f"Tag-{unique}"}
    await client.put(f"/Patient/{unique}", json={"resourceType": "Patient", "id": unique, "meta": {"tag": [tag]}})
    return unique


@pytest.mark.spec("R4 resource-operation-meta.html")
async def test_the_meta_of_a_resource(client: httpx.AsyncClient, patient: str) -> None:
    meta = meta_of(await client.get(f"/Patient/{patient}/$meta"))
    assert meta == (await client.get(f"/Patient/{patient}")).json()["meta"]
    assert (await client.get("/Patient/nobody/$meta")).status_code == 404


@pytest.mark.spec("R4 resource-operation-meta.html")
@pytest.mark.parametrize("address", ["/$meta", "/Patient/$meta"])
async def test_the_labels_in_use_as_they_are_written(client: httpx.AsyncClient, patient: str, address: str) -> None:
    meta = meta_of(await client.get(address))
    assert {"system": "http://example.org", "code": f"Tag-{patient}"} in meta["tag"] and "versionId" not in meta


@pytest.mark.spec("R4 resource-operation-meta-add.html")
async def test_labels_are_added_once(client: httpx.AsyncClient, patient: str) -> None:
    label = {"system": "http://example.org", "code": "secret", "display": "Secret"}
    profile = "http://example.org/StructureDefinition/p"
    added = meta_of(await client.post(f"/Patient/{patient}/$meta-add", json=given(security=[label], profile=[profile])))
    assert added["security"] == [label] and added["profile"] == [profile] and len(added["tag"]) == 1
    again = given(security=[{**label, "display": "another"}], tag=added["tag"])
    assert meta_of(await client.post(f"/Patient/{patient}/$meta-add", json=again)) == added
    assert (await client.get(f"/Patient/{patient}")).json()["meta"] == added and added["versionId"] == "2"
    found = (await client.get("/Patient", params={"_id": patient, "_security": "http://example.org|secret"})).json()
    assert len(found["entry"]) == 1


@pytest.mark.spec("R4 resource-operation-meta-delete.html")
async def test_labels_are_taken_away_and_what_is_not_there_is_no_error(client: httpx.AsyncClient, patient: str) -> None:
    tag = {"system": "http://example.org", "code": f"Tag-{patient}"}
    rest = meta_of(await client.post(f"/Patient/{patient}/$meta-delete", json=given(tag=[tag], profile=["http://x"])))
    assert "tag" not in rest and rest["versionId"] == "2"
    assert meta_of(await client.post(f"/Patient/{patient}/$meta-delete", json=given(tag=[tag]))) == rest


@pytest.mark.spec("R4 resource-operation-meta-add.html")
async def test_what_changes_is_posted_and_well_formed(client: httpx.AsyncClient, patient: str) -> None:
    refused = await client.get(f"/Patient/{patient}/$meta-add")
    assert refused.status_code == 405 and refused.headers["allow"] == "POST"
    assert (await client.post(f"/Patient/{patient}/$meta-add", json=given(tag="x"))).status_code == 400
    assert (await client.post(f"/Patient/{patient}/$meta-add")).status_code == 400
