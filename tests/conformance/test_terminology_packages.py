"""Loading FHIR NPM packages: what they define becomes resources, once, whatever is loaded again."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from fhir_server.auth.records import registrar
from fhir_server.cli import fhir
from fhir_server.conformance.package import BadPackage, open_package
from fhir_server.context import Context
from fhir_server.interactions.packages import Loaded, load_package
from tests.fhir_server.node import Server
from tests.fhir_server.packages import code_system, write_package

pytestmark = pytest.mark.anyio


async def load(server: Server, path: Path) -> Loaded:
    ctx = Context.of(server.app.state.node, registrar(None), 1_790_000_000_000_000)
    return await load_package(ctx, open_package(path))


async def entries(client: httpx.AsyncClient, url: str) -> list[dict[str, Any]]:
    found = (await client.get("/CodeSystem", params={"url": url, "_sort": "version"})).json()
    return [entry["resource"] for entry in found.get("entry", ())]


@pytest.mark.spec("FHIR NPM packages")
async def test_a_package_becomes_resources_and_a_second_load_changes_nothing(
    server: Server, client: httpx.AsyncClient, tmp_path: Path, unique: str
) -> None:
    url = f"http://example.org/CodeSystem/{unique}"
    files = {"CodeSystem-a.json": code_system(url), "example/Patient-x.json": {"resourceType": "Patient"}}
    path = write_package(tmp_path / "a.tgz", {"name": unique}, files)
    first = await load(server, path)
    assert (first.created, first.updated, first.unchanged) == (1, 0, 0)
    assert [one["meta"]["versionId"] for one in await entries(client, url)] == ["1"]
    again = await load(server, path)
    assert (again.created, again.updated, again.unchanged) == (0, 0, 1)
    assert [one["meta"]["versionId"] for one in await entries(client, url)] == ["1"]
    right = await client.get("/CodeSystem/$validate-code", params={"url": url, "code": "scarlet"})
    assert right.json()["parameter"][0]["valueBoolean"] is True


@pytest.mark.spec("R4 references.html#canonical")
async def test_two_versions_of_a_package_stand_side_by_side(
    server: Server, client: httpx.AsyncClient, tmp_path: Path, unique: str
) -> None:
    url = f"http://example.org/CodeSystem/{unique}"
    newer = code_system(url, "10.0.0", concept=[{"code": "only-new"}])
    await load(server, write_package(tmp_path / "1.tgz", {"name": unique}, {"a.json": code_system(url, "9.0.0")}))
    await load(server, write_package(tmp_path / "2.tgz", {"name": unique, "version": "2"}, {"a.json": newer}))
    assert {(one["version"], one["id"]) for one in await entries(client, url)} == {
        ("9.0.0", unique),
        ("10.0.0", f"{unique}-10.0.0"),
    }
    address = "/CodeSystem/$validate-code"
    newest = await client.get(address, params={"url": url, "code": "only-new"})
    assert newest.json()["parameter"][0]["valueBoolean"] is True
    older = await client.get(address, params={"url": url, "version": "9.0.0", "code": "only-new"})
    assert older.json()["parameter"][0]["valueBoolean"] is False


@pytest.mark.spec("FHIR NPM packages")
async def test_what_is_wrong_in_a_package_is_named_and_the_rest_loaded(
    server: Server, tmp_path: Path, unique: str
) -> None:
    bad = code_system(f"http://example.org/{unique}-bad", nonsense=True)
    files = {
        "bad.json": bad,
        "broken.json": b"{",
        "good.json": code_system(f"http://example.org/CodeSystem/{unique}"),
    }
    manifest = {"name": unique, "dependencies": {"hl7.fhir.r4.core": "4.0.1", f"{unique}.base": "1.0.x"}}
    loaded = await load(server, write_package(tmp_path / "a.tgz", manifest, files))
    assert loaded.created == 1 and loaded.missing == [f"{unique}.base 1.0.x"]
    assert [text.partition(":")[0] for text in loaded.refused] == ["bad.json", "broken.json"]
    base = write_package(tmp_path / "base.tgz", {"name": f"{unique}.base", "version": "1.0.7"}, {})
    await load(server, base)
    assert (await load(server, tmp_path / "a.tgz")).missing == []


@pytest.mark.spec("R4 references.html#canonical")
async def test_many_who_ask_at_once_find_a_definition_that_was_just_written(
    client: httpx.AsyncClient, unique: str
) -> None:
    url = f"http://example.org/CodeSystem/{unique}"
    for version, code in (("1", "first"), ("2", "second")):
        system = code_system(url, version, id=unique, concept=[{"code": code}])
        assert (await client.put(f"/CodeSystem/{unique}", json=system)).is_success
        asked = (client.get("/CodeSystem/$lookup", params={"system": url, "code": code}) for _ in range(8))
        assert {one.status_code for one in await asyncio.gather(*asked)} == {200}


@pytest.mark.spec("FHIR NPM packages")
def test_what_is_no_package_of_r4_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.tgz").write_bytes(b"nothing")
    for path in (tmp_path / "no.tgz", write_package(tmp_path / "r5.tgz", {"fhirVersions": ["5.0.0"]}, {})):
        with pytest.raises(BadPackage):
            open_package(path)


def test_the_command_loads_and_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KONSIL_FHIR_DATABASE_URL", f"sqlite:///{tmp_path}/fhir.db")
    path = write_package(
        tmp_path / "a.tgz", {"dependencies": {"other": "1"}}, {"a.json": code_system("http://example.org/a")}
    )
    for expected in ("1 new, 0 changed, 0 as they were", "0 new, 0 changed, 1 as they were"):
        result = CliRunner().invoke(fhir, ["load-package", str(path)], catch_exceptions=False)
        assert result.exit_code == 0 and expected in result.output
        assert "not loaded: other 1" in result.output
