"""The outbox on both databases: claim, order, retry, failure, leases, processes."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, MetaData, Row, Table, select

from konsil.database import sync_engine
from konsil.http_client import OriginRefused
from konsil.outbox import Again, Failed, Job, LeaseLost, NewJob, Policy, Retry, Runner, enqueue, outbox_table

SCRIPT = Path(__file__).with_name("outbox_process.py")


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = time.time() + 1

    def __call__(self) -> float:
        return self.now


@dataclass
class Outbox:
    engine: Engine
    table: Table
    clock: Clock
    url: str

    def add(self, key: str, **options: Any) -> None:
        job = NewJob(options.pop("kind", "work"), options.pop("payload", {}), key, **options)
        with self.engine.begin() as connection:
            connection.execute(enqueue(self.table, self.engine.dialect.name, job))

    def runner(self, work: Callable[[Job], object], **options: Any) -> Runner:
        return Runner(self.engine, self.table, {"work": work}, clock=self.clock, **options)

    def rows(self) -> list[Row[Any]]:
        with self.engine.begin() as connection:
            return list(connection.execute(select(self.table).order_by(self.table.c.id)))


@pytest.fixture
def outbox(database_url: str) -> Iterator[Outbox]:
    engine = sync_engine(database_url)
    metadata = MetaData()
    table = outbox_table(metadata)
    metadata.create_all(engine)
    yield Outbox(engine, table, Clock(), database_url)
    engine.dispose()


def test_a_row_runs_once_with_its_payload(outbox: Outbox) -> None:
    outbox.add("a", payload={"task": "Task/1", "name": "Łucja"})
    seen: list[Job] = []
    runner = outbox.runner(seen.append)
    assert (runner.run_due(), runner.run_due()) == (1, 0)
    assert [(job.payload, job.attempts) for job in seen] == [({"task": "Task/1", "name": "Łucja"}, 1)]
    assert [(row.state, row.lease_token, row.leased_until) for row in outbox.rows()] == [("done", None, None)]


def test_one_row_for_a_dedupe_key_also_after_it_is_done(outbox: Outbox) -> None:
    outbox.add("same")
    outbox.add("same")
    seen: list[Job] = []
    outbox.runner(seen.append).run_due()
    outbox.add("same")
    assert outbox.runner(seen.append).run_due() == 0
    assert len(seen) == len(outbox.rows()) == 1


def test_nothing_is_enqueued_when_its_cause_is_rolled_back(outbox: Outbox) -> None:
    with pytest.raises(ZeroDivisionError), outbox.engine.begin() as connection:
        connection.execute(enqueue(outbox.table, outbox.engine.dialect.name, NewJob("work", {}, "a")))
        raise ZeroDivisionError
    assert outbox.rows() == []


def test_a_row_due_later_waits(outbox: Outbox) -> None:
    outbox.add("later", due_at=outbox.clock.now + 100)
    runner = outbox.runner(lambda _: None)
    assert runner.run_due() == 0
    assert runner.next_due() == outbox.clock.now + 100
    outbox.clock.now += 101
    assert runner.run_due() == 1
    assert runner.next_due() is None


@pytest.mark.parametrize(
    ("error", "pause", "reason"),
    [
        (Retry("the peer is busy", 7), 7, "the peer is busy"),
        (Retry("the peer is busy"), 1, "the peer is busy"),
        (httpx.ConnectError("refused by 10.0.0.1"), 1, "ConnectError"),
        (OSError("disk /home/jane is full"), 1, "OSError"),
        (TypeError("a fault, with a patient's name"), 1, "TypeError"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_may_pass_is_tried_again_later(outbox: Outbox, error: Exception, pause: float, reason: str) -> None:
    outbox.add("a")
    errors = iter([error])

    def work(_: Job) -> None:
        for one in errors:
            raise one

    runner = outbox.runner(work)
    assert (runner.run_due(), runner.run_due()) == (1, 0)
    row = outbox.rows()[0]
    assert (row.state, row.attempts, row.next_attempt_at, row.last_error) == ("due", 1, outbox.clock() + pause, reason)
    outbox.clock.now += pause
    assert runner.run_due() == 1
    assert outbox.rows()[0].state == "done"


def test_the_pauses_grow_and_end_as_failed(outbox: Outbox) -> None:
    outbox.add("a")
    pauses = []

    def work(_: Job) -> None:
        raise Retry("down")

    runner = outbox.runner(work, policy=Policy(max_attempts=5, longest_pause_seconds=5))
    while outbox.rows()[0].state == "due":
        assert runner.run_due() == 1
        pauses.append(outbox.rows()[0].next_attempt_at - outbox.clock())
        outbox.clock.now += max(pauses[-1], 0)
    assert pauses[:4] == pytest.approx([1, 2, 4, 5], abs=1e-5)
    assert outbox.rows()[0].last_error == "given up after 5 attempts: down"


@pytest.mark.parametrize("error", [Failed("no such patient there"), OriginRefused("not configured")], ids=repr)
def test_a_final_failure_stays_visible_and_can_be_sent_again(outbox: Outbox, error: Exception) -> None:
    outbox.add("a")
    errors = iter([error])

    def work(_: Job) -> None:
        for one in errors:
            raise one

    runner = outbox.runner(work)
    assert (runner.run_due(), runner.run_due()) == (1, 0)
    row = outbox.rows()[0]
    assert (row.state, row.last_error) == ("failed", str(error))
    assert (runner.resend(row.id), runner.resend(row.id)) == (True, False)
    assert runner.run_due() == 1
    assert outbox.rows()[0].state == "done"


def test_an_unknown_kind_fails_visibly(outbox: Outbox) -> None:
    outbox.add("a", kind="unheard-of")
    outbox.runner(lambda _: None).run_due()
    assert outbox.rows()[0].last_error == "nothing here knows how to do unheard-of"


def test_again_runs_the_same_row_without_counting(outbox: Outbox) -> None:
    outbox.add("a")
    attempts = []

    def work(job: Job) -> Again | None:
        attempts.append(job.attempts)
        return Again(5) if len(attempts) < 3 else None

    runner = outbox.runner(work)
    for _ in range(3):
        assert (runner.run_due(), runner.run_due()) == (1, 0)
        outbox.clock.now += 5
    assert attempts == [1, 1, 1]
    assert outbox.rows()[0].state == "done"


def test_a_retrying_row_holds_back_its_order_key_and_nothing_else(outbox: Outbox) -> None:
    for key, order_key in (("a1", "a"), ("a2", "a"), ("b1", "b"), ("free", None)):
        outbox.add(key, order_key=order_key, payload={"key": key})
    seen = []
    broken = True

    def work(job: Job) -> None:
        seen.append(job.payload["key"])
        if job.payload["key"] == "a1" and broken:
            raise Retry("down", 10)

    runner = outbox.runner(work)
    runner.run_due()
    assert seen == ["a1", "b1", "free"]
    broken = False
    outbox.clock.now += 10
    runner.run_due()
    assert seen[3:] == ["a1", "a2"]


def test_a_timer_does_not_hold_back_its_order_key(outbox: Outbox) -> None:
    outbox.add("timer", order_key="case", due_at=outbox.clock.now + 1000)
    outbox.add("now", order_key="case")
    assert outbox.runner(lambda _: None).run_due() == 1
    assert [row.state for row in outbox.rows()] == ["due", "done"]


def test_whoever_lost_the_lease_writes_nothing(outbox: Outbox) -> None:
    outbox.add("a")
    other = outbox.runner(lambda _: None)
    told = []

    def slow(job: Job) -> None:
        outbox.clock.now += 100  # the lease runs out, another runner takes the row and finishes it
        assert other.run_due() == 1
        try:
            job.renew()
        except LeaseLost:
            told.append("lost")
            raise

    outbox.runner(slow).run_due()
    row = outbox.rows()[0]
    assert (told, row.state, row.attempts) == (["lost"], "done", 2)


def test_a_handler_longer_than_its_lease_keeps_the_row(outbox: Outbox) -> None:
    outbox.add("a")
    policy = Policy(lease_seconds=0.3)
    seen = []
    other = Runner(outbox.engine, outbox.table, {"work": seen.append}, policy=policy)

    def slow(_: Job) -> None:
        for _turn in range(8):
            time.sleep(0.1)
            assert other.run_due() == 0

    Runner(outbox.engine, outbox.table, {"work": slow}, policy=policy, clock=time.time).run_due()
    assert (seen, outbox.rows()[0].state) == ([], "done")


def test_a_stopped_runner_ends_after_the_row_at_hand(outbox: Outbox) -> None:
    outbox.add("a")
    outbox.add("b")
    runner = outbox.runner(lambda _: runner.stop())
    assert runner.run_due() == 1
    assert [row.state for row in outbox.rows()] == ["done", "due"]


def start(outbox: Outbox, log: Path, seconds: float) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, str(SCRIPT), outbox.url, str(log), str(seconds)])


def lines(log: Path) -> list[list[str]]:
    return [line.split() for line in log.read_text().splitlines()] if log.exists() else []


def test_two_processes_never_run_one_row_twice_nor_one_order_key_at_once(outbox: Outbox, tmp_path: Path) -> None:
    for number in range(60):
        group = f"g{number % 3}" if number % 2 else None
        outbox.add(f"job {number}", order_key=group, payload={"group": group})
    log = tmp_path / "log"
    processes = [start(outbox, log, 0.02) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    counts = Counter(tuple(line) for line in lines(log))
    assert len(counts) == 120
    assert set(counts.values()) == {1}
    for group in ("g0", "g1", "g2"):
        events = [(line[0], line[1]) for line in lines(log) if line[2] == group]
        ids = sorted({int(number) for _, number in events})
        assert events == [(word, str(number)) for number in ids for word in ("start", "end")]


def test_a_killed_worker_s_row_runs_again_when_its_lease_is_over(outbox: Outbox, tmp_path: Path) -> None:
    outbox.add("a")
    log = tmp_path / "log"
    victim = start(outbox, log, 60)
    deadline = time.monotonic() + 30
    while not lines(log) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait(10)
    killed = time.monotonic()
    seen: list[Job] = []
    runner = Runner(outbox.engine, outbox.table, {"work": seen.append})
    assert runner.run_due() == 0
    while not runner.run_due() and time.monotonic() < killed + 10:
        time.sleep(0.05)
    assert time.monotonic() - killed < 3
    assert [(job.id, job.attempts) for job in seen] == [(1, 2)]
