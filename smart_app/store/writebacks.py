"""What became of each signed report on its way into the hospital's record, and the cursor that finds new ones."""

import json
import time
from dataclasses import dataclass

from sqlalchemy import Engine, delete, insert, select, update

from konsil.database import lock_transaction, reader
from konsil.outbox import NewJob, enqueue
from smart_app.store.models import cursor, outbox, writeback


@dataclass(frozen=True, slots=True)
class Writeback:
    """State of one report's way into one hospital's record."""

    case_id: str
    report: str
    tenant: str
    state: str
    detail: str
    document: str | None
    updated_at: float


class WritebackStore:
    """Reads and writes of write-back states and of the cursor."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.reads = reader(engine)

    def of_case(self, case_id: str) -> list[Writeback]:
        """All write-backs of a case, newest first."""
        statement = select(writeback).where(writeback.c.case_id == case_id).order_by(writeback.c.updated_at.desc())
        with self.reads.connect() as connection:
            return [_writeback(row) for row in connection.execute(statement)]

    def record(self, key: tuple[str, str], state: str, detail: str, document: str | None = None) -> None:
        """Note how far the write-back of (case, report) came."""
        mine = (writeback.c.case_id == key[0], writeback.c.report == key[1])
        values = {"state": state, "detail": detail, "document": document, "updated_at": time.time()}
        with self.engine.begin() as connection:
            connection.execute(update(writeback).where(*mine).values(values))

    def send_again(self, case_id: str) -> bool:
        """Make the failed write-backs of a case due again; False when none had failed."""
        failed = (writeback.c.case_id == case_id, writeback.c.state == "failed")
        with self.engine.begin() as connection:
            keys = connection.execute(select(writeback.c.outbox_key).where(*failed)).scalars().all()
            due = {"state": "due", "attempts": 0, "next_attempt_at": time.time()}
            connection.execute(update(outbox).where(outbox.c.dedupe_key.in_(keys)).values(due))
            values = {"state": "waiting", "detail": "Sent again.", "updated_at": time.time()}
            connection.execute(update(writeback).where(*failed).values(values))
        return bool(keys)

    def position(self, name: str) -> tuple[str | None, set[str]]:
        """Where a cursor stands: the moment to ask from, and the versions already handled since."""
        with self.reads.connect() as connection:
            row = connection.execute(select(cursor).where(cursor.c.name == name)).first()
        return (row.since, set(json.loads(row.seen))) if row else (None, set())

    def advance(self, name: str, since: str, seen: set[str], found: list[tuple[NewJob, dict[str, str]]]) -> None:
        """Move a cursor and enqueue what it found, in one transaction: nothing is lost between the two."""
        with self.engine.begin() as connection:
            lock_transaction(connection, f"cursor {name}")
            for job, row in found:
                connection.execute(enqueue(outbox, self.engine.dialect.name, job))
                known = (writeback.c.case_id == row["case_id"], writeback.c.report == row["report"])
                if connection.execute(select(writeback.c.state).where(*known)).first() is None:
                    values = {**row, "state": "waiting", "detail": "", "outbox_key": job.dedupe_key}
                    connection.execute(insert(writeback).values(**values, updated_at=time.time()))
            connection.execute(delete(cursor).where(cursor.c.name == name))
            connection.execute(insert(cursor).values(name=name, since=since, seen=json.dumps(sorted(seen))))


def _writeback(row: object) -> Writeback:
    names = ("case_id", "report", "tenant", "state", "detail", "document", "updated_at")
    return Writeback(**{name: getattr(row, name) for name in names})
