"""Whoever tampers with the journal is found out; what waits is not lost."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from fhir_server.app import open_node
from fhir_server.audit import journal as journal_module
from fhir_server.audit.batch import MOST_IN_A_BATCH, Noted, batch_rows, events_of
from fhir_server.audit.chain import START, chained, digest
from fhir_server.audit.event import Happening, Origin
from fhir_server.audit.journal import Journal
from fhir_server.audit.trail import event_row
from fhir_server.audit.verify import verify
from fhir_server.auth import signing
from fhir_server.caller import Caller
from fhir_server.errors import Unavailable
from fhir_server.settings import Settings
from fhir_server.store import audit
from fhir_server.store.audit import JournalRow
from fhir_server.store.database import Database
from konsil.database import sync_engine
from konsil.secrets import new_master_key
from tests.fhir_server.node import running

pytestmark = pytest.mark.anyio
MASTER_KEY = new_master_key()
ORIGIN = Origin(Caller("anna", "app"), "127.0.0.1", "http://fhir.test")
MANY = 1_700_000_000_000_003
(BATCH,) = batch_rows([(ORIGIN, Happening("search-type", MANY, query="Patient"), ("3", "4", "5"))])
SECOND = list(events_of(BATCH["event_id"], BATCH["content"]))[1]
TAMPERING = {
    "changed": "UPDATE resource SET content = {replaced} WHERE resource_type = 'AuditEvent' AND resource_id = "
    "(SELECT event_id FROM audit WHERE seal = 2)",
    "gone": "DELETE FROM resource WHERE resource_type = 'AuditEvent' AND resource_id = "
    "(SELECT event_id FROM audit WHERE seal = 2)",
    "1 were sealed": "DELETE FROM audit WHERE seal = 2",
    "seals 2 to 2 are missing": "DELETE FROM audit_seal WHERE seal = 2",
    "not what was signed": "UPDATE audit_seal SET count = 2 WHERE seal = 2",
    "none of this server's": "UPDATE audit_seal SET signature = 'e30.e30.e30' WHERE seal = 2",
    "not signed": "UPDATE audit_seal SET signature = NULL WHERE seal = 2",
}
OF_A_BATCH = {
    "changed": "UPDATE audit SET content = {replaced} WHERE seal = 3",
    "{event} was changed": "UPDATE resource SET content = {replaced} WHERE resource_id = '{event}'",
    "{event} is gone": "DELETE FROM resource WHERE resource_id = '{event}'",
    "1 were sealed": "DELETE FROM audit WHERE seal = 3",
}
REPLACED = {
    "sqlite": "CAST(REPLACE(CAST(content AS TEXT), '\"anna\"', '\"otto\"') AS BLOB)",
    "postgresql": "convert_to(replace(convert_from(content, 'UTF8'), '\"anna\"', '\"otto\"'), 'UTF8')",
}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def whole(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database on SQLite; what tampering looks like is the same on PostgreSQL."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KONSIL_MASTER_KEY", MASTER_KEY)
        await journal_of(f"sqlite:///{folder}/fhir.db")
    return folder


@pytest.fixture
async def settings(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a copy of it."""
    monkeypatch.setenv("KONSIL_MASTER_KEY", MASTER_KEY)
    shutil.copytree(whole, tmp_path / "copy")
    return Settings(database_url=f"sqlite:///{tmp_path}/copy/fhir.db")


async def journal_of(database_url: str) -> Settings:
    """Settings of a database whose journal has three seals, all listed: two of one event, one of three."""
    async with running(database_url, audit=True) as server:
        node = server.app.state.node
        for n in range(1, 4):
            async with node.database.transaction() as transaction:
                await audit.append(transaction, [row(n)] if n < 3 else [BATCH])
            while not [seal for seal in await audit.seals(node.database, n - 1, 1) if seal.signature]:
                await asyncio.sleep(0.02)
        while await audit.waiting(node.database, audit.SEALED, 1):
            await asyncio.sleep(0.02)
    return Settings(database_url=database_url)


def happening(n: int) -> Happening:
    return Happening("read", 1_700_000_000_000_000 + n, f"Patient/{n}")


def row(n: int) -> JournalRow:
    return event_row(ORIGIN, happening(n), str(n))


def noted(n: int) -> Noted:
    return ORIGIN, happening(n), (str(n),)


async def tamper(settings: Settings, statement: str) -> None:
    engine = sync_engine(settings.database_url)
    with engine.begin() as connection:
        statement = statement.format(replaced=REPLACED[engine.dialect.name], event=SECOND)
        assert connection.execute(text(statement)).rowcount == 1
    engine.dispose()


async def problems(settings: Settings) -> list[str]:
    async with open_node(settings) as node:

        async def check(token: str) -> dict[str, Any] | None:
            return await signing.check(node.database, token)

        proofs = [proof async for proof in verify(node.database, check)]
    return [problem for proof in proofs for problem in proof.problems]


def test_the_head_rests_on_every_event_before_it() -> None:
    """Of three, whichever is another, missing, or in another place makes another head."""
    three = [digest(each) for each in (b"1", b"2", b"3")]
    head = chained(START, three)
    others = [[digest(b"x") if n == place else each for n, each in enumerate(three)] for place in range(3)]
    others += [three[:place] + three[place + 1 :] for place in range(3)]
    others += [[three[1], three[0], three[2]]]
    assert head not in [chained(START, other) for other in others]
    assert head != chained(digest(b"another seal before"), three)
    assert head == chained(chained(START, three[:1]), three[1:])


