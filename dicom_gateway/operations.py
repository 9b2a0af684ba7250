"""What an operator looks after: what waits, what was given up and can be tried again, and how much room there is."""

import shutil
import time
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import Connection, Engine, case, func, select

from dicom_gateway import aside
from dicom_gateway.index.exchange import publication
from dicom_gateway.index.models import instance, outbox, study, version
from dicom_gateway.settings import Settings
from konsil.outbox_sql import resend

MOST_DEAD = 200
WORK: Final = {
    "retrieve": "Fetching studies",
    "forward": "Sending studies",
    "forward-study": "Deciding where released studies go",
    "prefetch": "Sending studies ahead to readers",
    "ask-commitment": "Asking destinations whether they keep what they took",
    "report-commitment": "Telling peers what we keep of theirs",
    "audit": "Telling the audit",
    "audit-received": "Telling the audit what was received",
    "cursor": "Listening to the FHIR server",
    "retrieval-progress": "Telling the FHIR server of retrievals",
    "arrival": "Telling the FHIR server of studies that came",
    "admitted": "Telling the FHIR server of studies that came",
    "decide": "Carrying out decisions",
    "publish": "Releasing studies",
    "withdraw": "Withdrawing studies",
    "late": "Judging images that came late",
    "documents": "Publishing reports found in studies",
    "want": "Taking requests for studies",
    "unwant": "Taking requests back",
}
ENDLESS: Final = ("cursor", "keeping")
"""Rows that are due again and again, for ever: no work waits in them."""
ASK_PEER: Final = "Ask the destination’s administrators, then try it again."
ASK_FHIR: Final = "See that the FHIR server answers and lets the gateway in, then try it again."
REMEDIES: Final = dict.fromkeys(("forward", "ask-commitment", "report-commitment", "retrieve"), ASK_PEER)


@dataclass(frozen=True, slots=True)
class Queue:
    """The rows of one kind: how many wait, since when, how many were tried before, how many were given up."""

    kind: str
    title: str
    waiting: int
    again: int
    failed: int
    oldest: float | None


@dataclass(frozen=True, slots=True)
class Dead:
    """One row that was given up: what it was for, why, since when.  It holds nothing personal."""

    id: int
    kind: str
    title: str
    about: str
    cause: str
    remedy: str
    created_at: float
    attempts: int


def queues(connection: Connection) -> list[Queue]:
    """What waits or was given up, by kind."""
    due, failed = outbox.c.state == "due", outbox.c.state == "failed"
    rows = connection.execute(
        select(
            outbox.c.kind,
            func.sum(case((due, 1), else_=0)).label("waiting"),
            func.sum(case((due & outbox.c.last_error.is_not(None), 1), else_=0)).label("again"),
            func.sum(case((failed, 1), else_=0)).label("failed"),
            func.min(case((due, outbox.c.not_before))).label("oldest"),
        )
        .where(due | failed, outbox.c.kind.not_in(ENDLESS))
        .group_by(outbox.c.kind)
        .order_by(outbox.c.kind)
    )
    return [
        Queue(row.kind, WORK.get(row.kind, row.kind), int(row.waiting), int(row.again), int(row.failed), row.oldest)
        for row in rows
    ]


def dead(connection: Connection) -> list[Dead]:
    """What was given up, newest first."""
    rows = connection.execute(
        select(outbox).where(outbox.c.state == "failed").order_by(outbox.c.id.desc()).limit(MOST_DEAD)
    )
    return [
        Dead(
            id=row.id,
            kind=row.kind,
            title=WORK.get(row.kind, row.kind),
            about=(row.order_key or "").removeprefix("forward:") if row.kind in REMEDIES else "",
            cause=row.last_error or "",
            remedy=REMEDIES.get(row.kind, ASK_FHIR),
            created_at=row.created_at,
            attempts=row.attempts,
        )
        for row in rows
    ]


def retry(engine: Engine, job_id: int) -> bool:
    """Try what was given up once more, from the beginning; False when there is no such thing."""
    return resend(engine, outbox, job_id, time.time())


def status(connection: Connection, settings: Settings) -> dict[str, Any]:
    """What waits in quarantine, what could not be read, and how much room is taken and left."""
    states = select(instance.c.state, func.count(), func.count(instance.c.study_id.distinct()))
    counted = {
        state: {"instances": instances, "studies": studies}
        for state, instances, studies in connection.execute(states.group_by(instance.c.state))
    }
    waiting = select(func.count()).where(publication.c.state == "waiting")
    disk = shutil.disk_usage(settings.data_dir)
    return {name: counted.get(name, {"instances": 0, "studies": 0}) for name in STATES} | {
        "waiting": connection.execute(waiting).scalar_one(),
        "aside": aside.total(connection),
        "studies": connection.execute(select(func.count()).select_from(study)).scalar_one(),
        "bytes": int(connection.execute(select(func.sum(version.c.size))).scalar() or 0),
        "disk_free": disk.free,
        "disk_total": disk.total,
        "ae_title": settings.ae_title,
    }


STATES: Final = ("quarantined", "released", "rejected")


def told(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    """Queues and what was given up, as plain values."""
    return {
        "queues": [asdict(each) for each in queues(connection)],
        "dead": [asdict(each) for each in dead(connection)],
    }
