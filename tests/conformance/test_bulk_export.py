"""Bulk Data Access: kick-off, state, files, end, and who gets what."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx
import orjson
import pytest

from fhir_server.auth import register
from fhir_server.caller import Caller
from fhir_server.context import Node
from fhir_server.interactions.bulk_export import run
from fhir_server.store import auth_registry, exports
from fhir_server.store.auth_values import Client
from konsil.secrets import new_master_key
from tests.conformance.chart import CHART, put
from tests.fhir_server.node import Server, running

SPEC = "https://hl7.org/fhir/uv/bulkdata/STU2/export.html"
SCOPES = ("system/*.rs",)
PROGRAM = Caller("bulk", "bulk", None, frozenset({"administrator"}), "Organization/here", SCOPES)
ASYNC = {"Prefer": "respond-async"}

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def exporting(anyio_backend: str, module_database_url: str) -> AsyncIterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KONSIL_MASTER_KEY", new_master_key())  # the audit journal is sealed before it can be read
        async with running(module_database_url, audit=True, exports_at_once=1) as server:
            async with server.client() as client:
                await put(client, CHART)
                await client.put("/Group/g", json=group("Patient/anna"))
            await registered(server)
            yield server


def group(*members: str, inactive: str = "Patient/li") -> dict[str, Any]:
    listed: list[dict[str, Any]] = [{"entity": {"reference": each}} for each in members]
    listed.append({"entity": {"reference": inactive}, "inactive": True})
    return {"resourceType": "Group", "id": "g", "type": "person", "actual": True, "member": listed}


async def registered(server: Server, *scopes: str) -> None:
    row = auth_registry.client_row(Client("bulk", "Bulk", "confidential", scopes=scopes or SCOPES))
    await register.put(server.app.state.node, "client", row)


@pytest.fixture
async def program(exporting: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with exporting.client(PROGRAM) as client:
        yield client


async def begun(client: httpx.AsyncClient, address: str, **options: Any) -> str:
    answer = await client.request(options.pop("method", "GET"), address, headers=ASYNC, **options)
    assert answer.status_code == 202, answer.text
    return path_of(answer.headers["content-location"])


def path_of(url: str) -> str:
    return urlsplit(url).path.removeprefix("/fhir")


async def completed(client: httpx.AsyncClient, place: str) -> dict[str, Any]:
    with anyio.fail_after(30):
        while (answer := await client.get(place)).status_code == 202:
            assert answer.headers["retry-after"] and "%" in answer.headers["x-progress"]
            await anyio.sleep(0.05)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json" and answer.headers["expires"]
    manifest: dict[str, Any] = answer.json()
    return manifest


async def lines(client: httpx.AsyncClient, manifest: dict[str, Any], kind: str = "output") -> dict[str, list[Any]]:
    """Every resource of the files, by what the manifest says that they are."""
    found: dict[str, list[Any]] = {}
    for each in manifest[kind]:
        answer = await client.get(path_of(each["url"]), headers={"Accept": "application/fhir+ndjson"})
        assert answer.headers["content-type"] == "application/fhir+ndjson", answer.text
        resources = [orjson.loads(line) for line in answer.content.splitlines()]
        assert len(resources) == each["count"]
        assert {one["resourceType"] for one in resources} == {each["type"]}
        found.setdefault(each["type"], []).extend(resources)
    return found


async def exported(client: httpx.AsyncClient, address: str, **options: Any) -> dict[str, list[Any]]:
    place = await begun(client, address, **options)
    found = await lines(client, await completed(client, place))
    assert (await client.delete(place)).status_code == 202
    return found


def ids(resources: list[Any]) -> set[str]:
    return {one["id"] for one in resources}


@pytest.mark.spec(f"{SPEC}#bulk-data-kick-off-request")
async def test_the_whole_system_comes_as_it_is_stored(program: httpx.AsyncClient) -> None:
    place = await begun(program, "/$export")
    manifest = await completed(program, place)
    assert manifest["requiresAccessToken"] is True and manifest["request"].endswith("/fhir/$export")
    assert manifest["error"] == manifest["deleted"] == []
    found = await lines(program, manifest)
    assert {"anna", "li"} <= ids(found["Patient"]) and "clinic" in ids(found["Organization"])
    assert "AuditEvent" not in found
    anna = next(one for one in found["Patient"] if one["id"] == "anna")
    assert anna == (await program.get("/Patient/anna")).json()
    await program.delete(place)


@pytest.mark.spec(f"{SPEC}#endpoint---all-patients")
async def test_all_patients_bring_their_compartment_and_types_that_are_named(program: httpx.AsyncClient) -> None:
    found = await exported(program, "/Patient/$export")
    assert "Patient" in found and "o1" in ids(found["Observation"]) and "Organization" not in found
    named = await exported(program, "/Patient/$export?_type=Patient,Practitioner")
    assert {*named} == {"Patient", "Practitioner"}


@pytest.mark.spec(f"{SPEC}#endpoint---group-of-patients")
async def test_a_group_brings_its_active_members_alone(program: httpx.AsyncClient) -> None:
    found = await exported(program, "/Group/g/$export")
    assert ids(found["Patient"]) == {"anna"} and "DocumentReference" not in found
    stranger = parameters({"name": "patient", "valueReference": {"reference": "Patient/li"}})
    answer = await program.post("/Group/g/$export", json=stranger, headers=ASYNC)
    assert answer.status_code == 400 and "no member" in answer.text


def parameters(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": [*entries]}


@pytest.mark.spec(f"{SPEC}#query-parameters")
async def test_parameters_in_a_body_narrow_it(program: httpx.AsyncClient) -> None:
    body = parameters(
        {"name": "patient", "valueReference": {"reference": "Patient/anna"}},
        {"name": "_type", "valueString": "Observation,Patient"},
        {"name": "_typeFilter", "valueString": "Observation?code=718-7"},
        {"name": "_elements", "valueString": "code"},
        {"name": "_outputFormat", "valueString": "ndjson"},
    )
    found = await exported(program, "/Patient/$export", method="POST", json=body)
    assert ids(found["Patient"]) == {"anna"} and ids(found["Observation"]) == {"o1", "o2"}
    first = found["Observation"][0]
    assert "valueQuantity" not in first and first["meta"]["tag"][-1]["code"] == "SUBSETTED"


@pytest.mark.spec(f"{SPEC}#query-parameters")
async def test_since_brings_what_has_changed_and_what_is_gone(program: httpx.AsyncClient, exporting: Server) -> None:
    async with exporting.client() as client:
        await put(client, [{"resourceType": "Location", "id": name} for name in ("old", "gone", "back")])
        since = (await client.get("/Location/back")).json()["meta"]["lastUpdated"]
        await put(client, [{"resourceType": "Location", "id": "new"}])
        for name in ("gone", "back"):
            await client.delete(f"/Location/{name}")
        await put(client, [{"resourceType": "Location", "id": "back", "name": "Back"}])
    place = await begun(program, "/$export", params={"_type": "Location", "_since": since})
    manifest = await completed(program, place)
    assert {"new", "back"} <= ids((await lines(program, manifest))["Location"])
    bundles = (await lines(program, manifest, "deleted"))["Bundle"]
    assert [one["entry"][0]["request"] for one in bundles] == [{"method": "DELETE", "url": "Location/gone"}]
    assert manifest["transactionTime"] > since
    await program.delete(place)


@pytest.mark.spec(f"{SPEC}#bulk-data-kick-off-request")
async def test_what_cannot_be_done_is_refused_with_a_sentence(program: httpx.AsyncClient) -> None:
    for address, word in (
        ("/$export?_outputFormat=csv", "ndjson"),
        ("/$export?_type=Nothing", "no resource type"),
        ("/$export?includeAssociatedData=LatestProvenanceResources", "no parameter"),
        ("/$export?patient=Patient/anna", "for exports of"),
        ("/Patient/$export?_typeFilter=Organization?name=x", "not exported"),
        ("/$export?_typeFilter=Patient?_sort=birthdate", "conditions alone"),
        ("/$export?_since=yesterday", ""),
    ):
        answer = await program.get(address, headers=ASYNC)
        assert answer.status_code == 400 and word in answer.json()["issue"][0]["diagnostics"], answer.text
    assert "respond-async" in (await program.get("/$export")).text
    assert (await program.get("/Group/unknown/$export", headers=ASYNC)).status_code == 404
    lenient = {"Prefer": "respond-async, handling=lenient"}
    passed_over = await program.get("/$export?_type=Group&allowPartialManifests=true", headers=lenient)
    assert passed_over.status_code == 202
    await program.delete(path_of(passed_over.headers["content-location"]))


@pytest.mark.spec(f"{SPEC}#bulk-data-delete-request")
async def test_what_is_ended_is_gone_and_others_never_see_it(program: httpx.AsyncClient, exporting: Server) -> None:
    place = await begun(program, "/$export?_type=Patient")
    more = await program.get("/$export", headers=ASYNC)
    assert more.status_code in {429, 202}, "one at a time, unless the first has ended already"
    if more.status_code == 202:
        await program.delete(path_of(more.headers["content-location"]))
    url = path_of((await completed(program, place))["output"][0]["url"])
    other = Caller("other", "other", None, PROGRAM.roles, PROGRAM.organization, SCOPES)
    async with exporting.client(other) as stranger:
        for address in (place, url):
            assert (await stranger.get(address)).status_code == 404
        assert (await stranger.delete(place)).status_code == 404
    assert (await program.get(f"{place}/99.ndjson")).status_code == 404
    assert (await program.delete(place)).status_code == 202
    for address in (place, url):
        assert (await program.get(address)).status_code == 404
    node: Node = exporting.app.state.node
    assert await exports.files(node.database, place.rpartition("/")[2]) == []


@pytest.mark.spec("https://hl7.org/fhir/smart-app-launch/STU2.2/backend-services.html")
async def test_programs_alone_and_as_far_as_their_scopes_go(exporting: Server) -> None:
    person = Caller("mia", "app", "Practitioner/gp", PROGRAM.roles, PROGRAM.organization, ("user/*.rs",))
    async with exporting.client(person) as client:
        assert (await client.get("/$export", headers=ASYNC)).status_code == 403
    narrow = Caller("bulk", "bulk", None, PROGRAM.roles, PROGRAM.organization, ("system/Observation.rs?code=718-7",))
    await registered(exporting, *narrow.scopes)
    async with exporting.client(narrow) as client:
        found = await exported(client, "/$export")
        assert {*found} == {"Observation"} and ids(found["Observation"]) == {"o1", "o2"}
        assert (await client.get("/$export?_type=Patient", headers=ASYNC)).status_code == 403
        place = await begun(client, "/$export")
        await registered(exporting, "system/Patient.rs")
        with anyio.fail_after(30):
            while (answer := await client.get(place)).status_code == 202:
                await anyio.sleep(0.05)
        if answer.status_code != 200:
            assert "may not do so any more" in answer.text
    await registered(exporting)


@pytest.mark.spec("DICOM PS3.15 A.5.3.3")
async def test_each_patient_in_it_has_an_event_of_export(program: httpx.AsyncClient, exporting: Server) -> None:
    await exported(program, "/Patient/$export?_type=Patient")
    async with exporting.client() as client:
        found = (await client.get("/AuditEvent?type=110106&patient=Patient/li")).json()
    assert found["entry"][0]["resource"]["agent"][0]["who"]["identifier"]["value"] == "bulk"


async def test_a_step_that_dies_is_done_again_by_who_comes_next(
    program: httpx.AsyncClient, exporting: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small files; one step is lost after its bytes were kept: nothing is there twice and nothing is missing."""
    monkeypatch.setattr(run, "LINES_IN_A_FILE", 2)
    monkeypatch.setattr(run, "PAGE", 2)
    lost = []
    whole = exports.advance

    async def dies_once(*arguments: Any) -> bool:
        if not lost:
            lost.append(arguments)
            return False
        return await whole(*arguments)

    monkeypatch.setattr(exports, "advance", dies_once)
    monkeypatch.setattr(exports, "LEASE_SECONDS", 0)
    found = await exported(program, "/$export?_type=Observation,Patient")
    async with exporting.client() as client:
        for name, resources in found.items():
            total = (await client.get(f"/{name}?_summary=count")).json()["total"]
            assert len(resources) == len(ids(resources)) == total, name
    assert lost


async def test_old_ones_are_removed_with_their_bytes(program: httpx.AsyncClient, exporting: Server) -> None:
    node: Node = exporting.app.state.node
    place = await begun(program, "/$export?_type=Patient")
    await completed(program, place)
    object.__setattr__(node.settings, "export_kept_seconds", -5)
    try:
        await run.sweep(node)
    finally:
        object.__setattr__(node.settings, "export_kept_seconds", 86_400)
    assert (await program.get(place)).status_code == 404
