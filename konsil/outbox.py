"""The outbox: side effects as rows, written in the transaction of their cause and run at least once, later, by workers.

A row is claimed under a short lease, run, and finished only by whoever still holds the lease; so a killed worker's rows
run again by themselves and no row runs twice at a time.  Rows with one `order_key` run one after the other.
"""

import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any

import httpx
from sqlalchemy import BigInteger, Column, Float, Index, Insert, Integer, MetaData, String, Table, Text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from konsil import outbox_sql
from konsil.http_client import OriginRefused
from konsil.telemetry import OUTBOX_RUNS, logger

_log = logger(__name__)


class OutboxError(Exception):
    """What a handler, or the outbox, says about one row; the root of this module's errors."""


class Retry(OutboxError):
    """Not now: run the row again after `after_seconds`, or after the usual growing pause."""

    def __init__(self, reason: str, after_seconds: float | None = None) -> None:
        """Keep `reason` for the people who look at the row: no personal data in it."""
        super().__init__(reason)
        self.reason = reason
        self.after_seconds = after_seconds


class Failed(OutboxError):
    """Final: the row stays as failed, visible, until somebody sends it again."""

    def __init__(self, reason: str) -> None:
        """Keep `reason` for the people who look at the row: no personal data in it."""
        super().__init__(reason)
        self.reason = reason


class LeaseLost(OutboxError):
    """Somebody else has the row by now, because the lease ran out: stop, and write nothing more."""


@dataclass(frozen=True, slots=True)
class Again:
    """A handler's answer "not finished": run this row again after so many seconds; the attempts start from nothing."""

    after_seconds: float = 0


@dataclass(frozen=True, slots=True)
class NewJob:
    """A row to be written: what to do, and the key under which it is written only once."""

    kind: str
    payload: Mapping[str, object]
    dedupe_key: str
    order_key: str | None = None
    due_at: float | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed row, as a handler gets it; `attempts` counts this one, `renew` keeps the lease for another minute."""

    id: int
    kind: str
    payload: dict[str, Any]
    attempts: int
    renew: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Policy:
    """How long a lease is, how long a step may take without `renew`, and how often and how fast to try again."""

    lease_seconds: float = 15
    step_seconds: float = 60
    max_attempts: int = 100
    longest_pause_seconds: float = 900


type_id = BigInteger().with_variant(Integer, "sqlite")


def outbox_table(metadata: MetaData, name: str = "outbox") -> Table:
    """Define a program's outbox.  Times are seconds of the epoch; `state` is due, done or failed."""
    return Table(
        name,
        metadata,
        Column("id", type_id, primary_key=True, autoincrement=True),
        Column("kind", String(64), nullable=False),
        Column("payload", Text, nullable=False),
        Column("order_key", String(255)),
        Column("dedupe_key", String(255), nullable=False, unique=True),
        Column("attempts", Integer, nullable=False),
        Column("not_before", Float(53), nullable=False),
        Column("next_attempt_at", Float(53), nullable=False),
        Column("leased_until", Float(53)),
        Column("lease_token", String(36)),
        Column("last_error", Text),
        Column("state", String(8), nullable=False),
        Column("created_at", Float(53), nullable=False),
        Index(f"ix_{name}_due", "state", "next_attempt_at"),
        Index(f"ix_{name}_order", "order_key", "state"),
    )


def enqueue(table: Table, dialect: str, job: NewJob) -> Insert:
    """Make the INSERT of a job, to be run in the transaction of its cause.

    It does nothing when there is a row with the same dedupe key already, whatever that row's state.
    """
    now = time.time()
    due_at = now if job.due_at is None else job.due_at
    values = {
        "kind": job.kind,
        "payload": json.dumps(job.payload, separators=(",", ":")),
        "order_key": job.order_key,
        "dedupe_key": job.dedupe_key,
        "attempts": 0,
        "not_before": due_at,
        "next_attempt_at": due_at,
        "state": "due",
        "created_at": now,
    }
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    return insert(table).values(values).on_conflict_do_nothing(index_elements=[table.c.dedupe_key])


Handler = Callable[[Job], Again | None]


