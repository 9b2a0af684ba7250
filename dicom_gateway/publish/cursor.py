"""A durable cursor over the FHIR server's Task history: how the gateway hears of work, whatever happened meanwhile.

Each look begins some seconds before the newest version seen, because a transaction may commit after a later one; what
comes twice is known by Task id and version. Rows are written in the transaction that moves the cursor on.
"""

import logging
import time
from datetime import datetime, timedelta

import httpx
from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from dicom_gateway import retrieve
from dicom_gateway.errors import NotFound
from dicom_gateway.index.exchange import publication, task_cursor
from dicom_gateway.index.models import outbox
from dicom_gateway.publish import late
from dicom_gateway.publish.codes import case_of, input_of, is_case, is_task, reference_of
from dicom_gateway.publish.exchange import Exchange
from dicom_gateway.publish.fhir import FhirError, Resource
from dicom_gateway.routing import plan
from konsil.database import reader
from konsil.outbox import Again, Job, NewJob, enqueue

KIND = "cursor"
NAME = "Task"
OVERLAP_SECONDS = 20
PAUSE_SECONDS = 5.0
logger = logging.getLogger(__name__)


def start(connection: Connection) -> None:
    """See that the cursor runs: one row, for ever."""
    connection.execute(enqueue(outbox, connection.dialect.name, NewJob(KIND, {}, KIND, order_key=KIND)))


def step(exchange: Exchange, job: Job) -> Again:
    """Look once; a server that does not answer is asked again soon, without end."""
    with exchange.gateway.engine.begin() as connection:
        late.notice(connection)
    try:
        look(exchange)
    except (httpx.HTTPError, FhirError) as error:
        status = error.status if isinstance(error, FhirError) else type(error).__name__
        logger.warning("the FHIR server gave no Task history: %s", status)
        return Again(PAUSE_SECONDS)
    return Again(exchange.gateway.settings.poll_seconds)


def look(exchange: Exchange) -> int:
    """Read what is new, oldest first; gives how many versions there were.  Raises FhirError, httpx.HTTPError."""
    engine = exchange.gateway.engine
    with reader(engine).begin() as connection:
        since = connection.execute(select(task_cursor.c.since).where(task_cursor.c.name == NAME)).scalar()
    parameters = {"_count": "200"} | ({"_since": earlier(since)} if since else {})
    versions = list(exchange.fhir.history(exchange.system, "Task/_history", parameters))
    if versions:
        with engine.begin() as connection:
            for task in reversed(versions):
                take(connection, task)
            newest = max((task["meta"]["lastUpdated"] for task in versions), key=datetime.fromisoformat)
            move(connection, newest)
    return len(versions)


def earlier(moment: str) -> str:
    """The moment from which to look again."""
    return (datetime.fromisoformat(moment) - timedelta(seconds=OVERLAP_SECONDS)).isoformat()


def move(connection: Connection, since: str) -> None:
    """Keep how far we are."""
    row = {"name": NAME, "since": since}
    insert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(task_cursor)
    connection.execute(insert.values(row).on_conflict_do_update(index_elements=["name"], set_=row))


def take(connection: Connection, task: Resource) -> None:
    """Turn one version of a Task into a job, once."""
    status, version = task.get("status"), f"{task['id']}/{task['meta']['versionId']}"
    payload: dict[str, object] = {"task_id": task["id"]}
    order = f"publish:{task['id']}"
    if is_task(task, "imaging-retrieval") and status == "requested":
        job = NewJob("want", payload | wanted(task), f"want:{version}", order)
    elif is_task(task, "imaging-retrieval") and status == "cancelled":
        job = NewJob("unwant", payload, f"unwant:{version}", order)
    elif is_task(task, "reconciliation") and status == "completed":
        job = NewJob("decide", payload, f"decide:{version}", order)
    else:
        if is_case(task):
            plan.notice(connection, task)
        return
    connection.execute(enqueue(outbox, connection.dialect.name, job))


def wanted(task: Resource) -> dict[str, str]:
    """What a retrieval Task asks for."""
    return {
        "peer": str(input_of(task, "peer") or ""),
        "study_instance_uid": str(input_of(task, "study-instance-uid") or ""),
        "case_reference": case_of(task),
        "patient_reference": reference_of(task.get("for")),
        "focus_reference": reference_of(task.get("focus")),
        "priority": str(task.get("priority") or "routine"),
    }


def want(exchange: Exchange, job: Job) -> None:
    """A study is asked for, or asked for again: note whose it will be, and fetch it."""
    payload = {name: str(value) for name, value in job.payload.items()}
    peer, priority = payload.pop("peer"), payload.pop("priority", "routine")  # jobs of earlier versions have none
    if peer == retrieve.MEDIA:  # it is here already
        return
    fresh = {"state": "retrieving", "decision": "", "updated_at": time.time()}
    with exchange.gateway.engine.begin() as connection:
        insert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(publication)
        row = insert.values(payload | fresh | {"revision": 0})
        connection.execute(row.on_conflict_do_update(index_elements=["task_id"], set_=fresh))
        retrieve.request(connection, payload["task_id"], peer, payload["study_instance_uid"], priority=priority)


def unwant(exchange: Exchange, job: Job) -> None:
    """A study is no longer wanted."""
    with exchange.gateway.engine.begin() as connection:
        try:
            retrieve.cancel(connection, str(job.payload["task_id"]))
        except NotFound:
            logger.info("a retrieval that never began is cancelled")
