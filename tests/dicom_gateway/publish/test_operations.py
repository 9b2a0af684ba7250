"""What waits and what was given up: by HTTP, by command, as metrics; on both databases."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from sqlalchemy import Connection, select

from dicom_gateway import operations, route
from dicom_gateway.app import create_app
from dicom_gateway.cli import dicom
from dicom_gateway.gateway import Gateway
from dicom_gateway.index.models import outbox
from dicom_gateway.peers import by_name
from konsil.database import reader
from konsil.outbox import Failed, Job, NewJob, Retry, Runner, enqueue
from tests.dicom_gateway.conftest import know, opened
from tests.dicom_gateway.web.serving import serving
from tests.dicom_gateway.world import World, world


def add(connection: Connection, kind: str, key: str) -> None:
    connection.execute(enqueue(outbox, connection.dialect.name, NewJob(kind, {"n": 1}, key, f"{kind}:reading")))


def given_up(gateway: Gateway, kind: str = "forward") -> int:
    """One that is given up and one that waits; the first's number."""

    def fails(job: Job) -> None:
        raise Failed("reading: peer-down, after 100 attempts")

    def waits(job: Job) -> None:
        raise Retry("HTTP 503", 3600)

    with gateway.engine.begin() as connection:
        add(connection, kind, "one")
        add(connection, "audit", "two")
    Runner(gateway.engine, outbox, {kind: fails, "audit": waits}).run_due()
    with reader(gateway.engine).begin() as connection:
        return int(connection.execute(select(outbox.c.id).where(outbox.c.dedupe_key == "one")).scalar_one())


@pytest.fixture(params=["sqlite", "postgresql"])
def gateway(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Gateway]:
    url = {"database_url": request.getfixturevalue("postgresql_url")} if request.param == "postgresql" else {}
    with opened(tmp_path / "gateway", **url) as made:
        yield made


def test_queues_and_what_was_given_up(gateway: Gateway) -> None:
    number = given_up(gateway)
    with reader(gateway.engine).begin() as connection:
        waiting, failed = operations.queues(connection)
        (dead,) = operations.dead(connection)
    assert (waiting.kind, waiting.waiting, waiting.again, waiting.failed) == ("audit", 1, 1, 0) and waiting.oldest
    assert (failed.kind, failed.waiting, failed.failed, failed.oldest) == ("forward", 0, 1, None)
    assert (dead.id, dead.about, dead.attempts) == (number, "reading", 1) and "peer-down" in dead.cause
    assert operations.retry(gateway.engine, number) and not operations.retry(gateway.engine, number)
    with reader(gateway.engine).begin() as connection:
        assert operations.dead(connection) == []
        assert [each.waiting for each in operations.queues(connection)] == [1, 1]


def test_a_study_sent_again_is_no_longer_given_up(gateway: Gateway) -> None:
    """The new round takes the place of what was given up, for that destination alone."""
    know(gateway, name="reading", ae_title="READING", can=["store"])
    with gateway.engine.begin() as connection:
        for uid in ("1.2.3", "1.2.4"):
            route.plan_one(connection, uid, by_name(connection, "reading"), "")
        connection.execute(outbox.update().values(state="failed"))
        route.plan_one(connection, "1.2.3", by_name(connection, "reading"))
        assert len(operations.dead(connection)) == 1


@pytest.fixture
def up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A FHIR server with people, and a gateway."""
    monkeypatch.setenv("KONSIL_MASTER_KEY", "A" * 43 + "=")
    with world(tmp_path) as found:
        yield found


def test_by_http_by_command_and_as_metrics(up: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """HIM staff read, administrators try again; nobody else sees anything."""
    number = given_up(up.gateway)
    know(up.gateway, name="reading", ae_title="READING", can=["store"])
    with (
        serving(lambda base: create_app(up.gateway)) as base,
        httpx.Client(base_url=base, trust_env=False, timeout=30) as web,
    ):

        def call(who: str, method: str, path: str = "") -> httpx.Response:
            return web.request(method, f"/api/operations{path}", headers={"Authorization": f"Bearer {who}"})

        again = f"/dead/{number}/retry"
        assert {who: call(who, "GET").status_code for who in ("ito", "weber", "silva", "ross")} == {
            "ito": 403,
            "weber": 403,
            "silva": 200,
            "ross": 200,
        }
        shown = call("silva", "GET").json()
        assert [each["kind"] for each in shown["queues"]] == ["audit", "forward"]
        assert shown["dead"][0]["title"] == "Sending studies" and "administrators" in shown["dead"][0]["remedy"]
        told = web.get("/metrics").text
        for line in ('queue_failed{kind="forward"} 1.0', 'queue_waiting{kind="audit"} 1.0', "set_aside 0.0"):
            assert f"konsil_dicom_{line}\n" in told
        assert "konsil_http_requests_total" in told and "konsil_dicom_disk_free_bytes" in told
        assert [call(who, "POST", again).status_code for who in ("silva", "ross", "ross")] == [403, 202, 404]
    monkeypatch.setenv("KONSIL_DICOM_DATA_DIR", str(up.gateway.settings.data_dir))
    monkeypatch.setenv("KONSIL_DICOM_DATABASE_URL", up.gateway.settings.database_url)
    with up.gateway.engine.begin() as connection:
        connection.execute(outbox.update().where(outbox.c.id == number).values(state="failed"))
    assert "reading" in command("peer", "list")
    assert "forward" in command("queue") and "peer-down" in command("dead")
    assert command("retry", str(number)) == f"{number} is tried again\n"
    assert CliRunner().invoke(dicom, ["retry", str(number)]).exit_code == 1


def command(*words: str) -> str:
    result = CliRunner().invoke(dicom, words)
    assert result.exit_code == 0, result.output
    return result.stdout
