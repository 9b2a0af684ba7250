"""https://hl7.org/fhir/R4/searchparameter.html: parameters added at run time, and the reindex that offers them"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from sqlalchemy import select, update

from fhir_server.cli import fhir
from fhir_server.context import Node
from fhir_server.store.models import index_string, search_parameter
from fhir_server.store.models import reindex as places
from fhir_server.store.parameters import load_parameters
from fhir_server.store.reindex import STEP, Reindexer
from tests.conformance.chart import found, put
from tests.fhir_server.node import running

pytestmark = pytest.mark.anyio

NICKNAME: dict[str, Any] = {
    "resourceType": "SearchParameter",
    "id": "nickname",
    "url": "urn:test:nickname",
    "name": "nickname",
    "status": "active",
    "description": "Patients by nickname",
    "code": "nickname",
    "base": ["Patient"],
    "type": "string",
    "expression": "Patient.name.where(use = 'nickname').given",
}
TWO = {
    **NICKNAME,
    "id": "nickname-gender",
    "url": "urn:test:nickname-gender",
    "code": "nickname-gender",
    "type": "composite",
    "expression": "Patient",
    "component": [
        {"definition": "http://hl7.org/fhir/SearchParameter/individual-gender", "expression": "gender"},
        {
            "definition": "http://hl7.org/fhir/SearchParameter/individual-birthdate",
            "expression": "birthDate",
        },
    ],
}


def patient(id_: str, nickname: str) -> dict[str, Any]:
    name = [{"use": "nickname", "given": [nickname]}]
    return {"resourceType": "Patient", "id": id_, "gender": "male", "birthDate": "1950-02-03", "name": name}


def reindexer(node: Node) -> Reindexer:
    return Reindexer(node.database, node.extractor, node.numbers)


def quiet(resource_type: str, done: int, total: int) -> None:
    pass


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(600):
        if await holds():
            return
        await asyncio.sleep(0.05)
    pytest.fail("it never happened")


async def status(client: httpx.AsyncClient, query: str) -> int:
    return (await client.get(f"/{query}")).status_code


@pytest.mark.spec("R4 searchparameter.html")
async def test_a_parameter_added_at_run_time_is_searched_after_the_reindex(database_url: str) -> None:
    async with running(database_url) as server, server.client() as client:
        await put(client, [patient("theo", "Teddy"), patient("bill", "Billy"), NICKNAME, TWO])
        assert await status(client, "Patient?nickname=ted") == 400
        async with running(database_url, migrate_at_start=False) as other:
            progress: list[tuple[str, int, int]] = []
            await reindexer(other.app.state.node).run(lambda *done: progress.append(done), alone=True)
            assert progress[0] == ("Patient", 0, 2)
            assert progress[-1] == ("Patient", 2, 2)
            async with other.client() as there:
                assert await found(there, "Patient?nickname=ted") == ["theo"]
                assert sorted(await found(there, "Patient?nickname-gender=male$1950")) == ["bill", "theo"]

            async def heard() -> bool:
                return await status(client, "Patient?nickname=ted") == 200

            await until(heard)
        assert await found(client, "Patient?nickname=ted") == ["theo"]
        assert await found(client, "Patient?_sort=-nickname") == ["theo", "bill"]
        await put(client, [patient("theo", "Theodore")])
        assert await found(client, "Patient?nickname=ted") == []
        statement = (await client.get("/metadata")).json()
        (of_patient,) = [one for one in statement["rest"][0]["resource"] if one["type"] == "Patient"]
        assert "nickname" in {one["name"] for one in of_patient["searchParam"]}


@pytest.mark.spec("R4 searchparameter.html")
async def test_a_parameter_that_is_gone_leaves_no_rows(tmp_path: Path) -> None:
    async with running(f"sqlite:///{tmp_path}/fhir.db") as server, server.client() as client:
        node: Node = server.app.state.node
        await put(client, [patient("theo", "Teddy"), NICKNAME])
        await reindexer(node).run(quiet, alone=True)
        number = node.numbers("Patient", "nickname")
        rows = select(index_string.c.row_id).where(index_string.c.parameter == number)
        assert len(await node.database.fetch(rows)) == 1
        await client.delete("/SearchParameter/nickname")
        await reindexer(node).run(quiet, alone=True)
        assert await node.database.fetch(rows) == []
        assert await status(client, "Patient?nickname=ted") == 400


@pytest.mark.spec("R4 searchparameter.html")
@pytest.mark.parametrize(
    "change",
    [
        {"expression": "Patient.name.where("},
        {"type": "special"},
        {"code": "nick.name"},
        {"code": "family"},
        {"type": "composite", "component": [{"definition": "urn:test:unknown", "expression": "gender"}]},
    ],
)
async def test_what_cannot_be_taken_up_is_named_and_does_no_harm(tmp_path: Path, change: dict[str, Any]) -> None:
    async with running(f"sqlite:///{tmp_path}/fhir.db") as server, server.client() as client:
        await put(client, [patient("theo", "Teddy"), NICKNAME | change])
        loaded = await reindexer(server.app.state.node).run(quiet, alone=True)
        assert loaded.refused.keys() == {"urn:test:nickname"}
        assert await status(client, "Patient?family=x") == 200


class Stopped(Exception):
    """The process has been killed."""


async def test_a_reindex_that_was_killed_goes_on_where_it_was(database_url: str) -> None:
    many = [patient(f"p{n}", f"nick{n}") for n in range(STEP + 50)]
    async with running(database_url) as server, server.client() as client:
        node: Node = server.app.state.node
        await put(client, [*many, NICKNAME])

        def stop(resource_type: str, done: int, total: int) -> None:
            if done:
                raise Stopped

        with pytest.raises(Stopped):
            await reindexer(node).run(stop, alone=True)
        assert (await node.database.fetch(select(places.c.done)))[0]["done"] == STEP
        assert await status(client, "Patient?nickname=nick7") == 400
    async with running(database_url, migrate_at_start=False) as server, server.client() as client:
        node = server.app.state.node
        assert await status(client, "Patient?nickname=nick7") == 400
        begun: list[int] = []
        await reindexer(node).run(lambda _type, done, _total: begun.append(done), alone=True)
        assert begun[0] == STEP
        assert await found(client, "Patient?nickname:exact=nick7") == ["p7"]
        assert await found(client, f"Patient?nickname=nick{STEP + 49}") == [f"p{STEP + 49}"]
        assert await node.database.fetch(select(places)) == []


async def test_an_older_database_is_indexed_anew_when_the_embedded_server_starts(database_url: str) -> None:
    async with running(database_url) as server, server.client() as client:
        node: Node = server.app.state.node
        await put(client, [patient("li", "李")])
        family = search_parameter.c.code.in_(["given", "name"])
        async with node.database.transaction() as transaction:
            await transaction.execute(update(search_parameter).where(family).values(expression="as it was"))
            await transaction.execute(index_string.delete())
        assert await found(client, "Patient?given=li") == []
        pending = (await load_parameters(node.database, node.registry, node.numbers)).pending
        assert set(pending["Patient"]) == {"given", "name"}
    async with running(database_url) as server, server.client() as client:
        assert await found(client, "Patient?given=li") == ["li"]


async def test_what_is_written_meanwhile_is_indexed_too(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/fhir.db"
    async with running(url) as deaf, running(url, migrate_at_start=False) as server:
        async with deaf.client() as client:
            await put(client, [patient("theo", "Teddy"), NICKNAME])
            node: Node = server.app.state.node
            waiting = asyncio.Event()

            def begun(resource_type: str, done: int, total: int) -> None:
                waiting.set()

            running_reindex = asyncio.create_task(reindexer(node).run(begun))
            await waiting.wait()
            await put(client, [patient("theo", "Terry"), patient("bill", "Billy")])
            await running_reindex
        async with server.client() as client:
            assert await found(client, "Patient?nickname=te") == ["theo"]
            assert await found(client, "Patient?nickname=bil") == ["bill"]


def test_the_command_says_what_it_has_indexed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KONSIL_FHIR_DATABASE_URL", f"sqlite:///{tmp_path}/fhir.db")

    async def prepare() -> None:
        async with running(f"sqlite:///{tmp_path}/fhir.db") as server, server.client() as client:
            await put(client, [patient("theo", "Teddy"), NICKNAME, {**TWO, "code": "a.b"}])

    asyncio.run(prepare())
    first = CliRunner().invoke(fhir, ["reindex"])
    assert first.exit_code == 0, first.output
    assert "indexed: 1 parameters of 1 types" in first.output
    assert "not taken up: urn:test:nickname-gender" in first.output
    assert "indexed: 0 parameters of 0 types" in CliRunner().invoke(fhir, ["reindex"]).output
    assert CliRunner().invoke(fhir, ["reindex", "--type", "Nonsense"]).exit_code == 1


@pytest.mark.spec("R4 searchparameter.html")
async def test_a_package_that_brings_standard_parameters_again_doubles_nothing(tmp_path: Path) -> None:
    standard = {**NICKNAME, "id": "one", "code": "name", "expression": "Patient.name"}
    again = standard | {"url": "http://hl7.org/fhir/SearchParameter/Patient-name"}
    renamed = standard | {"id": "two", "url": "urn:test:us-core-patient-name"}
    async with running(f"sqlite:///{tmp_path}/fhir.db") as server, server.client() as client:
        node: Node = server.app.state.node
        await put(client, [patient("theo", "Teddy"), again, renamed])
        before = await node.database.fetch(select(index_string.c.row_id))
        loaded = await reindexer(node).run(quiet, ["Patient"], alone=True)
        assert loaded.refused == {
            "urn:test:us-core-patient-name": "R4 has a parameter of that code for each of its types"
        }
        assert len(await node.database.fetch(select(index_string.c.row_id))) == len(before)
        assert await found(client, "Patient?name=ted") == ["theo"]
        statement = (await client.get("/metadata")).json()
        (of_patient,) = [one for one in statement["rest"][0]["resource"] if one["type"] == "Patient"]
        names = [one["name"] for one in of_patient["searchParam"]]
        assert len(names) == len(set(names))