@dataclass
class Runner:
    """Runs a program's due rows; any number of runners, threads and processes may share one table."""

    engine: Engine
    table: Table
    handlers: Mapping[str, Callable[[Job], Any]]
    clock: Callable[[], float] = time.time
    policy: Policy = field(default_factory=Policy)
    release: Callable[[], None] | None = None

    def __post_init__(self) -> None:
        """Start unstopped."""
        self._stopped = Event()

    def run_due(self, limit: int = 20) -> int:
        """Run up to `limit` due rows, one after the other, and tell how many.  Raises what SQLAlchemy raises."""
        for count in range(limit):
            if self._stopped.is_set():
                return count
            row = self._claim()
            if row is None:
                return count
            self._run(row)
        return limit

    def stop(self) -> None:
        """Let `run_due` end after the row at hand, for good: the process is going down."""
        self._stopped.set()

    def close(self) -> None:
        """Let go of what the handlers hold (`release`): the last thing a worker does."""
        if self.release is not None:
            self.release()

    def next_due(self) -> float | None:
        """When the earliest waiting row is due, in seconds of the epoch; None when none waits."""
        return outbox_sql.next_due(self.engine, self.table)

    def resend(self, job_id: int) -> bool:
        """Make a failed row due again, attempts from nothing; False when there is no such failed row."""
        return outbox_sql.resend(self.engine, self.table, job_id, self.clock())

    def _claim(self) -> outbox_sql.Lease | None:
        now = self.clock()
        token = str(uuid.uuid4())
        return outbox_sql.claim(self.engine, self.table, outbox_sql.Claim(token, now, now + self.policy.lease_seconds))

    def _run(self, lease: outbox_sql.Lease) -> None:
        heartbeat = _Heartbeat(self, lease)
        with heartbeat:
            changes, outcome = self._outcome(lease, heartbeat.renew)
        OUTBOX_RUNS.labels(kind=lease.kind, outcome=outcome).inc()
        if not outbox_sql.finish(self.engine, self.table, lease, changes):
            _log.warning("outbox row lost to another worker", extra={"job": lease.id, "kind": lease.kind})

    def _outcome(self, lease: outbox_sql.Lease, renew: Callable[[], None]) -> tuple[dict[str, Any], str]:
        """Run the handler; what to write into the row, and the outcome's name."""
        job = Job(lease.id, lease.kind, json.loads(lease.payload), lease.attempts, renew)
        try:
            handler = self.handlers.get(job.kind)
            if handler is None:
                raise Failed(f"nothing here knows how to do {job.kind}")
            again = handler(job)
        except Retry as error:
            return self._later(lease, error.reason, error.after_seconds), "retry"
        except (Failed, OriginRefused) as error:
            return {"state": "failed", "last_error": str(error)}, "failed"
        except LeaseLost:
            return {}, "lost"
        except (httpx.HTTPError, OSError, SQLAlchemyError) as error:
            return self._later(lease, _describe(error)), "retry"
        except Exception as error:  # a fault in one handler must neither stop the other rows nor run hot
            _log.exception("outbox handler broke", extra={"job": lease.id, "kind": lease.kind})
            return self._later(lease, _describe(error)), "broken"
        if isinstance(again, Again):
            return {"attempts": 0, "next_attempt_at": self.clock() + again.after_seconds}, "again"
        return {"state": "done", "last_error": None}, "done"

    def _later(self, lease: outbox_sql.Lease, reason: str, after_seconds: float | None = None) -> dict[str, Any]:
        if lease.attempts >= self.policy.max_attempts:
            return {"state": "failed", "last_error": f"given up after {lease.attempts} attempts: {reason}"}
        if after_seconds is None:
            after_seconds = min(self.policy.longest_pause_seconds, 2.0 ** min(lease.attempts - 1, 16))
        return {"next_attempt_at": self.clock() + after_seconds, "last_error": reason}


def _describe(error: Exception) -> str:
    """Name an error without its text, which may hold personal data."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"HTTP {error.response.status_code} from {error.request.url.host}"
    return type(error).__name__


class _Heartbeat:
    """Keeps one lease while its handler runs, for `step_seconds` after the start or the handler's last `renew`."""

    def __init__(self, runner: Runner, lease: outbox_sql.Lease) -> None:
        self._runner = runner
        self._lease = lease
        self._ended = Event()
        self._until = time.monotonic() + runner.policy.step_seconds
        self._thread = Thread(target=self._beat, name=f"lease-{lease.id}", daemon=True)

    def __enter__(self) -> "_Heartbeat":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def renew(self) -> None:
        """Start another step.  Raises LeaseLost."""
        self._until = time.monotonic() + self._runner.policy.step_seconds
        if not self._extend():
            raise LeaseLost(f"the lease of row {self._lease.id} is lost")

    def _beat(self) -> None:
        while not self._ended.wait(self._runner.policy.lease_seconds / 3) and time.monotonic() < self._until:
            try:
                self._extend()
            except SQLAlchemyError:
                _log.warning("lease not renewed", extra={"job": self._lease.id, "kind": self._lease.kind})

    def _extend(self) -> bool:
        until = self._runner.clock() + self._runner.policy.lease_seconds
        return outbox_sql.extend(self._runner.engine, self._runner.table, self._lease, until)
