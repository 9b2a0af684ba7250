"""Provenance that nobody sent: who wrote each version."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from fhir_server.auth import register
from fhir_server.caller import Caller
from fhir_server.context import Node
from fhir_server.store import auth_registry
from fhir_server.store.auth_values import Account, Client
from tests.fhir_server.node import Server, running

SPEC = "R4 provenance.html"
ITO = Caller(
    "account-ito", "app", "Practitioner/ito", frozenset({"administrator"}), "Organization/here", ("user/*.cruds",)
)
ENGINE = Caller("engine", "engine", None, frozenset({"administrator"}), "Organization/there", ("system/*.cruds",))

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def hospital(anyio_backend: str, module_database_url: str) -> AsyncIterator[Server]:
    async with running(module_database_url) as server:
        node: Node = server.app.state.node
        person = Account("account-ito", "Dr. Ito", frozenset(), "Organization/here", "Practitioner/ito", "ito")
        program = Client("engine", "Engine", "confidential", organization="Organization/there")
        async with node.database.transaction() as transaction:
            await auth_registry.put_local_account(transaction, person, None)
        await register.put(node, "client", auth_registry.client_row(program))
        yield server


@pytest.fixture
async def ito(hospital: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with hospital.client(ITO) as client:
        yield client


def condition(id_: str, text: str = "x") -> dict[str, Any]:
    return {"resourceType": "Condition", "id": id_, "subject": {"reference": f"Patient/{id_}"}, "code": {"text": text}}


async def written(ito: httpx.AsyncClient, hospital: Server, id_: str) -> None:
    """A patient and a condition by a person; the condition changed by a program, then deleted by the person."""
    await ito.put(f"/Patient/{id_}", json={"resourceType": "Patient", "id": id_})
    assert (await ito.put(f"/Condition/{id_}", json=condition(id_))).status_code == 201
    async with hospital.client(ENGINE) as engine:
        assert (await engine.put(f"/Condition/{id_}", json=condition(id_, "y"))).status_code == 200


async def found(client: httpx.AsyncClient, query: str) -> list[dict[str, Any]]:
    answer = await client.get(query)
    assert answer.status_code == 200, answer.text
    entries = answer.json().get("entry", [])
    return [each["resource"] for each in entries if each["resource"]["resourceType"] == "Provenance"]


@pytest.mark.spec(SPEC)
async def test_each_version_says_who_wrote_it_when_and_for_whom(
    ito: httpx.AsyncClient, hospital: Server, unique: str
) -> None:
    await written(ito, hospital, unique)
    await ito.delete(f"/Condition/{unique}")
    first, second, third = await found(ito, f"/Provenance?target=Condition/{unique}")
    targets = [each["target"][0]["reference"] for each in (first, second, third)]
    assert targets == [f"Condition/{unique}/_history/{number}" for number in (1, 2, 3)]
    assert [each["activity"]["coding"][0]["code"] for each in (first, second, third)] == ["CREATE", "UPDATE", "DELETE"]
    author, program = first["agent"]
    assert author["who"] == {"reference": "Practitioner/ito"}
    assert author["onBehalfOf"] == {"reference": "Organization/here"}
    assert program["who"] == {"identifier": {"value": "app"}}
    (engine,) = second["agent"]
    assert engine["who"] == {"identifier": {"value": "engine"}}
    assert engine["onBehalfOf"] == {"reference": "Organization/there"}
    assert second["entity"] == [{"role": "revision", "what": {"reference": f"Condition/{unique}/_history/1"}}]
    assert first["recorded"] == first["meta"]["lastUpdated"] < second["recorded"]


@pytest.mark.spec("R4 search.html#revinclude")
async def test_it_comes_along_with_what_is_found(ito: httpx.AsyncClient, hospital: Server, unique: str) -> None:
    await written(ito, hospital, unique)
    (made,) = await found(ito, f"/Condition?patient={unique}&_revinclude=Provenance:target")
    assert made["target"] == [{"reference": f"Condition/{unique}/_history/2"}]
    answer = await ito.get(f"/Condition?patient={unique}&_revinclude=Provenance:target")
    assert answer.json()["total"] == 1, "what is included is not counted"
    assert [each["search"]["mode"] for each in answer.json()["entry"]] == ["match", "include"]


@pytest.mark.spec("R4 http.html#read")
async def test_it_is_read_by_its_id(ito: httpx.AsyncClient, hospital: Server, unique: str) -> None:
    await written(ito, hospital, unique)
    for made in await found(ito, f"/Provenance?target=Condition/{unique}"):
        read = await ito.get(f"/Provenance/{made['id']}")
        assert read.status_code == 200 and read.json() == made and read.headers["etag"] == 'W/"1"'
    for unknown in ("written-1-1", f"{made['id']}9", "written-x-1"):
        assert (await ito.get(f"/Provenance/{unknown}")).status_code == 404


@pytest.mark.spec("R4 search.html#summary")
async def test_what_others_sent_is_there_too_and_all_is_counted(
    ito: httpx.AsyncClient, hospital: Server, unique: str
) -> None:
    await written(ito, hospital, unique)
    sent = {
        "resourceType": "Provenance",
        "target": [{"reference": f"Condition/{unique}"}],
        "recorded": "2026-11-01T10:00:00Z",
        "agent": [{"who": {"reference": "Practitioner/ito"}}],
    }
    stored = (await ito.post("/Provenance", json=sent)).json()
    answer = (await ito.get(f"/Provenance?target=Condition/{unique}")).json()
    assert answer["total"] == len(answer["entry"]) == 3
    assert stored["id"] in {each["resource"]["id"] for each in answer["entry"]}
    assert (await ito.get(f"/Provenance?target=Condition/{unique}&_summary=count")).json()["total"] == 3
    assert await found(ito, f"/Provenance?target=Provenance/{stored['id']}") == []


@pytest.mark.spec("R4 security.html")
async def test_who_does_not_see_the_version_does_not_see_its_provenance(
    ito: httpx.AsyncClient, hospital: Server, unique: str
) -> None:
    await written(ito, hospital, unique)
    (made, *_) = await found(ito, f"/Provenance?target=Condition/{unique}")
    other = Caller("p", "app", "Patient/other", frozenset({"patient"}), None, ("patient/*.rs",), "other")
    closed = Caller("q", "app", None, frozenset({"administrator"}), None, ("system/Condition.rs",))
    async with hospital.client(other) as patient, hospital.client(closed) as narrow:
        assert await found(patient, f"/Provenance?target=Condition/{unique}") == []
        assert (await patient.get(f"/Provenance/{made['id']}")).status_code == 404
        assert (await narrow.get(f"/Provenance?target=Condition/{unique}")).status_code == 403
        assert (await narrow.get(f"/Provenance/{made['id']}")).status_code == 403
        assert await found(narrow, f"/Condition?_id={unique}&_revinclude=Provenance:target") == []


@pytest.mark.spec("R4 http.html#transaction")
async def test_what_a_bundle_brings_has_it_at_once(ito: httpx.AsyncClient, unique: str) -> None:
    entries = [
        {
            "resource": {"resourceType": "Patient", "id": unique},
            "request": {"method": "PUT", "url": f"Patient/{unique}"},
        },
        {"resource": condition(unique), "request": {"method": "PUT", "url": f"Condition/{unique}"}},
    ]
    answer = await ito.post("", json={"resourceType": "Bundle", "type": "transaction", "entry": entries})
    assert answer.status_code == 200, answer.text
    both = await found(ito, f"/Provenance?target=Patient/{unique},Condition/{unique}")
    assert len(both) == 2 and len({each["recorded"] for each in both}) == 1