async def test_a_whole_journal_holds(settings: Settings) -> None:
    assert await problems(settings) == []


async def test_the_same_on_postgresql(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KONSIL_MASTER_KEY", MASTER_KEY)
    kept = await journal_of(postgresql_url)
    assert await problems(kept) == []
    await tamper(kept, TAMPERING["changed"])
    assert any("was changed" in problem for problem in await problems(kept))


@pytest.mark.parametrize("problem", TAMPERING)
async def test_tampering_shows(settings: Settings, problem: str) -> None:
    await tamper(settings, TAMPERING[problem])
    assert any(problem in found for found in await problems(settings))


@pytest.mark.parametrize("problem", OF_A_BATCH)
async def test_tampering_with_many_events_in_one_row_shows(settings: Settings, problem: str) -> None:
    await tamper(settings, OF_A_BATCH[problem])
    assert any(problem.format(event=SECOND) in found for found in await problems(settings))


async def test_a_batch_that_waits_is_listed_for_who_asks_and_proved_meanwhile(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a batch only what is asked for becomes resources, and what has become one is proved before the rest has."""
    monkeypatch.setattr("fhir_server.audit.listing.AT_ONCE", 0)
    async with running(settings.database_url, audit=True) as server, server.client() as http:
        journal = server.app.state.node.journal
        await journal.add((ORIGIN, Happening("search-type", 1_700_000_000_000_000, query="Patient?x=y"), ("p8", "p9")))
        found = (await http.get("/AuditEvent?patient=Patient/p9")).json()
        assert found["total"] == 1
        nine = found["entry"][0]["resource"]["id"]
        database = server.app.state.node.database
        waiting = [each for each in await audit.waiting(database, audit.SEALED, 9) if b"p9" in bytes(each["content"])]
        (batch,) = waiting
        events = events_of(batch["event_id"], bytes(batch["content"]))
        assert list(await audit.kept(database, list(events))) == [nine]
        while await audit.unsigned(database):
            await asyncio.sleep(0.02)
    assert await problems(settings) == []
    await tamper(settings, f"UPDATE resource SET content = {{replaced}} WHERE resource_id = '{nine}'")
    assert await problems(settings) == [f"AuditEvent/{nine} was changed"]


async def test_an_event_put_in_later_shows(settings: Settings) -> None:
    async with open_node(settings) as node:
        seal = (await audit.seals(node.database, 1, 1))[0]
        async with node.database.transaction() as transaction:
            forged = dict(row(9)) | {"position": seal.first - 1, "state": audit.SEALED, "seal": 2, "digest": b"0" * 32}
            await transaction.execute(audit.INSERT, forged)
            await transaction.execute(
                text("UPDATE audit_seal SET first = first - 1, count = 2 WHERE seal = 2"),
            )
    assert await problems(settings) != []


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    async with open_node(settings) as node:
        yield node.database


class Away:
    """A database that cannot be written until it is back."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.away = True

    def transaction(self) -> Any:
        if self.away:
            raise Unavailable("away")
        return self.database.transaction()


async def test_what_waits_outlasts_a_database_that_is_away(database: Database) -> None:
    seam = Away(database)
    journal = Journal(seam)  # type: ignore[arg-type]
    await journal.add(noted(5))
    with pytest.raises(Unavailable):
        await journal.add(noted(6), at_once=True)
    await journal.add(noted(7))
    seam.away = False
    await journal.flush()
    assert await unsealed(database) == ["5", "6", "7"]


async def unsealed(database: Database) -> list[str]:
    """The patients of the events that no seal holds, in order."""
    rows = await audit.waiting(database, audit.UNSEALED, 100)
    found = [events_of(row["event_id"], bytes(row["content"])) for row in rows]
    return [event["entity"][-1]["what"]["reference"].partition("/")[2] for some in found for event in some.values()]


class Answerless:
    """A database whose answer to the first commit is lost."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.lost = 0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        async with self.database.transaction() as transaction:
            yield transaction
        self.lost += 1
        if self.lost == 1:
            raise Unavailable("gone")


async def test_a_commit_whose_answer_was_lost_is_not_repeated(database: Database) -> None:
    journal = Journal(Answerless(database))  # type: ignore[arg-type]
    await journal.add(noted(5))
    with pytest.raises(Unavailable):
        await journal.add(noted(6), at_once=True)
    await journal.add(noted(7), at_once=True)
    assert await unsealed(database) == ["5", "6", "7"]


async def test_who_reads_waits_when_too_many_events_wait(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "MOST_WAITING", 3)
    journal = Journal(database)
    for n in range(3):
        await journal.add(noted(n))
    assert await unsealed(database) == []
    await journal.add(noted(3))
    assert await unsealed(database) == ["0", "1", "2", "3"]


async def test_many_events_are_a_few_rows_that_say_who_asked_once(database: Database) -> None:
    journal = Journal(database)
    for n in range(MOST_IN_A_BATCH + 1):
        await journal.add(noted(n))
    await journal.flush()
    rows = await audit.waiting(database, audit.UNSEALED, 100)
    assert [bytes(row["content"]).count(b"anna") for row in rows] == [1, 1]
    assert len(await unsealed(database)) == MOST_IN_A_BATCH + 1
