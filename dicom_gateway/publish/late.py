"""Instances that come after HIM staff have decided: they inherit the decision only when they are surely the same
person's.

Surely means that id, issuer, name, birth date and sex equal those that were reviewed (rule 5 of the case).  Anything
else stays in quarantine, flagged.
"""

from functools import partial

from sqlalchemy import Connection, func, select, update

from dicom_gateway.index.exchange import publication
from dicom_gateway.index.models import instance, outbox, version
from dicom_gateway.index.query import Located, Place, locate
from dicom_gateway.index.upsert import set_state
from dicom_gateway.publish import documents
from dicom_gateway.publish.arrival import content_of, enqueue_next, study_resource
from dicom_gateway.publish.decision import BATCH, coerce_batch, decision_of, publication_by_task, waiting_instances
from dicom_gateway.publish.exchange import Exchange
from dicom_gateway.publish.fhir import Resource
from dicom_gateway.publish.imaging_study import StudyContent, imaging_study
from dicom_gateway.reconcile import Identity, outside_identity
from dicom_gateway.web.frames import read_header
from konsil.database import lock_transaction, reader
from konsil.outbox import Job, NewJob, enqueue

REBUILT = ("modality", "series", "numberOfSeries", "numberOfInstances")


def notice(connection: Connection) -> None:
    """Make a job for each decided study to which instances have come since."""
    newest = func.max(instance.c.id)
    query = (
        select(publication.c.task_id, newest.label("newest"))
        .join(instance, instance.c.retrieval == publication.c.task_id)
        .where(
            publication.c.state == "published", instance.c.state == "quarantined", instance.c.flag != "other-patient"
        )
        .group_by(publication.c.task_id)
    )
    for row in connection.execute(query):
        job = NewJob("late", {"task_id": row.task_id}, f"late:{row.task_id}:{row.newest}", f"late:{row.task_id}")
        connection.execute(enqueue(outbox, connection.dialect.name, job))


def inherit(exchange: Exchange, job: Job) -> None:
    """Release late instances of the very same identity, and tell FHIR; flag the others.

    Raises FhirError, httpx.HTTPError.
    """
    row = publication_by_task(exchange, str(job.payload["task_id"]))
    late = waiting_instances(exchange, row)
    reviewed = reviewed_identity(exchange, row["study_instance_uid"])
    same = [item for item in late if reviewed is not None and identity_of(exchange, item) == reviewed]
    flag(exchange, [item.sop_instance_uid for item in late if item not in same])
    if same:
        task = exchange.fhir.read(exchange.system, f"Task/{row['reconciliation_task_id']}")
        decision = decision_of(exchange, task)
        for start in range(0, len(same), BATCH):
            coerce_batch(exchange, same[start : start + BATCH], decision)
            job.renew()
        release(exchange, row["study_instance_uid"], [item.sop_instance_uid for item in same], str(job.id))
    tell(exchange, row["study_instance_uid"])
    with exchange.gateway.engine.begin() as connection:
        uid = row["study_instance_uid"]
        enqueue_next(connection, documents.job(uid, row["case_reference"], f"late:{job.id}"))


def identity_of(exchange: Exchange, item: Located) -> Identity:
    """Who an instance says the patient is."""
    with exchange.gateway.archive.open(item.object_key) as stream:
        return outside_identity(read_header(stream))


def reviewed_identity(exchange: Exchange, study_instance_uid: str) -> Identity | None:
    """Who the released instances said the patient is, before they were rewritten."""
    with reader(exchange.gateway.engine).begin() as connection:
        released = locate(connection, Place(study_instance_uid))
        originals = select(version.c.object_key).join(instance, instance.c.id == version.c.instance_id)
        for item in released[:1]:
            of_item = (instance.c.sop_instance_uid == item.sop_instance_uid) & (version.c.kind == "original")
            key = connection.execute(originals.where(of_item)).scalar()
            return identity_of(exchange, item._replace(object_key=key or item.object_key))
    return None


def flag(exchange: Exchange, uids: list[str]) -> None:
    """Mark instances that name somebody else: they wait for a person."""
    with exchange.gateway.engine.begin() as connection:
        marked = update(instance).where(instance.c.sop_instance_uid.in_(uids))
        connection.execute(marked.values(flag="other-patient"))


def release(exchange: Exchange, study_instance_uid: str, uids: list[str], round_: str) -> None:
    """Open the doors for late instances, and send them on."""
    with exchange.gateway.engine.begin() as connection:
        lock_transaction(connection, "dicom index")
        set_state(connection, uids, "released")
        payload = {"study_instance_uid": study_instance_uid}
        enqueue_next(connection, NewJob("forward-study", payload, f"forward:{study_instance_uid}:late:{round_}"))


def tell(exchange: Exchange, study_instance_uid: str) -> None:
    """Bring the ImagingStudy to what is released now."""
    study = study_resource(exchange, study_instance_uid)
    with reader(exchange.gateway.engine).begin() as connection:
        content = content_of(connection, study_instance_uid, ("released",))
    if study is not None and content is not None:
        change = partial(with_content, content, exchange.gateway.settings.time_zone)
        exchange.fhir.amend(exchange.system, f"ImagingStudy/{study['id']}", change)


def with_content(content: StudyContent, zone: str, study: Resource) -> Resource | None:
    """The study with its series and counts as they are now; None when nothing changed."""
    fresh = imaging_study(content, zone)
    changed = {**study, **{name: fresh[name] for name in REBUILT if name in fresh}}
    return None if changed == study else changed
