"""Carrying out what HIM staff decided: accepted objects get the local patient and are released, rejected ones stay
shut.

Steps under a minute each, repeatable: a version made for this decision is not made again, releasing is one transaction,
and the FHIR transaction that follows is conditional on the versions it read.
"""

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial

from sqlalchemy import Connection, select
from sqlalchemy.engine import RowMapping

from dicom_gateway.audit.happened import ACCESSED, Agent, Happened, note, ourselves
from dicom_gateway.coerce import Decision, rewrite
from dicom_gateway.index.exchange import publication
from dicom_gateway.index.models import version
from dicom_gateway.index.query import Located, Place, locate
from dicom_gateway.index.upsert import add_coerced_version, set_state
from dicom_gateway.publish import codes, documents
from dicom_gateway.publish.arrival import enqueue_next, ready, send, study_resource, update_entry, with_study
from dicom_gateway.publish.exchange import Exchange, set_publication
from dicom_gateway.publish.fhir import Resource
from dicom_gateway.reconcile import local_identity
from dicom_gateway.web import dicom_json, metadata
from konsil.database import lock_transaction, reader
from konsil.outbox import Again, Failed, Job, NewJob

STEP_SECONDS = 40.0
BATCH = 16
DEVICE = {
    "resourceType": "Device",
    "id": "gateway",
    "status": "active",
    "deviceName": [{"name": "DICOM gateway", "type": "user-friendly-name"}],
}
AGENT_TYPE = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"


def publication_for(exchange: Exchange, reconciliation_task_id: str) -> RowMapping | None:
    """The publication that a reconciliation Task decides on, None when it is not one of ours."""
    query = select(publication).where(publication.c.reconciliation_task_id == reconciliation_task_id)
    with reader(exchange.gateway.engine).begin() as connection:
        return connection.execute(query).mappings().one_or_none()


def waiting_instances(exchange: Exchange, row: RowMapping) -> list[Located]:
    """Instances the decision is about: quarantined, asked for by some retrieval, and of the study's own patient."""
    with reader(exchange.gateway.engine).begin() as connection:
        found = locate(connection, Place(row["study_instance_uid"]), ("quarantined",))
    return [item for item in found if item.retrieval is not None and item.flag != "other-patient"]


def decide(exchange: Exchange, job: Job) -> Again | None:
    """Carry out one decision.  Raises Failed for a Task that carries none, FhirError, httpx.HTTPError."""
    task = exchange.fhir.read(exchange.system, f"Task/{job.payload['task_id']}")
    row = publication_for(exchange, task["id"])
    if row is None or row["state"] not in {"waiting", "deciding"}:
        return None
    match codes.output_of(task, "decision"):
        case "accept" if filed_elsewhere(exchange, task, row):
            reject(exchange, task, row)
            raise Failed("the study is filed with another patient: that decision has to be reversed first")
        case "accept":
            return accept(exchange, task, row, job)
        case "reject":
            reject(exchange, task, row)
            return None
        case _:
            raise Failed("the completed reconciliation Task carries no decision")


def filed_elsewhere(exchange: Exchange, task: Resource, row: RowMapping) -> bool:
    """Whether the study was accepted for another patient before."""
    study = study_resource(exchange, row["study_instance_uid"])
    if study is None or codes.is_quarantined(study):
        return False
    return codes.reference_of(study.get("subject")) != codes.reference_of(task.get("for"))


def reject(exchange: Exchange, task: Resource, row: RowMapping) -> None:
    """Shut the instances for good, and tell FHIR."""
    uids = [item.sop_instance_uid for item in waiting_instances(exchange, row)]
    with exchange.gateway.engine.begin() as connection:
        lock_transaction(connection, "dicom index")
        set_state(connection, uids, "rejected")
        set_publication(connection, row["task_id"], state="rejected", decision="reject")
        note_decision(connection, exchange, task, (row, len(uids), "rejected"))
        enqueue_next(connection, NewJob("withdraw", dict(task_id=row["task_id"]), f"withdraw:{row['task_id']}"))


def accept(exchange: Exchange, task: Resource, row: RowMapping, job: Job) -> Again | None:
    """Write the local patient into each instance; when all are done, release them together."""
    decision = decision_of(exchange, task)
    with exchange.gateway.engine.begin() as connection:
        set_publication(connection, row["task_id"], state="deciding")
    instances = waiting_instances(exchange, row)
    left = [item for item in instances if item.version_id not in made_for(exchange, instances, task["id"])]
    until = time.monotonic() + STEP_SECONDS
    while left and time.monotonic() < until:
        batch, left = left[:BATCH], left[BATCH:]
        coerce_batch(exchange, batch, decision)
        job.renew()
    if left:
        return Again()
    release(exchange, task, row, [item.sop_instance_uid for item in instances])
    return None


