"""What arrived is published in quarantine: outside Patient, ImagingStudy, and the Task that asks HIM staff to decide.

One transaction with conditional creates: killed and run again, it makes nothing twice.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.engine import RowMapping

from dicom_gateway import retrieve
from dicom_gateway.index.exchange import publication
from dicom_gateway.index.models import outbox
from dicom_gateway.index.query import Query, find
from dicom_gateway.publish import codes, imaging_study
from dicom_gateway.publish.codes import IDENTIFIER, QUARANTINED, coded, fresh_id
from dicom_gateway.publish.exchange import Exchange, publication_of, set_publication
from dicom_gateway.publish.fhir import FhirError, Resource
from dicom_gateway.publish.imaging_study import StudyContent
from dicom_gateway.publish.progress import gathering
from konsil.database import reader
from konsil.outbox import Again, Job, NewJob, Retry, enqueue

HELD = ("quarantined", "released")
WAIT_SECONDS = 10.0
CONFLICTS = frozenset({409, 412})


def content_of(connection: Connection, study_instance_uid: str, states: tuple[str, ...]) -> StudyContent | None:
    """A study as the index has it, None when it holds no instance in one of these states."""
    match = {"StudyInstanceUID": study_instance_uid}
    found = find(connection, Query("STUDY", match, states=states))
    if not found:
        return None
    series = find(connection, Query("SERIES", match, states=states))
    return StudyContent(found[0], list(series), list(find(connection, Query("IMAGE", match, states=states))))


def arrive(exchange: Exchange, job: Job) -> Again | None:
    """Publish what a retrieval brought; what is ours already joins the case without another decision.

    Waits while another case's decision on the same images is open. Raises FhirError, httpx.HTTPError, Retry.
    """
    row = publication_of(exchange, str(job.payload["task_id"]))
    if row["state"] not in {"retrieving", "arrived"}:
        return None
    with reader(exchange.gateway.engine).begin() as connection:
        quarantined = content_of(connection, row["study_instance_uid"], ("quarantined",))
        released = content_of(connection, row["study_instance_uid"], ("released",))
        waiting = other_states(connection, row)
    if "deciding" in waiting or (quarantined is not None and waiting):
        return Again(WAIT_SECONDS)
    if quarantined is not None:
        ask_to_decide(exchange, row, quarantined)
    elif released is not None:
        join(exchange, row, released)
    else:
        nothing_came(exchange, row)
    return None


def other_states(connection: Connection, row: RowMapping) -> frozenset[str]:
    """Where other retrievals of the same study stand that somebody is deciding on: waiting, deciding."""
    same = publication.c.study_instance_uid == row["study_instance_uid"]
    states = publication.c.state.in_(("waiting", "deciding"))
    query = select(publication.c.state).where(same, states, publication.c.task_id != row["task_id"])
    return frozenset(connection.execute(query).scalars())


def ask_to_decide(exchange: Exchange, row: RowMapping, content: StudyContent) -> None:
    """Outside Patient, study and Task in one transaction, with the case's status; then the publication waits."""
    wait_for(exchange, row, quarantine_entries(exchange, row, content))


def wait_for(exchange: Exchange, row: RowMapping, entries: list[Resource]) -> None:
    """Send what asks HIM staff, the Task last, with the case's status; then the publication waits."""
    case = exchange.fhir.read(exchange.system, row["case_reference"])
    moved = gathering("reconciling", case)
    answers = send(exchange, [*entries, update_entry(moved)] if moved is not None else entries)
    task_id = located(answers[len(entries) - 1])
    with exchange.gateway.engine.begin() as connection:
        set_publication(connection, row["task_id"], state="waiting", reconciliation_task_id=task_id)


def quarantine_entries(exchange: Exchange, row: RowMapping, content: StudyContent) -> list[Resource]:
    """Conditional creates of Patient, Endpoint, ImagingStudy and Task, in this order."""
    settings, uid = exchange.gateway.settings, row["study_instance_uid"]
    urls = {
        name: f"urn:uuid:{fresh_id(name, uid, row['task_id'])}" for name in ("patient", "endpoint", "study", "task")
    }
    patient = imaging_study.outside_patient(content.study, uid)
    endpoint = imaging_study.endpoint(settings.base_url)
    study = {
        **imaging_study.imaging_study(content, settings.time_zone),
        "meta": {"security": [QUARANTINED]},
        "subject": {"reference": urls["patient"]},
        "endpoint": [{"reference": urls["endpoint"]}],
    }
    task = reconciliation_task(row, urls, content, source_of(exchange, row))
    return [
        create_entry(urls["patient"], patient, patient["identifier"][0]),
        create_entry(urls["endpoint"], endpoint, endpoint["identifier"][0]),
        create_entry(urls["study"], study, study["identifier"][0]),
        create_entry(urls["task"], task, task["identifier"][0]),
    ]


def source_of(exchange: Exchange, row: RowMapping) -> str:
    """The archive that the study came from, as people call it."""
    with reader(exchange.gateway.engine).connect() as connection:
        return retrieve.sender(connection, row["task_id"])[0]


def reconciliation_task(row: RowMapping, urls: dict[str, str], content: StudyContent, source: str) -> Resource:
    """The Task by which HIM staff decide whose study this is."""
    title = imaging_study.text(content.study, "00081030") or "Outside imaging"
    outside = {"type": coded(codes.TASK_INPUT, "outside-patient"), "valueReference": {"reference": urls["patient"]}}
    wanted = {"type": coded(codes.TASK_INPUT, "study-instance-uid"), "valueString": row["study_instance_uid"]}
    return {
        "resourceType": "Task",
        "identifier": [
            {"system": f"{IDENTIFIER}/reconciliation", "value": f"{row['study_instance_uid']}/{row['task_id']}"}
        ],
        "status": "requested",
        "intent": "order",
        "code": coded(codes.TASK_CODE, "reconciliation"),
        "description": title,
        "authoredOn": datetime.now(UTC).isoformat(timespec="seconds"),
        "partOf": [{"reference": row["case_reference"]}],
        "focus": {"reference": urls["study"]},
        "for": {"reference": row["patient_reference"]},
        "input": [outside, wanted, {"type": coded(codes.TASK_INPUT, "peer"), "valueString": source}],
    }


