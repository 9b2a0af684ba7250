"""The state of retrievals in SQL: what is expected, what is here, how it stands.

What is here is asked of the index, never counted along the way; so a restart finds the truth.
"""

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, delete, func, insert, or_, select, update

from dicom_gateway.errors import NotFound
from dicom_gateway.index.models import (
    association,
    instance,
    outbox,
    retrieval,
    retrieval_instance,
    retrieval_series,
    series,
    study,
    version,
)
from dicom_gateway.status import SENTENCES, Cause
from konsil.outbox import NewJob, enqueue

PROGRESS_KIND: Final = "retrieval-progress"
ENDED: Final = ("completed", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Retrieval:
    """One row of `retrieval`."""

    task_id: str
    peer: str
    study_instance_uid: str
    state: str
    method: str
    expected: int | None
    received: int
    failed: int
    completeness: str | None
    cause: str | None
    detail: str | None
    attempts: int
    rounds: int
    listing: str
    revision: int
    cancel_requested: bool
    created_at: float
    priority: int

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self.state in ENDED


@dataclass(frozen=True, slots=True)
class Expected:
    """One instance that the peer announced."""

    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str


@dataclass(frozen=True, slots=True)
class Series:
    """One series of a retrieval; `expected` is the peer's own count, None when it gives none."""

    series_instance_uid: str
    expected: int | None
    state: str


def load(connection: Connection, task_id: str) -> Retrieval:
    """Read one retrieval; raises NotFound."""
    columns = [retrieval.c[field.name] for field in fields(Retrieval)]
    row = connection.execute(select(*columns).where(retrieval.c.task_id == task_id)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"no retrieval for task {task_id}")
    return Retrieval(**row)


def change(connection: Connection, task_id: str, **values: Any) -> None:
    """Change a retrieval in a way that others should see: the revision grows and a progress job is enqueued."""
    statement = update(retrieval).where(retrieval.c.task_id == task_id)
    statement = statement.values(**values, revision=retrieval.c.revision + 1, updated_at=time.time())
    revision = connection.execute(statement.returning(retrieval.c.revision)).scalar_one()
    job = NewJob(
        kind=PROGRESS_KIND,
        payload={"task_id": task_id, "revision": revision},
        dedupe_key=f"{PROGRESS_KIND}:{task_id}:{revision}",
        order_key=f"{PROGRESS_KIND}:{task_id}",
    )
    connection.execute(enqueue(outbox, connection.dialect.name, job))


def more_urgent(connection: Connection, row: Retrieval, since: float) -> bool:
    """Whether a study of higher priority is under way, or about to be: one that has shown life since then."""
    under_way = retrieval.c.state.not_in((*ENDED, "waiting")) & (retrieval.c.updated_at > since)
    query = select(retrieval.c.task_id).where(under_way, retrieval.c.priority > row.priority).limit(1)
    return connection.execute(query).first() is not None


def sentences(cause: str | None, names: Mapping[str, object]) -> tuple[str | None, str | None]:
    """Say a cause and its remedy in a sentence each."""
    if cause is None:
        return None, None
    told, remedy = SENTENCES[Cause(cause)]
    return told.format(**names), remedy.format(**names)


def _held() -> ColumnElement[bool]:
    """An instance counts as here when somebody asked for it, or it is released already; not when it was rejected."""
    asked = instance.c.retrieval.is_not(None) & (instance.c.state == "quarantined")
    return or_(asked, instance.c.state == "released")


def count_received(connection: Connection, row: Retrieval) -> int:
    """Count what is here: of the announced instances, or of the study when none were announced by UID."""
    if row.listing == "instances":
        joined = retrieval_instance.join(instance, instance.c.sop_instance_uid == retrieval_instance.c.sop_instance_uid)
        query = select(func.count()).select_from(joined).where(retrieval_instance.c.task_id == row.task_id, _held())
    else:
        joined = instance.join(study, study.c.id == instance.c.study_id)
        of_study = study.c.study_instance_uid == row.study_instance_uid
        query = select(func.count()).select_from(joined).where(of_study, _held())
    return connection.execute(query).scalar_one()


def bytes_received(connection: Connection, task_id: str) -> int:
    """How much came for a retrieval, in bytes, as it came."""
    joined = instance.join(version, version.c.instance_id == instance.c.id)
    query = select(func.coalesce(func.sum(version.c.size), 0)).select_from(joined)
    came = query.where(instance.c.retrieval == task_id, version.c.kind == "original")
    return int(connection.execute(came).scalar_one())


def count_series(connection: Connection, study_instance_uid: str) -> dict[str, int]:
    """Count what is here of each series."""
    joined = instance.join(series, series.c.id == instance.c.series_id).join(study, study.c.id == series.c.study_id)
    query = select(series.c.series_instance_uid, func.count()).select_from(joined)
    grouped = query.where(study.c.study_instance_uid == study_instance_uid, _held())
    rows = connection.execute(grouped.group_by(series.c.series_instance_uid))
    return {uid: number for uid, number in rows}


def missing(connection: Connection, task_id: str, series_instance_uid: str | None = None) -> list[Expected]:
    """List the announced instances that are not here yet."""
    here = select(instance.c.id).where(instance.c.sop_instance_uid == retrieval_instance.c.sop_instance_uid, _held())
    query = select(
        retrieval_instance.c.series_instance_uid,
        retrieval_instance.c.sop_instance_uid,
        retrieval_instance.c.sop_class_uid,
    ).where(retrieval_instance.c.task_id == task_id, ~here.exists())
    if series_instance_uid is not None:
        query = query.where(retrieval_instance.c.series_instance_uid == series_instance_uid)
    ordered = query.order_by(retrieval_instance.c.series_instance_uid, retrieval_instance.c.sop_instance_uid)
    return [Expected(**row) for row in connection.execute(ordered).mappings()]


def expected_instances(connection: Connection, task_id: str) -> list[Expected]:
    """List all announced instances."""
    names = [field.name for field in fields(Expected)]
    query = select(*(retrieval_instance.c[name] for name in names)).where(retrieval_instance.c.task_id == task_id)
    return [Expected(**row) for row in connection.execute(query).mappings()]


def expect(connection: Connection, task_id: str, announced: Iterable[Series], instances: Iterable[Expected]) -> None:
    """Write down what the peer announced, beside what is written already."""
    known_series = {item.series_instance_uid for item in all_series(connection, task_id)}
    known = {item.sop_instance_uid for item in expected_instances(connection, task_id)}
    new_series = {item.series_instance_uid: item for item in announced if item.series_instance_uid not in known_series}
    new = {item.sop_instance_uid: item for item in instances if item.sop_instance_uid not in known}
    if new_series:
        rows = [
            {"task_id": task_id, "series_instance_uid": uid, "expected": item.expected, "state": item.state}
            for uid, item in new_series.items()
        ]
        connection.execute(insert(retrieval_series), rows)
    if new:
        connection.execute(
            insert(retrieval_instance),
            [
                {
                    "task_id": task_id,
                    "sop_instance_uid": item.sop_instance_uid,
                    "series_instance_uid": item.series_instance_uid,
                    "sop_class_uid": item.sop_class_uid,
                }
                for item in new.values()
            ],
        )


def forget(connection: Connection, task_id: str) -> None:
    """Drop what was announced, before the peer is asked from the start."""
    for table in (retrieval_instance, retrieval_series):
        connection.execute(delete(table).where(table.c.task_id == task_id))


def all_series(connection: Connection, task_id: str) -> list[Series]:
    """List the announced series, in the order of their UIDs."""
    query = select(retrieval_series.c.series_instance_uid, retrieval_series.c.expected, retrieval_series.c.state)
    ordered = query.where(retrieval_series.c.task_id == task_id).order_by(retrieval_series.c.series_instance_uid)
    return [Series(**row) for row in connection.execute(ordered).mappings()]


def set_series(connection: Connection, task_id: str, uids: Collection[str], state: str) -> None:
    """Mark series as due or fetched."""
    of_task = (retrieval_series.c.task_id == task_id) & retrieval_series.c.series_instance_uid.in_(uids)
    connection.execute(update(retrieval_series).where(of_task).values(state=state))


def associations_since(connection: Connection, address_or_peer: tuple[set[str], str], moment: float) -> set[str]:
    """Tell how associations ended that a peer opened with us since a moment: the outcomes."""
    addresses, peer = address_or_peer
    theirs = or_(association.c.peer == peer, association.c.address.in_(addresses))
    query = select(association.c.outcome).where(theirs, association.c.started_at >= moment)
    return set(connection.execute(query.distinct()).scalars())
