"""A backup is whole and checked; it is never put under a running server."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from fhir_server.admin.backup import CannotBackUp, backup, check, restore
from fhir_server.cli import fhir
from tests.fhir_server.node import ADMINISTRATOR, running

pytestmark = pytest.mark.anyio
PATIENT = {"resourceType": "Patient", "id": "p"}


def nothing(done: int, total: int) -> None:
    pass


async def test_a_backup_of_a_running_server_is_restored_when_it_is_stopped(tmp_path: Path) -> None:
    url, file = f"sqlite:///{tmp_path}/fhir.db", tmp_path / "backup.db"
    async with running(url) as server, server.client(ADMINISTRATOR) as client:
        await client.put("/Patient/p", json=PATIENT)
        backup(url, file, nothing)
        await client.put("/Patient/p", json=PATIENT | {"active": True})
        with pytest.raises(CannotBackUp, match="stop the server"):
            restore(url, file, nothing)
        assert (await client.get("/Patient/p")).json()["meta"]["versionId"] == "2"
    assert restore(url, file, nothing) == tmp_path / "fhir.db.before-restore"
    async with running(url) as server, server.client(ADMINISTRATOR) as client:
        assert (await client.get("/Patient/p")).json()["meta"]["versionId"] == "1"


def test_who_took_and_restored_one_is_in_the_audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the commands: the event of taking it is in it already, that of restoring comes after."""
    monkeypatch.setenv("KONSIL_FHIR_DATABASE_URL", f"sqlite:///{tmp_path}/fhir.db")
    monkeypatch.setenv("KONSIL_FHIR_PUBLISH_PROFILES", "false")
    file = tmp_path / "backup.db"
    asyncio.run(connected(f"sqlite:///{tmp_path}/fhir.db"))
    for command in ("backup", "restore"):
        done = CliRunner().invoke(fhir, [command, str(file)])
        assert done.exit_code == 0, done.output
    with closing(sqlite3.connect(tmp_path / "fhir.db")) as connection:
        contents = connection.execute("SELECT content FROM audit ORDER BY position").fetchall()
    events = [json.loads(content) for (content,) in contents]
    assert [event["type"]["code"] for event in events] == ["110106", "110107"]
    for event in events:
        assert event["entity"][0]["name"] == "the whole database"
        assert event["entity"][0]["detail"] == [{"type": "file", "valueString": str(file)}]
        assert "command line" in json.dumps(event["agent"])


async def connected(url: str) -> None:
    """Make the database."""
    async with running(url):
        pass


def test_what_is_no_backup_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"SQLite format 3\0" + b"\0" * 5000)
    with pytest.raises(CannotBackUp):
        check(broken)
    with pytest.raises(CannotBackUp, match="pg_dump"):
        backup("postgresql://x@127.0.0.1/x", tmp_path / "x", nothing)
    with pytest.raises(CannotBackUp, match="exists"):
        backup(f"sqlite:///{tmp_path}/fhir.db", broken, nothing)