def create_entry(full_url: str, resource: Resource, identifier: Resource) -> Resource:
    """A conditional create by an identifier.  http.html#ccreate"""
    criteria = f"identifier={identifier['system']}|{identifier['value']}"
    request = {"method": "POST", "url": resource["resourceType"], "ifNoneExist": criteria}
    return {"fullUrl": full_url, "resource": resource, "request": request}


def update_entry(resource: Resource) -> Resource:
    """An update that fails when somebody wrote in between."""
    url = f"{resource['resourceType']}/{resource['id']}"
    request = {"method": "PUT", "url": url, "ifMatch": f'W/"{resource["meta"]["versionId"]}"'}
    return {"fullUrl": url, "resource": resource, "request": request}


def send(exchange: Exchange, entries: list[Resource]) -> list[Resource]:
    """The transaction; somebody else's write in between makes it begin anew, soon."""
    try:
        return exchange.fhir.transaction(exchange.system, entries)
    except FhirError as error:
        if error.status in CONFLICTS:
            raise Retry("another write came in between", 1) from error
        raise


def located(entry: Resource) -> str:
    """The id in the location of a transaction's answer."""
    return str(entry["response"]["location"]).split("/_history/", maxsplit=1)[0].rstrip("/").rsplit("/", maxsplit=1)[-1]


def join(exchange: Exchange, row: RowMapping, content: StudyContent) -> None:
    """The study is released already: for the same patient it joins the case, for another a person has to look."""
    study = study_resource(exchange, row["study_instance_uid"])
    if study is None:
        nothing_came(exchange, row)
        return
    if codes.reference_of(study.get("subject")) != row["patient_reference"]:
        ask_whose(exchange, row, study, content)
        return
    case = exchange.fhir.read(exchange.system, row["case_reference"])
    attach(exchange, case, f"ImagingStudy/{study['id']}", row["task_id"])
    with exchange.gateway.engine.begin() as connection:
        set_publication(connection, row["task_id"], state="published")


def ask_whose(exchange: Exchange, row: RowMapping, study: Resource, content: StudyContent) -> None:
    """The study is filed with another patient here: a Task that asks HIM staff which of the two is wrong.

    Nothing is opened by it, and nobody but they learns whose the study is.
    """
    uid = row["study_instance_uid"]
    patient = imaging_study.outside_patient(content.study, uid)
    urls = {name: f"urn:uuid:{fresh_id(name, uid, row['task_id'])}" for name in ("patient", "task")}
    urls["study"] = f"ImagingStudy/{study['id']}"
    task = reconciliation_task(row, urls, content, source_of(exchange, row))
    entries = [create_entry(urls["patient"], patient, patient["identifier"][0])]
    wait_for(exchange, row, [*entries, create_entry(urls["task"], task, task["identifier"][0])])


def attach(exchange: Exchange, case: Resource, reference: str, retrieval_task_id: str) -> None:
    """Name a study in the case and move the case on if nothing else is open."""
    changed = with_study(case, reference)
    moved = ready(exchange, changed, frozenset({retrieval_task_id}))
    if moved != case:
        send(exchange, [update_entry(moved)])


def with_study(case: Resource, reference: str) -> Resource:
    """The case with one more imaging study among its inputs."""
    known = codes.values(case.get("input", []), codes.TASK_INPUT, "imaging-study")
    if any(codes.reference_of(item) == reference for item in known if isinstance(item, dict)):
        return case
    added = {"type": coded(codes.TASK_INPUT, "imaging-study"), "valueReference": {"reference": reference}}
    return {**case, "input": [*case.get("input", []), added]}


def ready(exchange: Exchange, case: Resource, done: frozenset[str]) -> Resource:
    """The case ready for triage when none of its retrievals and reconciliations is open but those in `done`."""
    children = exchange.fhir.search(exchange.system, "Task", {"part-of": f"Task/{case['id']}", "_count": "100"})
    kinds = ("imaging-retrieval", "reconciliation", "record-request")
    mine = [task for task in children if any(codes.is_task(task, kind) for kind in kinds) and task["id"] not in done]
    if any(task.get("status") not in codes.ENDED for task in mine):
        return case
    return gathering("ready-for-triage", case) or case


def nothing_came(exchange: Exchange, row: RowMapping) -> None:
    """The retrieval brought nothing: the case goes on without it."""
    case = exchange.fhir.read(exchange.system, row["case_reference"])
    moved = ready(exchange, case, frozenset({row["task_id"]}))
    if moved != case:
        send(exchange, [update_entry(moved)])
    with exchange.gateway.engine.begin() as connection:
        set_publication(connection, row["task_id"], state="failed")


def study_resource(exchange: Exchange, study_instance_uid: str) -> Resource | None:
    """The ImagingStudy of a study, None when there is none."""
    identifier = codes.study_identifier(study_instance_uid)
    found: list[dict[str, Any]] = exchange.fhir.search(
        exchange.system, "ImagingStudy", {"identifier": f"{identifier['system']}|{identifier['value']}"}
    )
    return found[0] if found else None


def enqueue_next(connection: Connection, job: NewJob) -> None:
    """A further step, in the transaction of its cause."""
    connection.execute(enqueue(outbox, connection.dialect.name, job))