def decision_of(exchange: Exchange, task: Resource) -> Decision:
    """What a completed reconciliation Task decided: whose the instances are now."""
    patient = exchange.fhir.read(exchange.system, codes.reference_of(task.get("for")))
    settings = exchange.gateway.settings
    moment = datetime.fromisoformat(task["meta"]["lastUpdated"]).astimezone(UTC)
    return Decision(local_identity(patient, settings.id_domains), task["id"], moment, settings.ae_title)


def made_for(exchange: Exchange, instances: Iterable[Located], task_id: str) -> frozenset[int]:
    """Versions among the current ones that this very decision has made."""
    ids = [item.version_id for item in instances]
    query = select(version.c.id).where(version.c.decision == task_id, version.c.kind == "coerced")
    with reader(exchange.gateway.engine).begin() as connection:
        return frozenset(connection.execute(query).scalars()) & frozenset(ids)


def coerce_batch(exchange: Exchange, batch: list[Located], decision: Decision) -> None:
    """Some instances: objects first, then their versions and metadata in one transaction."""
    gateway = exchange.gateway
    made = [(item, *rewrite(gateway.archive, item, decision)) for item in batch]
    with gateway.engine.begin() as connection:
        lock_transaction(connection, "dicom index")
        kept = {}
        for item, coerced, header in made:
            add_coerced_version(connection, item.sop_instance_uid, coerced, header)
            has_pixels = coerced.stored.size > coerced.offset and "Rows" in header
            kept[coerced.stored.key] = dicom_json.metadata(header, item.transfer_syntax_uid, has_pixels)
        metadata.keep(connection, kept)


def release(exchange: Exchange, task: Resource, row: RowMapping, uids: list[str]) -> None:
    """Open the doors for all of them at once, and see that FHIR is told."""
    with exchange.gateway.engine.begin() as connection:
        lock_transaction(connection, "dicom index")
        set_state(connection, uids, "released")
        set_publication(connection, row["task_id"], state="deciding", decision="accept")
        note_decision(connection, exchange, task, (row, len(uids), "accepted"))
        enqueue_next(
            connection,
            NewJob("publish", {"task_id": row["task_id"]}, f"publish:{row['task_id']}:{row['reconciliation_task_id']}"),
        )


def note_decision(
    connection: Connection, exchange: Exchange, task: Resource, decided: tuple[RowMapping, int, str]
) -> None:
    """Put down whose decision changed these instances, once.  DICOM 110103, action U"""
    row, instances, decision = decided
    decider = codes.reference_of(task.get("owner"))
    person = Agent(decider or "unknown", reference=decider, asked=True)
    agents = (person, ourselves(exchange.gateway.settings, ""))
    studies = {str(row["study_instance_uid"]): instances}
    patient = codes.reference_of(task.get("for")) if decision == "accepted" else ""
    case = str(row["case_reference"])
    happened = Happened(ACCESSED, "U", agents, studies, problem=decision, patient=patient, case=case)
    note(connection, happened, f"decision:{task['id']}:{task['meta']['versionId']}")


def publish(exchange: Exchange, row: RowMapping) -> None:
    """One transaction: the study becomes the local patient's, Provenance says by whom, the case names it."""
    task = exchange.fhir.read(exchange.system, f"Task/{row['reconciliation_task_id']}")
    case = exchange.fhir.read(exchange.system, row["case_reference"])
    study = study_resource(exchange, row["study_instance_uid"])
    if study is None:
        raise Failed("the ImagingStudy is not there")
    released = released_study(study, codes.reference_of(task.get("for")))
    changed = ready(exchange, with_study(case, f"ImagingStudy/{study['id']}"), frozenset({task["id"], row["task_id"]}))
    entries = [update_entry(released), provenance_entry(task, study)]
    entries += [update_entry(changed)] if changed != case else []
    if codes.is_quarantined(study):
        send(exchange, entries)
    elif changed != case:
        send(exchange, [update_entry(changed)])


