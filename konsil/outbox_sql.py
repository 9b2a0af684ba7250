"""The outbox's statements: claim, extend, finish, resend.  Each is one short transaction of its own."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, and_, func, or_, select, update
from sqlalchemy.engine import CursorResult, Engine

from konsil.database import lock_transaction, reader


@dataclass(frozen=True, slots=True)
class Claim:
    """A wish for one row: the token to claim it with, the present time, and how long to hold it."""

    token: str
    now: float
    until: float


@dataclass(frozen=True, slots=True)
class Lease:
    """A row held by a runner until its lease ends."""

    id: int
    kind: str
    payload: str
    attempts: int
    token: str


def claim(engine: Engine, table: Table, wish: Claim) -> Lease | None:
    """Take the longest-due row that nobody holds and nothing of its order key holds back; None when there is none.

    Claims go one at a time: two at once could each take a row of one order key without seeing the other's.
    """
    columns = (table.c.id, table.c.kind, table.c.payload, table.c.attempts)
    with engine.begin() as connection:
        lock_transaction(connection, f"claim {table.name}")
        chosen = _next_row(table, wish.now).scalar_subquery()
        taken = (
            update(table)
            .where(table.c.id == chosen)
            .values(lease_token=wish.token, leased_until=wish.until, attempts=table.c.attempts + 1)
            .returning(*columns)
        )
        row = connection.execute(taken).one_or_none()
    return None if row is None else Lease(row.id, row.kind, row.payload, row.attempts, wish.token)


def extend(engine: Engine, table: Table, lease: Lease, until: float) -> bool:
    """Hold the row longer; False when it is no longer held by this lease."""
    return _change_held(engine, table, lease, {"leased_until": until})


def finish(engine: Engine, table: Table, lease: Lease, changes: dict[str, Any]) -> bool:
    """Write the outcome and let go of the row; False, and nothing written, when it is no longer held by this lease."""
    return _change_held(engine, table, lease, {**changes, "leased_until": None, "lease_token": None})


def resend(engine: Engine, table: Table, job_id: int, now: float) -> bool:
    """Make a failed row due again; False when there is no such failed row."""
    again = update(table).where(table.c.id == job_id, table.c.state == "failed")
    with engine.begin() as connection:
        done = connection.execute(again.values(state="due", attempts=0, next_attempt_at=now, not_before=now))
        return _rows(done) == 1


def next_due(engine: Engine, table: Table) -> float | None:
    """The earliest `next_attempt_at` of rows that wait; None when none waits."""
    waiting = table.c.state == "due", table.c.lease_token.is_(None)
    with reader(engine).connect() as connection:
        earliest: float | None = connection.execute(select(func.min(table.c.next_attempt_at)).where(*waiting)).scalar()
        return earliest


def _next_row(table: Table, now: float) -> Select[Any]:
    """The row to claim: due, not held, and no row of its order key held or waiting before it."""
    other = table.alias("other")
    first = and_(other.c.id < table.c.id, other.c.not_before <= now)
    holds_back = (
        select(other.c.id)
        .where(other.c.order_key == table.c.order_key, other.c.state == "due", other.c.id != table.c.id)
        .where(or_(other.c.leased_until > now, first))
        .exists()
    )
    return (
        select(table.c.id)
        .where(table.c.state == "due", table.c.next_attempt_at <= now, _free(table, now), ~holds_back)
        .order_by(table.c.next_attempt_at, table.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )


def _free(table: Table, now: float) -> ColumnElement[bool]:
    return or_(table.c.leased_until.is_(None), table.c.leased_until <= now)


def _change_held(engine: Engine, table: Table, lease: Lease, values: dict[str, Any]) -> bool:
    held = update(table).where(table.c.id == lease.id, table.c.lease_token == lease.token, table.c.state == "due")
    with engine.begin() as connection:
        return _rows(connection.execute(held.values(**values))) == 1


def _rows(result: Any) -> int:
    assert isinstance(result, CursorResult)  # noqa: S101 - narrows the type for rowcount
    return int(result.rowcount)
