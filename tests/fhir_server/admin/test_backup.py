"""A backup is whole and checked; it is never put under a running server."""

from pathlib import Path

import pytest

from fhir_server.admin.backup import CannotBackUp, backup, check, restore
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


def test_what_is_no_backup_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"SQLite format 3\0" + b"\0" * 5000)
    with pytest.raises(CannotBackUp):
        check(broken)
    with pytest.raises(CannotBackUp, match="pg_dump"):
        backup("postgresql://x@127.0.0.1/x", tmp_path / "x", nothing)
    with pytest.raises(CannotBackUp, match="exists"):
        backup(f"sqlite:///{tmp_path}/fhir.db", broken, nothing)
