"""$expunge: for administrators, never for what must be kept."""

from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from fhir_server.caller import Caller
from fhir_server.store.models import binary_part, history, index_token, resource
from tests.fhir_server.node import Server

LABEL = "https://konsil.example/fhir/CodeSystem/label"

pytestmark = pytest.mark.anyio


def wanting(*names: str, **more: Any) -> dict[str, Any]:
    flags = [{"name": name, "valueBoolean": True} for name in names]
    return {
        "resourceType": "Parameters",
        "parameter": [*flags, *({"name": n, "valueInteger": v} for n, v in more.items())],
    }


def values(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    return {one["name"]: one["valueInteger"] for one in response.json()["parameter"]}


async def basic(client: httpx.AsyncClient, unique: str, versions: int = 3, **more: Any) -> str:
    for n in range(versions):
        code = {"coding": [{"system": "http://example.org", "code": f"{unique}-{n}"}]}
        body = {"resourceType": "Basic", "id": unique, "code": code, **more}
        assert (await client.put(f"/Basic/{unique}", json=body)).is_success
    return f"/Basic/{unique}"


async def rows(server: Server, unique: str) -> int:
    """Rows of any kind that are left of it."""
    database = server.app.state.node.database
    found = 0
    for table, column in ((resource, "resource_id"), (history, "resource_id")):
        counted = select(func.count().label("n")).select_from(table).where(table.c[column] == unique)
        found += (await database.fetch(counted))[0]["n"]
    counted = (
        select(func.count().label("n")).select_from(index_token).where(index_token.c.code.startswith(f"{unique}-"))
    )
    return found + int((await database.fetch(counted))[0]["n"])


@pytest.mark.spec("docs/fhir.md $expunge")
async def test_previous_versions(client: httpx.AsyncClient, unique: str) -> None:
    address = await basic(client, unique)
    assert values(await client.post(f"{address}/$expunge", json=wanting("expungePreviousVersions"))) == {"count": 2}
    assert (await client.get(address)).json()["meta"]["versionId"] == "3"
    assert (await client.get(f"{address}/_history")).json()["total"] == 1
    assert (await client.get(f"{address}/_history/1")).status_code == 404
    assert values(await client.post(f"{address}/$expunge", json=wanting("expungeDeletedResources"))) == {"count": 0}


@pytest.mark.spec("docs/fhir.md $expunge")
async def test_everything_and_deleted_leave_no_row(server: Server, client: httpx.AsyncClient, unique: str) -> None:
    for name, flag in ((f"{unique}a", "expungeEverything"), (f"{unique}b", "expungeDeletedResources")):
        address = await basic(client, name)
        if flag == "expungeDeletedResources":
            await client.delete(address)
        assert values(await client.post(f"{address}/$expunge", json=wanting(flag))) == {"count": 4}
        assert (await client.get(address)).status_code == 404 and await rows(server, name) == 0
        events = (await client.get("/AuditEvent", params={"entity": f"Basic/{name}"})).json()
        assert events["entry"][0]["resource"]["type"]["code"] == "destroy"


@pytest.mark.spec("docs/fhir.md $expunge")
async def test_the_bytes_of_a_large_binary_go_with_its_last_version(
    server: Server, client: httpx.AsyncClient, unique: str
) -> None:
    async def parts() -> int:
        counted = select(func.count().label("n")).select_from(binary_part)
        return int((await server.app.state.node.database.fetch(counted))[0]["n"])

    before, fhir = await parts(), {"Accept": "application/fhir+json"}
    binary = {"resourceType": "Binary", "id": unique, "contentType": "text/plain", "data": "QUJD" * 350_000}
    await client.put(f"/Binary/{unique}", json=binary)
    meta = {"tag": [{"system": "http://example.org", "code": "x"}]}
    added = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": meta}]}
    assert (await client.post(f"/Binary/{unique}/$meta-add", json=added)).is_success
    await client.post(f"/Binary/{unique}/$expunge", json=wanting("expungePreviousVersions"))
    assert (await client.get(f"/Binary/{unique}", headers=fhir)).json()["data"] == binary["data"]
    await client.post(f"/Binary/{unique}/$expunge", json=wanting("expungeEverything"))
    assert await parts() == before


@pytest.mark.spec("docs/fhir.md $expunge")
async def test_a_type_is_cleared_up_to_a_limit(client: httpx.AsyncClient, unique: str) -> None:
    tag = [{"system": "http://example.org", "code": unique}]
    for n in range(3):
        await client.delete(await basic(client, f"{unique}{n}", 1, meta={"tag": tag}))
    first = values(await client.post("/Basic/$expunge", json=wanting("expungeDeletedResources", limit=2)))
    assert first["count"] == 4
    await client.post("/$expunge", json=wanting("expungeDeletedResources"))
    left = (await client.get("/Basic/_history")).json()
    ids = {entry["fullUrl"].rpartition("/")[2] for entry in left.get("entry", ())}
    assert ids.isdisjoint({f"{unique}{n}" for n in range(3)})


@pytest.mark.spec("docs/fhir.md $expunge")
async def test_what_is_under_legal_hold_or_signed_is_kept(client: httpx.AsyncClient, unique: str) -> None:
    hold = {"security": [{"system": LABEL, "code": "legal-hold"}]}
    held = await basic(client, f"{unique}h", meta=hold)
    signed = await basic(client, f"{unique}s")
    signature = {
        "type": [{"system": "urn:iso-astm:E1762-95:2013", "code": "1.2.840.10065.1.12.1.1"}],
        "when": "2020-01-01T00:00:00Z",
        "who": {"display": "somebody"},
    }
    provenance = {
        "resourceType": "Provenance",
        "target": [{"reference": f"Basic/{unique}s"}],
        "recorded": "2020-01-01T00:00:00Z",
        "agent": [{"who": {"display": "somebody"}}],
        "signature": [signature],
    }
    made = (await client.post("/Provenance", json=provenance)).json()
    kept = {held: "legal hold", signed: "is signed", f"/Provenance/{made['id']}": ""}
    for address, said in kept.items():
        for flag in ("expungeEverything", "expungePreviousVersions"):
            response = await client.post(f"{address}/$expunge", json=wanting(flag))
            assert response.status_code == 422 and said in response.text
        assert (await client.get(address)).status_code == 200
    passed_over = values(await client.post("/Basic/$expunge", json=wanting("expungePreviousVersions")))
    assert passed_over["kept"] >= 2 and (await client.get(f"{signed}/_history")).json()["total"] == 3


@pytest.mark.spec("docs/fhir.md $expunge")
async def test_only_administrators_by_post_and_with_a_word_what(server: Server, client: httpx.AsyncClient) -> None:
    him = Caller("him", "app", "Practitioner/h", frozenset({"him"}), None, ("user/*.cruds",))
    async with server.client(him) as other:
        refused = await other.post("/Basic/x/$expunge", json=wanting("expungeEverything"))
        assert refused.status_code == 403
    assert (await client.get("/Basic/x/$expunge?expungeEverything=true")).status_code == 405
    assert (await client.post("/Basic/x/$expunge")).status_code == 400
    assert (await client.post("/$expunge", json=wanting("expungeEverything"))).status_code == 400
    assert (await client.post("/Basic/nobody/$expunge", json=wanting("expungePreviousVersions"))).status_code == 404
