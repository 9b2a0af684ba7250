"""Retention: which studies may be deleted, and deleting them with a trace.

A study is kept while its rule has no days set, while it is younger than those, while a case that it came for is open or
ended less long ago, while it waits for a decision or is being sent, and while a legal hold stands.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, Table, delete, func, select, update

from dicom_gateway.errors import GatewayError
from dicom_gateway.gateway import Gateway
from dicom_gateway.index.exchange import forwarded_instance, forwarding, publication, version_metadata
from dicom_gateway.index.models import instance, outbox, patient, series, set_aside, study, unindexed, version
from dicom_gateway.keeping.holds import Act, held, trace
from dicom_gateway.publish import codes
from dicom_gateway.publish.arrival import study_resource
from dicom_gateway.publish.exchange import Exchange
from dicom_gateway.publish.fhir import FhirError, Resource
from konsil.database import lock_transaction, reader
from konsil.outbox import Again, Job, NewJob, enqueue

RETRACT, REMOVE = "retract-study", "remove-objects"
DAY_SECONDS, FRESH_SECONDS = 86_400.0, 3600.0
BUSY = ("retrieving", "arrived", "waiting", "deciding")
GONE = frozenset({404, 410})


class Kept(GatewayError):
    """A study that may not be deleted now; the text says why."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How many days a study is kept: what a case got to see, and what never was released."""

    released_days: int | None
    unreleased_days: int | None


def due(exchange: Exchange | None, gateway: Gateway) -> Iterator[str]:
    """The studies that may be deleted now, oldest first."""
    newest = func.max(instance.c.received_at)
    query = select(study.c.study_instance_uid).join(instance, instance.c.study_id == study.c.id)
    with reader(gateway.engine).connect() as connection:
        uids = connection.execute(query.group_by(study.c.study_instance_uid).order_by(newest)).scalars().all()
    for uid in uids:
        if why_kept(exchange, gateway, uid) is None:
            yield uid


def why_kept(exchange: Exchange | None, gateway: Gateway, study_instance_uid: str) -> str | None:
    """Why a study may not be deleted, None when it may.  Raises FhirError, httpx.HTTPError: then nobody knows."""
    with reader(gateway.engine).begin() as connection:
        reason = _held_here(connection, gateway, study_instance_uid)
        mine = publication.c.study_instance_uid == study_instance_uid
        cases = set(connection.execute(select(publication.c.case_reference).where(mine)).scalars())
    if reason is not None:
        return reason
    if cases and exchange is None:
        return "whether its case is open cannot be asked"
    for case in sorted(cases):
        if exchange is not None and _is_open(exchange, case, _days(gateway, "released") or 0):
            return "a case that it came for is open, or ended less long ago than the rule says"
    return None


def _held_here(connection: Connection, gateway: Gateway, uid: str) -> str | None:
    """What the index alone says."""
    if held(connection, uid) is not None:
        return "a legal hold stands"
    of_study = select(study.c.id).where(study.c.study_instance_uid == uid).scalar_subquery()
    query = select(func.max(instance.c.received_at), func.count()).where(instance.c.study_id == of_study)
    newest, number = connection.execute(query).one()
    if not number:
        return "there is no such study"
    released = connection.execute(query.where(instance.c.state == "released")).one()[1]
    days = _days(gateway, "released" if released else "unreleased")
    if days is None:
        return "no rule lets it be deleted"
    if newest > time.time() - days * DAY_SECONDS:
        return f"it came less than {days} days ago"
    waits = (publication.c.study_instance_uid == uid) & publication.c.state.in_(BUSY)
    if connection.execute(select(func.count()).select_from(publication).where(waits)).scalar_one():
        return "it waits for a decision"
    sending = (forwarding.c.study_instance_uid == uid) & forwarding.c.state.in_(("due", "sending"))
    if connection.execute(select(func.count()).select_from(forwarding).where(sending)).scalar_one():
        return "it is being sent on"
    return None


def _days(gateway: Gateway, which: str) -> int | None:
    settings = gateway.settings
    return settings.retention_days if which == "released" else settings.unreleased_retention_days


def _is_open(exchange: Exchange, case: str, days: int) -> bool:
    try:
        task = exchange.fhir.read(exchange.system, case)
    except FhirError as error:
        if error.status in GONE:
            return False
        raise
    ended = datetime.fromisoformat(task["meta"]["lastUpdated"]).timestamp()
    return task.get("status") not in codes.ENDED or ended > time.time() - days * DAY_SECONDS


