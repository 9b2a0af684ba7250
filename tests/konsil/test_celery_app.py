"""The doorbell over real brokers: heard, not heard, and unneeded."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE

import pytest
from celery import Celery
from sqlalchemy import Engine, MetaData, Table, select

from konsil.celery_app import BrokerSettings, create_celery, notify, run_worker
from konsil.database import sync_engine
from konsil.outbox import NewJob, Runner, enqueue, outbox_table
from tests.konsil.worker_process import program

SCRIPT = Path(__file__).with_name("worker_process.py")
SELDOM = 300.0


@dataclass
class Site:
    """A program's folder, database and broker, and the web side's end of both."""

    folder: Path
    engine: Engine
    table: Table
    broker: BrokerSettings

    def celery(self) -> Celery:
        return program(str(self.engine.url), self.broker, self.folder / "log")

    def add(self, number: int) -> None:
        job = NewJob("work", {"number": number}, f"job {number}")
        with self.engine.begin() as connection:
            connection.execute(enqueue(self.table, "sqlite", job))

    def done(self) -> int:
        with self.engine.begin() as connection:
            return len(connection.execute(select(self.table).where(self.table.c.state == "done")).all())

    def wait_for(self, count: int, seconds: float = 20) -> float:
        started = time.monotonic()
        while self.done() < count:
            assert time.monotonic() < started + seconds, (self.folder / "errors").read_text()
            time.sleep(0.02)
        return time.monotonic() - started

    @contextmanager
    def worker(self, sweep_seconds: float) -> Iterator["subprocess.Popen[bytes]"]:
        url = self.engine.url.render_as_string(hide_password=False).replace("+pysqlite", "")
        arguments = [url, self.broker.url, str(self.broker.directory), str(sweep_seconds), str(self.folder / "log")]
        with (self.folder / "errors").open("wb") as errors:
            process = subprocess.Popen([sys.executable, str(SCRIPT), *arguments], stdout=PIPE, stderr=errors)
        try:
            yield process
        finally:
            process.terminate()
            said, _ = process.communicate(timeout=10)
            assert process.returncode == 0
            assert said.split()[-1] == b"released"


@pytest.fixture(params=["filesystem", "redis"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    url = "filesystem://" if request.param == "filesystem" else str(request.getfixturevalue("redis_url"))
    yield from make_site(tmp_path, url)


def make_site(folder: Path, broker_url: str) -> Iterator[Site]:
    engine = sync_engine(f"sqlite:///{folder}/test.db")
    metadata = MetaData()
    table = outbox_table(metadata)
    metadata.create_all(engine)
    yield Site(folder, engine, table, BrokerSettings(broker_url, folder / "broker"))
    engine.dispose()


def test_a_ring_makes_the_worker_run_the_outbox_at_once(site: Site) -> None:
    celery = site.celery()
    with site.worker(SELDOM):
        site.add(0)
        notify(celery)
        site.wait_for(1)
        for number in range(1, 4):
            site.add(number)
            notify(celery)
            assert site.wait_for(number + 1) < 2


def test_rings_from_before_the_worker_started_are_heard(site: Site) -> None:
    celery = site.celery()
    for number in range(20):
        site.add(number)
        notify(celery)
    with site.worker(SELDOM):
        site.wait_for(20)
    assert sorted(map(int, (site.folder / "log").read_text().split())) == list(range(20))


def test_the_sweep_finds_what_no_ring_told(site: Site) -> None:
    with site.worker(0.2):
        site.add(1)
        site.wait_for(1)


def test_without_a_broker_the_sweep_works_and_the_doorbell_blocks_nobody(tmp_path: Path, free_port) -> None:
    for site in make_site(tmp_path, f"redis://127.0.0.1:{free_port()}/0"):
        celery = site.celery()
        with site.worker(0.5):
            site.add(1)
            started = time.monotonic()
            for _ in range(100):
                notify(celery)
            assert time.monotonic() - started < 0.5
            site.wait_for(1)


def test_a_worker_s_logs_are_json_lines(site: Site) -> None:
    with site.worker(0.2):
        site.add(1)
        site.wait_for(1)
    entries = [json.loads(line) for line in (site.folder / "errors").read_text().splitlines()]
    assert {entry["program"] for entry in entries} <= {"test"}


def never() -> Runner:
    raise AssertionError("a web process makes no runner")


def test_a_broker_that_cannot_be_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="amqp"):
        create_celery("test", BrokerSettings("amqp://127.0.0.1"), never)
    with pytest.raises(ValueError, match="folder"):
        create_celery("test", BrokerSettings("filesystem://"), never)
    with pytest.raises(TypeError):
        run_worker(Celery("other"))
