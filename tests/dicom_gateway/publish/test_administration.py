"""Peers over HTTP and by command: who may, what is put down, who was first; and how often one may ask."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from dicom_gateway.app import create_app
from dicom_gateway.cli import dicom
from dicom_gateway.peer_register import provision
from dicom_gateway.peers import PeerEntry
from tests.dicom_gateway.conftest import opened
from tests.dicom_gateway.web.serving import serving
from tests.dicom_gateway.world import PEOPLE, World, world

PEERS = "/api/administration/peers"
OUTSIDE = {"name": "outside", "ae_title": "OUTSIDE", "port": 11112, "can": ["find", "get"]}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A FHIR server with people, and a gateway."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KONSIL_MASTER_KEY", "A" * 43 + "=")
        with world(tmp_path_factory.mktemp("administration")) as found:
            yield found


@pytest.fixture(scope="module")
def web(up: World) -> Iterator[httpx.Client]:
    with (
        serving(lambda base: create_app(up.gateway)) as base,
        httpx.Client(base_url=base, trust_env=False, timeout=30) as client,
    ):
        yield client


def bearer(name: str, version: int | None = None) -> dict[str, str]:
    return {"Authorization": f"Bearer {name}"} | ({} if version is None else {"If-Match": f'W/"{version}"'})


CALLS = [
    ("GET", PEERS),
    ("GET", f"{PEERS}/outside"),
    ("POST", PEERS),
    ("PUT", f"{PEERS}/outside"),
    ("POST", f"{PEERS}/outside/activate"),
    ("POST", f"{PEERS}/outside/deactivate"),
]


def test_everybody_else_is_refused(web: httpx.Client) -> None:
    for method, path in CALLS:
        assert web.request(method, path, json={}).status_code == 401
        for name in set(PEOPLE) - {"vance"}:
            answer = web.request(method, path, headers=bearer(name, 1), json={})
            assert answer.status_code == 403, (method, path, name)
    assert "lacks the scope" in web.get(PEERS, headers=bearer("ross")).text


def test_a_peer_lives(up: World, web: httpx.Client) -> None:
    added = web.post(PEERS, headers=bearer("vance"), json=OUTSIDE)
    assert added.status_code == 201, added.text
    assert (added.json()["version"], added.json()["changed_by"], added.json()["from_file"]) == (1, "Vance", False)
    assert web.post(PEERS, headers=bearer("vance"), json=OUTSIDE).json()["fields"] == {"name": "This is taken."}
    path = f"{PEERS}/outside"
    changed = web.put(path, headers=bearer("vance", 1), json={"port": 104, "associations_per_minute": 30})
    assert (changed.json()["version"], changed.json()["values"]["port"]) == (2, 104)
    late = web.put(path, headers=bearer("vance", 1), json={"port": 105})
    assert (late.status_code, late.json()["current"]["values"]["port"]) == (412, 104)
    assert web.put(path, headers=bearer("vance"), json={}).status_code == 428
    off = web.post(f"{path}/deactivate", headers=bearer("vance", 2)).json()
    assert off["active"] is False
    assert web.get("/api/peers", headers=bearer("silva")).json()["peers"] == []
    assert [each["name"] for each in web.get(PEERS, headers=bearer("vance")).json()["peers"]] == ["outside"]
    assert web.post(f"{path}/activate", headers=bearer("vance", 3)).json()["active"] is True
    shown = web.get(path, headers=bearer("vance")).json()
    assert [each["what"] for each in shown["changes"]] == ["activated", "deactivated", "changed", "added"]
    assert ["port", "11112 → 104"] in shown["changes"][2]["details"]
    events = up.search("AuditEvent?entity-name:exact=peer outside&_sort=date")
    told = [each["outcomeDesc"].removeprefix("peer outside ") for each in events]
    assert [each for each in told if each != "changed"] == ["added", "added", "deactivated", "activated"]
    assert all(each["agent"][0]["who"]["reference"] == "Practitioner/vance" for each in events)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"port": 0}, "port"),
        ({"port": "x"}, "port"),
        ({"ae_title": "LONGER THAN SIXTEEN"}, "ae_title"),
        ({"can": ["fly"]}, "can"),
        ({"associations_at_once": -1}, "associations_at_once"),
        ({"secret": "hush"}, "secret"),
        ({"name": ""}, "name"),
    ],
)
def test_what_is_wrong_is_said_by_name(web: httpx.Client, values: dict[str, Any], name: str) -> None:
    answer = web.post(PEERS, headers=bearer("vance"), json={**OUTSIDE, "name": "other", **values})
    assert (answer.status_code, list(answer.json()["fields"])) == (400, [name])
    assert "hush" not in answer.text
    assert web.get(f"{PEERS}/other", headers=bearer("vance")).status_code == 404


def test_a_file_wins_and_says_so(up: World) -> None:
    entry = PeerEntry.model_validate({**OUTSIDE, "name": "filed"})
    for _ in range(2):
        with up.gateway.engine.begin() as connection:
            provision(connection, [entry], "KONSIL")
    with up.gateway.engine.connect() as connection:
        from dicom_gateway.peer_register import show

        found = show(connection, "filed")
    assert (found["from_file"], found["version"], len(found["changes"])) == (True, 1, 1)


def test_the_same_by_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"MODE": "archive", "DATA_DIR": str(tmp_path), "DATABASE_URL": f"sqlite:///{tmp_path}/index.db"}
    for name, value in values.items():
        monkeypatch.setenv(f"KONSIL_DICOM_{name}", value)

    def run(*words: str, exit_code: int = 0) -> str:
        result = CliRunner().invoke(dicom, ["peer", *words])
        assert result.exit_code == exit_code, result.output
        return result.output

    run("add", "pacs", "--set", "ae_title=PACS", "--set", "port=4242", "--set", "can=find get")
    assert "4242" in run("list")
    run("change", "pacs", "--set", "host=10.0.0.7")
    assert "port" in run("change", "pacs", "--set", "port=none", exit_code=1)
    run("deactivate", "pacs")
    run("activate", "pacs")
    shown = json.loads(run("show", "pacs"))
    assert shown["values"]["can"] == ["find", "get"]
    assert [each["what"] for each in shown["changes"]] == ["activated", "deactivated", "changed", "added"]
    assert "no peer is named" in run("show", "nobody", exit_code=1)


@pytest.mark.spec("RFC 6585 4")
def test_who_asks_too_often_waits_and_others_do_not(tmp_path: Path) -> None:
    limits = {"requests_per_minute": 3, "address_requests_per_minute": 12}
    with ExitStack() as stack:
        gateway = stack.enter_context(opened(tmp_path, mode="archive", web_token="open", **limits))
        base = stack.enter_context(serving(lambda base: create_app(gateway)))
        with httpx.Client(base_url=base, trust_env=False) as client:
            headers = {"Authorization": "Bearer open"}
            assert [client.get("/dicom-web/studies", headers=headers).status_code < 300 for _ in range(3)] == [True] * 3
            refused = client.get("/dicom-web/studies", headers=headers)
            assert refused.status_code == 429
            assert 0 < int(refused.headers["retry-after"]) <= 21
            assert [client.get("/dicom-web/studies").status_code for _ in range(8)] == [401] * 8
            assert client.get("/dicom-web/studies", headers={"Authorization": "Bearer other"}).status_code == 429
            assert client.get("/healthz").status_code == 200