def publish_job(exchange: Exchange, job: Job) -> None:
    """Tell FHIR of a released study, then send it on.  Raises Retry, Failed, FhirError, httpx.HTTPError."""
    row = publication_by_task(exchange, str(job.payload["task_id"]))
    publish(exchange, row)
    tell_decision(exchange, row, exchange.fhir.read(exchange.system, f"Task/{row['reconciliation_task_id']}"))
    with exchange.gateway.engine.begin() as connection:
        set_publication(connection, row["task_id"], state="published")
        uid = row["study_instance_uid"]
        job_ = NewJob("forward-study", {"study_instance_uid": uid}, f"forward:{uid}:{row['reconciliation_task_id']}")
        enqueue_next(connection, job_)
        enqueue_next(connection, documents.job(uid, row["case_reference"], str(row["reconciliation_task_id"])))


def tell_decision(exchange: Exchange, row: RowMapping, task: Resource) -> None:
    """Say in the retrieval's Task what was decided, and why: the requester sees that one, and not the other."""
    exchange.fhir.amend(exchange.system, f"Task/{row['task_id']}", partial(with_decision, task))


def with_decision(task: Resource, retrieval: Resource) -> Resource | None:
    """The retrieval's Task with decision and reason; None when it says so already."""
    told = [("decision", "valueCode"), ("reason", "valueString")]
    others = [
        item
        for item in retrieval.get("output", [])
        if not any(codes.has_code(item.get("type"), codes.TASK_OUTPUT, code) for code, _ in told)
    ]
    added = [codes.output(code, **{kind: value}) for code, kind in told if (value := codes.output_of(task, code))]
    changed = {**retrieval, "output": [*others, *added]}
    return None if changed == retrieval else changed


def publication_by_task(exchange: Exchange, task_id: str) -> RowMapping:
    """The publication of a retrieval Task."""
    with reader(exchange.gateway.engine).begin() as connection:
        return connection.execute(select(publication).where(publication.c.task_id == task_id)).mappings().one()


def released_study(study: Resource, patient: str) -> Resource:
    """The study as the local patient's, its label gone."""
    security = [item for item in study.get("meta", {}).get("security", []) if item != codes.QUARANTINED]
    security = [item for item in security if item.get("system") != codes.LABEL]
    meta = {name: value for name, value in study["meta"].items() if name != "security"}
    if security:
        meta["security"] = security
    return {**study, "meta": meta, "subject": {"reference": patient}}


def provenance_entry(task: Resource, study: Resource) -> Resource:
    """Who decided and who rewrote, on what grounds.  https://hl7.org/fhir/R4/provenance.html"""
    agents = [agent("assembler", {"reference": "#gateway"})]
    decider = codes.reference_of(task.get("owner"))
    if decider:
        agents.insert(0, agent("author", {"reference": decider}))
    following = int(study["meta"]["versionId"]) + 1
    resource = {
        "resourceType": "Provenance",
        "contained": [DEVICE],
        "target": [{"reference": f"ImagingStudy/{study['id']}/_history/{following}"}],
        "recorded": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "activity": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-DataOperation", "code": "UPDATE"}]
        },
        "agent": agents,
        "entity": [
            {
                "role": "source",
                "what": {"reference": f"ImagingStudy/{study['id']}/_history/{study['meta']['versionId']}"},
            },
            {"role": "derivation", "what": {"reference": f"Task/{task['id']}"}},
        ],
    }
    full_url = f"urn:uuid:{codes.fresh_id('provenance', task['id'])}"
    return {"fullUrl": full_url, "resource": resource, "request": {"method": "POST", "url": "Provenance"}}


def agent(kind: str, who: Resource) -> Resource:
    """One agent of a Provenance."""
    return {"type": {"coding": [{"system": AGENT_TYPE, "code": kind}]}, "who": who}


def withdraw_job(exchange: Exchange, job: Job) -> None:
    """Tell FHIR of a rejected study; the case goes on without it.  Raises Retry, FhirError, httpx.HTTPError."""
    row = publication_by_task(exchange, str(job.payload["task_id"]))
    study = study_resource(exchange, row["study_instance_uid"])
    if study is not None and codes.is_quarantined(study) and study.get("status") != "cancelled":
        exchange.fhir.amend(exchange.system, f"ImagingStudy/{study['id']}", partial(with_status, "cancelled"))
    tell_decision(exchange, row, exchange.fhir.read(exchange.system, f"Task/{row['reconciliation_task_id']}"))
    case = exchange.fhir.read(exchange.system, row["case_reference"])
    moved = ready(exchange, case, frozenset({str(row["reconciliation_task_id"]), row["task_id"]}))
    if moved != case:
        send(exchange, [update_entry(moved)])


def with_status(status: str, study: Resource) -> Resource | None:
    """The study with another status."""
    return None if study.get("status") == status else {**study, "status": status}
