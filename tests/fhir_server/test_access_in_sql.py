"""What a caller may not see is nowhere: no read, search, count, chain, include, history or write tells of it."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from fhir_server.caller import Caller
from tests.fhir_server.node import Server, running

pytestmark = pytest.mark.anyio

LABEL = {"system": "https://konsil.example/fhir/CodeSystem/label", "code": "quarantined"}


def requester(name: str) -> Caller:
    return Caller(
        name,
        "konsil-app",
        f"Practitioner/{name}",
        frozenset({"requester"}),
        f"Organization/{name}",
        ("user/*.cruds",),
    )


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def server(anyio_backend: str, module_database_url: str) -> AsyncIterator[Server]:
    async with running(module_database_url) as node:
        yield node


@pytest.fixture
async def ours(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with server.client(requester("ours")) as client:
        yield client


@pytest.fixture
async def theirs(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with server.client(requester("theirs")) as client:
        yield client


async def made(client: httpx.AsyncClient, resource: dict[str, Any]) -> str:
    response = await client.post(f"/{resource['resourceType']}", json=resource)
    assert response.status_code == 201, response.text
    id_: str = response.json()["id"]
    return id_


async def chart(client: httpx.AsyncClient, unique: str) -> tuple[str, str]:
    patient = await made(
        client, {"resourceType": "Patient", "identifier": [{"value": unique}], "name": [{"family": unique}]}
    )
    condition = {"resourceType": "Condition", "subject": {"reference": f"Patient/{patient}"}, "code": {"text": "x"}}
    return patient, await made(client, condition)


async def total(client: httpx.AsyncClient, search: str) -> int:
    response = await client.get(f"/{search}")
    assert response.status_code == 200, response.text
    found: int = response.json()["total"]
    return found


async def test_reading_is_blind(ours: httpx.AsyncClient, theirs: httpx.AsyncClient) -> None:
    unique = uuid4().hex
    patient, condition = await chart(ours, unique)
    assert (await ours.get(f"/Patient/{patient}")).status_code == 200
    for path in (f"Patient/{patient}", f"Patient/{patient}/_history/1", f"Condition/{condition}"):
        assert (await theirs.get(f"/{path}")).status_code == 404
    assert (await theirs.get(f"/Patient/{patient}/_history")).status_code == 404
    for search in (
        f"Patient?identifier={unique}",
        f"Patient?_id={patient}",
        f"Patient?identifier={unique}&_summary=count",
        f"Condition?patient={patient}",
        f"Condition?subject:Patient.family={unique}",
        f"Patient?_has:Condition:patient:_id={condition}",
        f"Condition?_id={condition}&_include=Condition:subject",
    ):
        assert (await total(ours, search), await total(theirs, search)) == (1, 0)


async def test_own_rows_do_not_lead_to_those_of_others(ours: httpx.AsyncClient, theirs: httpx.AsyncClient) -> None:
    """A resource of ours that names one of theirs gives nothing away."""
    unique = uuid4().hex
    patient, _ = await chart(theirs, unique)
    mine, _ = await chart(ours, uuid4().hex)
    link = {"resourceType": "Patient", "link": [{"other": {"reference": f"Patient/{patient}"}, "type": "seealso"}]}
    linked = await made(ours, link)
    assert await total(ours, f"Patient?link:Patient.family={unique}") == 0
    included = (await ours.get(f"/Patient?_id={linked}&_include=Patient:link")).json()["entry"]
    assert [entry["search"]["mode"] for entry in included] == ["match"]
    revincluded = (await ours.get(f"/Patient?_id={mine}&_revinclude=Condition:subject")).json()["entry"]
    assert len(revincluded) == 2


async def test_histories_show_own_rows_only(ours: httpx.AsyncClient, theirs: httpx.AsyncClient) -> None:
    patient, condition = await chart(ours, uuid4().hex)
    for scope in ("", "/Patient", "/Condition"):
        bundle = (await theirs.get(f"{scope}/_history?_count=1000")).json()
        ids = {entry["fullUrl"].rpartition("/")[2] for entry in bundle.get("entry", [])}
        assert not ids & {patient, condition}
        seen = {entry["fullUrl"].rpartition("/")[2] for entry in (await ours.get(f"{scope}/_history")).json()["entry"]}
        assert seen & {patient, condition}


async def test_writing_is_blind(server: Server, ours: httpx.AsyncClient, theirs: httpx.AsyncClient) -> None:
    patient, _ = await chart(ours, uuid4().hex)
    body = {"resourceType": "Patient", "id": patient}
    patch = {"Content-Type": "application/json-patch+json"}
    assert (await theirs.put(f"/Patient/{patient}", json=body)).status_code == 404
    assert (await theirs.patch(f"/Patient/{patient}", json=[], headers=patch)).status_code == 404
    assert (await theirs.delete(f"/Patient/{patient}")).status_code == 404
    entry = {"resource": body, "request": {"method": "PUT", "url": f"Patient/{patient}"}}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    assert (await theirs.post("", json=bundle)).status_code == 404
    async with server.client() as administrator:
        await administrator.delete(f"/Patient/{patient}")
    assert (await ours.get(f"/Patient/{patient}")).status_code == 410
    assert (await theirs.get(f"/Patient/{patient}")).status_code == 404


async def test_nothing_is_written_into_the_chart_of_others(ours: httpx.AsyncClient, theirs: httpx.AsyncClient) -> None:
    patient, _ = await chart(ours, uuid4().hex)
    condition = {"resourceType": "Condition", "subject": {"reference": f"Patient/{patient}"}}
    response = await theirs.post("/Condition", json=condition)
    assert response.status_code == 403
    assert response.json()["issue"][0]["code"] == "forbidden"
    assert await total(ours, f"Condition?patient={patient}") == 1


async def test_a_condition_sees_only_own_rows(ours: httpx.AsyncClient, theirs: httpx.AsyncClient) -> None:
    unique = uuid4().hex
    patient, _ = await chart(ours, unique)
    body = {"resourceType": "Patient", "identifier": [{"value": unique}]}
    response = await theirs.post("/Patient", json=body, headers={"If-None-Exist": f"identifier={unique}"})
    assert response.status_code == 201
    assert response.json()["id"] != patient


async def test_what_no_role_grants_is_403(ours: httpx.AsyncClient) -> None:
    assert (await ours.post("/Practitioner", json={"resourceType": "Practitioner"})).status_code == 403
    assert (await ours.delete("/Patient/x")).status_code in {403, 204, 404}


async def test_quarantined_versions_stay_hidden_after_release(server: Server, ours: httpx.AsyncClient) -> None:
    """Version 1 was quarantined, version 2 is released: a requester reads only the second."""
    patient, _ = await chart(ours, uuid4().hex)
    study: dict[str, Any] = {
        "resourceType": "ImagingStudy",
        "id": uuid4().hex,
        "status": "available",
        "subject": {"reference": f"Patient/{patient}"},
    }
    async with server.client() as administrator:
        hidden = {**study, "meta": {"security": [LABEL]}}
        assert (await administrator.put(f"/ImagingStudy/{study['id']}", json=hidden)).status_code == 201
        assert (await ours.get(f"/ImagingStudy/{study['id']}")).status_code == 404
        assert (await administrator.put(f"/ImagingStudy/{study['id']}", json=study)).status_code == 200
    assert (await ours.get(f"/ImagingStudy/{study['id']}")).status_code == 200
    assert (await ours.get(f"/ImagingStudy/{study['id']}/_history/1")).status_code == 404
    versions = (await ours.get(f"/ImagingStudy/{study['id']}/_history")).json()["entry"]
    assert [entry["response"]["etag"] for entry in versions] == ['W/"2"']


async def test_the_writer_is_kept_with_the_version(server: Server, ours: httpx.AsyncClient) -> None:
    from sqlalchemy import select

    from fhir_server.store.models import resource

    patient, _ = await chart(ours, uuid4().hex)
    rows = await server.app.state.node.database.fetch(select(resource).where(resource.c.resource_id == patient))
    assert [rows[0][name] for name in ("subject", "client_id", "fhir_user", "organization", "patient")] == [
        "ours",
        "konsil-app",
        "Practitioner/ours",
        "ours",
        patient,
    ]
