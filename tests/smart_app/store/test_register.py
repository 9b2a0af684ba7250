"""Hospitals added, changed, deactivated: keys stay sealed, files win, of two at once one is refused."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from joserfc.jwk import ECKey
from sqlalchemy import Engine, select

from konsil.database import sync_engine
from konsil.migrate import upgrade
from smart_app.app import VERSION_TABLE
from smart_app.cli import app
from smart_app.store import register
from smart_app.store.models import tenant
from smart_app.store.provisioned import ProvisionedStore
from smart_app.store.register import By, Stale, Unsuitable
from smart_app.tenants import Provision

KEY = ECKey.generate_key("P-384", {"kid": "ours-1", "use": "sig"}).as_dict(private=True)
VALUES = {
    "name": "anna",
    "title": "St. Anna",
    "fhir_base": "https://anna.test/fhir/",
    "issuer": "https://anna.test/oauth2",
    "jwks_url": "https://anna.test/jwks",
    "client_id": "konsil",
    "patient_identifier_system": "urn:oid:2.999",
    "organization": "Organization/anna",
}


@pytest.fixture
def engine(database_url: str, master_key: None) -> Iterator[Engine]:
    upgrade(database_url, "smart_app", VERSION_TABLE)
    made = sync_engine(database_url)
    yield made
    made.dispose()


def test_a_hospital_lives(engine: Engine) -> None:
    told: list[tuple[str, str, Any]] = []
    by = By("Vance", lambda *what: told.append(what))
    backend = {"backend_client_id": "b", "backend_token_url": "https://anna.test/token", "backend_key": KEY}
    added = register.add(engine, by, {**VALUES, **backend, "key": KEY})
    assert (added["version"], added["about"]) == (1, {"key": "ours-1", "backend_key": "ours-1"})
    store = ProvisionedStore(engine)
    assert store.by_fhir_base("https://anna.test/fhir") is not None
    changed = register.change(engine, by, added, {"title": "Saint Anna", "backend_scope": "system/*.rs"})
    kept = store.by_name("anna")
    assert kept is not None
    assert kept.backend is not None
    assert (kept.title, kept.key, kept.backend.key, kept.backend.scope) == ("Saint Anna", KEY, KEY, "system/*.rs")
    other = ECKey.generate_key("P-384", {"kid": "ours-2"}).as_dict(private=True)
    rotated = register.change(engine, by, changed, {"key": other})
    assert rotated["changes"][0]["details"] == [["key", "another one"]]
    with pytest.raises(Stale, match="Vance has changed"):
        register.change(engine, by, changed, {"title": "Late"})
    off = register.activate(engine, by, rotated, active=False)
    assert store.by_name("anna") is store.by_fhir_base("https://anna.test/fhir") is None
    assert store.tenants() == []
    register.activate(engine, by, off, active=True)
    assert len(store.tenants()) == 1
    with engine.connect() as connection:
        everything = json.dumps([register.show(connection, "anna"), register.every(connection), told])
        assert KEY["d"].encode() not in connection.execute(select(tenant.c.content)).scalar_one()
    assert KEY["d"] not in everything
    assert other["d"] not in everything
    assert [each[1] for each in told] == ["added", "changed", "changed", "deactivated", "activated"]


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"title": None}, "title"),
        ({"style": "other"}, "style"),
        ({"secret": "hush"}, "secret"),
        ({"name": "anna"}, "name"),
        ({"name": "b"}, "fhir_base"),
        ({"name": "b", "fhir_base": "https://b.test"}, "issuer"),
        ({"name": "b", "backend_client_id": "b"}, "backend_token_url"),
    ],
)
def test_what_is_wrong_is_said_by_name(engine: Engine, values: dict[str, Any], name: str) -> None:
    register.add(engine, By("x"), VALUES)
    with pytest.raises(Unsuitable) as refused:
        register.add(engine, By("x"), {**VALUES, **values})
    assert list(refused.value.fields) == [name]
    assert "hush" not in str(refused.value)


def test_what_cannot_be_audited_is_not_done(engine: Engine) -> None:
    def fails(*_: object) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        register.add(engine, By("x", fails), VALUES)
    with engine.connect() as connection:
        assert register.every(connection) == []


def test_a_file_wins_and_what_it_lacks_can_be_deactivated(engine: Engine) -> None:
    store = ProvisionedStore(engine)
    named = {"client_id": "konsil-app", "key": KEY}

    def provision(*tenants: dict[str, Any], **options: bool) -> list[str]:
        content = {"client": named, "system": named, "tenants": tenants}
        return store.provision(Provision.model_validate(content), **options)

    second = VALUES | {"name": "b", "fhir_base": "https://b.test", "issuer": "https://b.test"}
    for _ in range(2):
        assert provision(VALUES, second) == []
    with engine.connect() as connection:
        found = register.show(connection, "anna")
    assert (found["version"], found["from_file"], len(found["changes"])) == (1, True, 1)
    register.change(engine, By("Vance"), found, {"title": "Other"})
    assert provision(VALUES, deactivate_others=True) == ["b"]
    assert [each.title for each in store.tenants()] == ["St. Anna"]
    assert provision(VALUES, deactivate_others=True) == []
    provision(second)
    assert len(store.tenants()) == 2


def test_the_same_by_command(tmp_path: Path, master_key: None) -> None:
    environment = {"KONSIL_APP_DATABASE": f"sqlite:///{tmp_path}/app.db", "KONSIL_APP_DATA_DIR": str(tmp_path)}

    def run(*words: str, exit_code: int = 0) -> str:
        result = CliRunner(env=environment).invoke(app, ["tenant", *words])
        assert result.exit_code == exit_code, result.output
        return result.output

    given = [each for name, value in VALUES.items() if name != "name" for each in ("--set", f"{name}={value}")]
    run("add", "anna", *given, "--set", f"key={json.dumps(KEY)}")
    run("change", "anna", "--set", "frame_origins=https://a.test https://b.test")
    run("deactivate", "anna")
    assert " no" in run("list")
    run("activate", "anna")
    shown = run("show", "anna")
    assert KEY["d"] not in shown
    assert json.loads(shown)["values"]["frame_origins"] == ["https://a.test", "https://b.test"]
    assert "no hospital" in run("show", "nobody", exit_code=1)
    with sqlite3.connect(tmp_path / "app.db") as connection:
        rows = connection.execute("SELECT payload FROM outbox WHERE kind = 'audit' ORDER BY id").fetchall()
    events = [json.loads(payload)["event"] for (payload,) in rows]
    said = [event["outcomeDesc"] for event in events]
    assert said == [f"hospital anna {what}" for what in ("added", "changed", "deactivated", "activated")]
    assert all("command line" in event["agent"][0]["who"]["identifier"]["value"] for event in events)
    assert KEY["d"] not in json.dumps(events)