def remove(exchange: Exchange | None, gateway: Gateway, act: Act) -> int:
    """Delete a study by the rules; the objects go when nothing names them.  Tells how many instances.  Raises Kept."""
    uid = act.study_instance_uid
    reason = why_kept(exchange, gateway, uid)
    if reason is not None:
        raise Kept(f"The study is kept: {reason}.")
    with gateway.engine.begin() as connection:
        lock_transaction(connection, "dicom index")
        reason = _held_here(connection, gateway, uid)  # whoever placed a hold meanwhile was first
        if reason is not None:
            raise Kept(f"The study is kept: {reason}.")
        number, objects = _rows_away(connection, uid)
        trace(connection, gateway, act, "delete", json.dumps(objects, separators=(",", ":")))
        moved = update(publication).where(publication.c.study_instance_uid == uid)
        connection.execute(moved.values(state="deleted", updated_at=time.time()))
        name = f"{uid}:{time.time_ns()}"
        jobs = [NewJob(REMOVE, {"keys": sorted({str(each[3]) for each in objects})}, f"{REMOVE}:{name}")]
        if gateway.settings.mode == "gateway":
            jobs.append(NewJob(RETRACT, {"study_instance_uid": uid, "reason": act.reason}, f"{RETRACT}:{name}"))
        for job in jobs:
            connection.execute(enqueue(outbox, connection.dialect.name, job))
    return number


def _rows_away(connection: Connection, uid: str) -> tuple[int, list[list[object]]]:
    """Delete the rows of a study; gives how many instances, and what their objects were."""
    row = connection.execute(select(study).where(study.c.study_instance_uid == uid)).mappings().one()
    mine = select(instance.c.id).where(instance.c.study_id == row["id"])
    columns = (version.c.kind, version.c.content_hash, version.c.object_key, version.c.size)
    joined = select(instance.c.sop_instance_uid, *columns).join(version, version.c.instance_id == instance.c.id)
    objects = [list(each) for each in connection.execute(joined.where(instance.c.study_id == row["id"]))]
    versions = select(version.c.id).where(version.c.instance_id.in_(mine))
    keys = select(version.c.object_key).where(version.c.instance_id.in_(mine))
    connection.execute(delete(version_metadata).where(version_metadata.c.object_key.in_(keys)))
    connection.execute(delete(forwarded_instance).where(forwarded_instance.c.version_id.in_(versions)))
    connection.execute(delete(version).where(version.c.instance_id.in_(mine)))
    number = connection.execute(delete(instance).where(instance.c.study_id == row["id"])).rowcount
    connection.execute(delete(series).where(series.c.study_id == row["id"]))
    connection.execute(delete(study).where(study.c.id == row["id"]))
    for owner in {row["patient_id"], row["source_patient_id"]}:
        others = (study.c.patient_id == owner) | (study.c.source_patient_id == owner)
        if not connection.execute(select(func.count()).select_from(study).where(others)).scalar_one():
            connection.execute(delete(patient).where(patient.c.id == owner))
    return number, objects


def remove_objects(gateway: Gateway, job: Job) -> Again | None:
    """Take objects out of the archive that nothing names any more; one that came again meanwhile stays.  Repeatable."""
    left = False
    with gateway.ingest.standing_still():
        for key in job.payload["keys"]:
            path = gateway.archive.path(str(key))
            with reader(gateway.engine).connect() as connection:
                tables: tuple[Table, ...] = (version, unindexed, set_aside)
                counts = [select(func.count()).select_from(each).where(each.c.object_key == key) for each in tables]
                named = sum(connection.execute(each).scalar_one() for each in counts)
            if named or not path.exists():
                continue
            if path.stat().st_mtime > time.time() - FRESH_SECONDS:  # it may just be coming once more
                left = True
            else:
                path.unlink()
    return Again(FRESH_SECONDS) if left else None


def retract(exchange: Exchange, job: Job) -> None:
    """Say in the ImagingStudy that its images are gone, and why.  Raises FhirError, httpx.HTTPError."""
    resource = study_resource(exchange, str(job.payload["study_instance_uid"]))
    if resource is not None:
        text = f"The images were deleted: {job.payload['reason']}"

        def gone(found: Resource) -> Resource | None:
            if found.get("status") == "cancelled" and any(each["text"] == text for each in found.get("note", [])):
                return None
            kept = {name: value for name, value in found.items() if name != "endpoint"}
            said = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "text": text}
            return {**kept, "status": "cancelled", "note": [*found.get("note", []), said]}

        exchange.fhir.amend(exchange.system, f"ImagingStudy/{resource['id']}", gone)
