"""What is older than the audit is kept for leaves it as a file that proves itself; the rest is proved as before."""

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from fhir_server.admin.audit_commands import _keys
from fhir_server.admin.audit_commands import audit as command
from fhir_server.app import open_node
from fhir_server.audit import archive, retention
from fhir_server.audit.event import Origin
from fhir_server.caller import Caller
from fhir_server.context import Node
from fhir_server.settings import Settings
from fhir_server.store import audit
from fhir_server.store.models import INDEX_TABLES
from tests.fhir_server.audit.test_chain import (  # noqa: F401 - fixtures
    MASTER_KEY,
    SECOND,
    anyio_backend,
    journal_of,
    problems,
    settings,
    tamper,
    whole,
)

pytestmark = pytest.mark.anyio
ORIGIN = Origin(Caller("root", "command line"), "command line", "http://fhir.test")
DAYS = 2_192
LATER = time.time_ns() // 1000 + (DAYS + 1) * retention.DAY


@asynccontextmanager
async def retained(settings: Settings, file: Path) -> AsyncIterator[Node]:  # noqa: F811
    """A node of whose three seals two have left into the file."""
    async with open_node(settings) as node:
        keys = await _keys(node)
        leaving = await retention.old(node.database, keys, DAYS, LATER)
        await retention.export(node.database, keys, leaving, file, ORIGIN)
        await retention.remove(node.database, keys, leaving, file, ORIGIN)
        yield node


async def left(node: Node) -> dict[str, int]:
    """How many rows there are, of the journal, of seals and of AuditEvents with what the index has of them."""
    tables = {"audit": "1 = 1", "audit_seal": "1 = 1", "resource": "resource_type = 'AuditEvent'"}
    index = {
        name: "row_id NOT IN (SELECT row_id FROM resource)" for name in (table.name for table in INDEX_TABLES.values())
    }
    queries = {name: text(f"SELECT count(*) AS n FROM {name} WHERE {what}") for name, what in (tables | index).items()}  # noqa: S608
    return {name: (await node.database.fetch(query))[0]["n"] for name, query in queries.items()}  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_whole_seals_leave_and_the_rest_is_proved(
    kind: str,
    settings: Settings,  # noqa: F811
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    if kind == "postgresql":
        settings = await journal_of(request.getfixturevalue("postgresql_url"))
    file = tmp_path / "old.ndjson"
    async with retained(settings, file) as node:
        found = await left(node)
        assert (found.pop("audit_seal"), found.pop("audit"), found.pop("resource")) == (1, 1 + 2, 3)
        assert set(found.values()) == {0}  # nothing of the index is left behind
        told = [json.loads(bytes(row["content"])) for row in await audit.waiting(node.database, audit.UNSEALED, 9)]
        assert [event["type"]["code"] for event in told] == ["110106", "destroy"]
        assert [event["entity"][0]["detail"][1]["valueString"] for event in told] == ["seals 1 to 2, 2 entries"] * 2
        keys = await _keys(node)
        assert not (await retention.old(node.database, keys, DAYS, LATER)).seals, "the newest stays"
        assert await archive.problems_of(file, keys.check) == []
    assert file.stat().st_mode & 0o077 == 0
    assert sum('"event_id"' in line for line in file.read_text().splitlines()) == 2
    assert await problems(settings) == []
    await tamper(settings, "DELETE FROM database_value WHERE name = 'audit cut'")
    assert any("seals 1 to 2 are missing" in problem for problem in await problems(settings))


async def test_tampering_at_the_cut_shows(settings: Settings, tmp_path: Path) -> None:  # noqa: F811
    async with retained(settings, tmp_path / "old.ndjson") as node:
        genuine = await audit.cut(node.database)
        keys = await _keys(node)
        other = await keys.sign({"audit_cut": 2, "head": "00" * 32})
    assert genuine
    for value, shows in ((other, "not what was signed"), ("e30.e30.e30", "not signed by this server")):
        await tamper(settings, f"UPDATE database_value SET value = CAST('{value}' AS BLOB) WHERE name = 'audit cut'")
        assert any(shows in problem for problem in await problems(settings))
    await tamper(settings, f"UPDATE database_value SET value = CAST('{genuine}' AS BLOB) WHERE name = 'audit cut'")
    assert await problems(settings) == []
    await tamper(settings, f"DELETE FROM resource WHERE resource_id = '{SECOND}'")
    assert await problems(settings) == [f"AuditEvent/{SECOND} is gone"]


TOUCHED: dict[str, Callable[[list[str]], list[str]]] = {
    "events are not those": lambda lines: [line.replace("Patient/1", "Patient/7") for line in lines],
    "does not follow": lambda lines: [lines[0], *lines[3:5], *lines[1:3], *lines[5:]],
    "not the file that was signed": lambda lines: [lines[0], *lines[3:]],
    "not what was signed": lambda lines: [line.replace('"sealed_at":1', '"sealed_at":2') for line in lines],
    "not whole": lambda lines: lines[:-1],
}


async def test_a_file_that_somebody_touched_shows(settings: Settings, tmp_path: Path) -> None:  # noqa: F811
    file = tmp_path / "old.ndjson"
    async with retained(settings, file) as node:
        keys, lines = await _keys(node), file.read_text().splitlines(keepends=True)
        for problem, touch in TOUCHED.items():
            file.write_text("".join(touch(lines)))
            assert problem in " ".join(await archive.problems_of(file, keys.check)), problem


async def test_nothing_leaves_a_journal_that_was_tampered_with(settings: Settings, tmp_path: Path) -> None:  # noqa: F811
    await tamper(settings, "DELETE FROM audit WHERE seal = 2")
    with pytest.raises(retention.CannotRemove, match="seal 2"):
        async with retained(settings, tmp_path / "old.ndjson"):
            pass
    assert not (tmp_path / "old.ndjson").exists()


def test_the_command_keeps_what_the_setting_says(
    settings: Settings,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KONSIL_FHIR_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("KONSIL_FHIR_PUBLISH_PROFILES", "false")
    file = str(tmp_path / "old.ndjson")

    def run(*words: str) -> Any:
        return CliRunner().invoke(command, words)

    assert "nothing is older than 2192 days" in run("retain", file).output
    assert "at least 2192 days are kept" in run("retain", file, "--days", "30").output
    monkeypatch.setattr(time, "time_ns", lambda: LATER * 1000)
    assert "seals 1 to 2, 2 entries: exported" in run("retain", file).output
    assert "exists already" in run("retain", file).output
    assert run("verify", "--file", file).exit_code == 0
    assert "entries in 1 seals after seal 2" in run("verify").output
