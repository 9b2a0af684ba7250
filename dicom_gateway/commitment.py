"""Storage commitments: what destinations promise to keep of what we sent, and what we promise to those who sent to us.

PS3.4 Annex J.  A request of ours belongs to a forwarding; what the destination does not keep is forgotten as confirmed,
so that the study sent again carries it.
"""

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.uid import generate_uid
from sqlalchemy import Connection, Engine, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from dicom_gateway.archive import Archive
from dicom_gateway.index.exchange import commitment, forwarded_instance, forwarding
from dicom_gateway.index.models import instance, outbox, version
from konsil.database import reader
from konsil.outbox import NewJob, enqueue

ASK, REPORT = "ask-commitment", "report-commitment"
BATCH = 1000
NO_SUCH_INSTANCE, CLASS_INSTANCE_CONFLICT = 0x0112, 0x0119

Item = tuple[str, str]
Failure = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Report:
    """What is kept of a transaction, and what is not and why.  PS3.4 Table J.3-2"""

    transaction_uid: str
    kept: Sequence[Item]
    failed: Sequence[Failure]


def want(connection: Connection, forwarding_id: int, peer: str) -> None:
    """Have a destination asked to commit itself to all that a forwarding brought there."""
    connection.execute(delete(commitment).where(commitment.c.forwarding_id == forwarding_id))
    sent = (
        select(instance.c.sop_class_uid, instance.c.sop_instance_uid)
        .join(version, version.c.instance_id == instance.c.id)
        .join(forwarded_instance, forwarded_instance.c.version_id == version.c.id)
        .where(forwarded_instance.c.forwarding_id == forwarding_id)
        .distinct()
    )
    items = [list(row) for row in connection.execute(sent)]
    for start in range(0, len(items), BATCH):
        uid = str(generate_uid(prefix=None))
        row = {"forwarding_id": forwarding_id, "state": "asked", "items": json.dumps(items[start : start + BATCH])}
        connection.execute(insert(commitment).values(_new(uid, peer) | row))
        job = NewJob(ASK, {"transaction_uid": uid}, f"{ASK}:{uid}", f"forward:{peer}")
        connection.execute(enqueue(outbox, connection.dialect.name, job))


def take_down(engine: Engine, peer: str, transaction_uid: str, items: Sequence[Item]) -> None:
    """Keep a peer's request and have it answered; asked twice, it is answered twice."""
    with engine.begin() as connection:
        build = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(commitment)
        row = _new(transaction_uid, peer) | {"state": "due", "items": json.dumps([list(item) for item in items])}
        again = {"state": "due", "items": row["items"], "updated_at": row["updated_at"]}
        mine = (commitment.c.peer == peer) & commitment.c.forwarding_id.is_(None)
        connection.execute(
            build.values(row).on_conflict_do_update(index_elements=["transaction_uid"], set_=again, where=mine)
        )
        job = NewJob(REPORT, {"transaction_uid": transaction_uid}, f"{REPORT}:{transaction_uid}:{time.time_ns()}")
        connection.execute(enqueue(outbox, connection.dialect.name, job))


def _new(transaction_uid: str, peer: str) -> dict[str, object]:
    now = time.time()
    return {"transaction_uid": transaction_uid, "peer": peer, "failed": "[]", "created_at": now, "updated_at": now}


def settle(engine: Engine, peer: str, report: Report) -> bool:
    """Keep what a destination reported; says whether we had asked it.  What it left out it does not keep."""
    with engine.begin() as connection:
        row = known(connection, report.transaction_uid)
        if row is None or row["peer"] != peer or row["forwarding_id"] is None:
            return False
        kept = {uid for _, uid in report.kept}
        reasons = {uid: reason for _, uid, reason in report.failed}
        failed = [
            [sop_class, uid, reasons.get(uid, NO_SUCH_INSTANCE)]
            for sop_class, uid in json.loads(row["items"])
            if uid in reasons or uid not in kept
        ]
        change(connection, report.transaction_uid, "failed" if failed else "committed", failed)
        if failed:
            _forget(connection, row["forwarding_id"], [uid for _, uid, _ in failed])
    return True


def _forget(connection: Connection, forwarding_id: int, uids: Sequence[str]) -> None:
    """What a destination does not keep is not confirmed; the record says so."""
    versions = select(version.c.id).join(instance, version.c.instance_id == instance.c.id)
    lost = versions.where(instance.c.sop_instance_uid.in_(uids))
    mine = forwarded_instance.c.forwarding_id == forwarding_id
    connection.execute(delete(forwarded_instance).where(mine, forwarded_instance.c.version_id.in_(lost)))
    said = {
        "state": "failed",
        "sent": forwarding.c.sent - len(uids),
        "cause": f"The destination does not keep {len(uids)} of the objects that it took.",
        "remedy": "Send the study again: only what it lacks is sent. If it persists, ask its administrators.",
    }
    changed = update(forwarding).where(forwarding.c.id == forwarding_id, forwarding.c.state != "cancelled")
    connection.execute(changed.values(updated_at=time.time(), **said))


def known(connection: Connection, transaction_uid: str) -> dict[str, Any] | None:
    """The row of a transaction, None when there is none."""
    found = connection.execute(select(commitment).where(commitment.c.transaction_uid == transaction_uid))
    row = found.mappings().one_or_none()
    return None if row is None else dict(row)


def change(connection: Connection, transaction_uid: str, state: str, failed: Iterable[object] = ()) -> None:
    """Note how a transaction stands."""
    values = {"state": state, "failed": json.dumps(list(failed)), "updated_at": time.time()}
    connection.execute(update(commitment).where(commitment.c.transaction_uid == transaction_uid).values(values))


def judge(engine: Engine, archive: Archive, transaction_uid: str, items: Sequence[Item]) -> Report:
    """See which instances we hold: in the index, of that class, with their bytes in the archive."""
    held: dict[str, tuple[str, str]] = {}
    columns = select(instance.c.sop_instance_uid, instance.c.sop_class_uid, version.c.object_key)
    statement = columns.join(version, instance.c.version_id == version.c.id)
    with reader(engine).begin() as connection:
        for start in range(0, len(items), BATCH):
            uids = [uid for _, uid in items[start : start + BATCH]]
            for row in connection.execute(statement.where(instance.c.sop_instance_uid.in_(uids))):
                held[row.sop_instance_uid] = (row.sop_class_uid, row.object_key)
    kept: list[Item] = []
    failed: list[Failure] = []
    for sop_class, uid in items:
        if uid not in held or not archive.path(held[uid][1]).is_file():
            failed.append((sop_class, uid, NO_SUCH_INSTANCE))
        elif held[uid][0] != sop_class:
            failed.append((sop_class, uid, CLASS_INSTANCE_CONFLICT))
        else:
            kept.append((sop_class, uid))
    return Report(transaction_uid, kept, failed)


def standing(connection: Connection) -> dict[int, str]:
    """How the commitments of each forwarding stand: the worst of their states."""
    found: dict[int, str] = {}
    order = ("committed", "asked", "unanswered", "failed")
    rows = select(commitment.c.forwarding_id, commitment.c.state).where(commitment.c.forwarding_id.is_not(None))
    for forwarding_id, state in connection.execute(rows):
        found[forwarding_id] = max(found.get(forwarding_id, "committed"), state, key=order.index)
    return found
