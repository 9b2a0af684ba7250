"""Telling how a retrieval stands: the outputs, the status and a sentence in its Task; the case's business status.

dimse's side asks for it at most once a second (`retrieval-progress`); what is told is always the newest state.
"""

from functools import partial

from dicom_gateway import retrieve
from dicom_gateway.index.models import outbox
from dicom_gateway.publish import codes
from dicom_gateway.publish.codes import TASK_OUTPUT, output, with_business_status
from dicom_gateway.publish.exchange import Exchange, publication_of, set_publication
from dicom_gateway.publish.fhir import Resource
from dicom_gateway.retrieve import Progress
from konsil.database import reader
from konsil.outbox import Job, NewJob, enqueue

STATUS = {
    "requested": "accepted",
    "listing": "in-progress",
    "fetching": "in-progress",
    "verifying": "in-progress",
    "waiting": "in-progress",
    "completed": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
}
ENDED = frozenset({"completed", "failed", "cancelled"})
OUTPUTS = ("instances-expected", "instances-received", "instances-failed", "completeness", "cause", "remedy")


def tell(exchange: Exchange, job: Job) -> None:
    """Bring the Task to the newest state of its retrieval; when that has ended, see to what arrived.

    Raises FhirError (the row is tried again), httpx.HTTPError.
    """
    task_id = str(job.payload["task_id"])
    row = publication_of(exchange, task_id)
    with reader(exchange.gateway.engine).begin() as connection:
        progress = retrieve.progress(connection, task_id)
    if row["revision"] >= progress.revision:
        return
    exchange.fhir.amend(exchange.system, f"Task/{task_id}", partial(with_progress, progress))
    if row["revision"] == 0:
        exchange.fhir.amend(exchange.system, row["case_reference"], partial(gathering, "awaiting-records"))
    with exchange.gateway.engine.begin() as connection:
        set_publication(connection, task_id, revision=progress.revision)
        if progress.state in ENDED:
            key = f"arrival:{task_id}:{progress.revision}"
            arrival = NewJob("arrival", {"task_id": task_id}, key, f"publish:{task_id}")
            connection.execute(enqueue(outbox, connection.dialect.name, arrival))


def with_progress(progress: Progress, task: Resource) -> Resource | None:
    """The Task as the retrieval now stands; None when it says so already or was ended by somebody else."""
    status = STATUS[progress.state]
    if task.get("status") in {"cancelled", "entered-in-error", "completed"}:
        return None
    others = [
        item
        for item in task.get("output", [])
        if not any(codes.has_code(item.get("type"), TASK_OUTPUT, code) for code in OUTPUTS)
    ]
    changed = {**task, "status": status, "output": [*others, *outputs(progress)]}
    if progress.cause:
        changed["statusReason"] = {"text": progress.cause}
    else:
        changed.pop("statusReason", None)
    return changed if changed != task else None


def outputs(progress: Progress) -> list[Resource]:
    """The counts, and how sure we are of them, as outputs."""
    found = [
        output("instances-received", valueInteger=progress.received),
        output("instances-failed", valueInteger=progress.failed),
    ]
    if progress.expected is not None:
        found.insert(0, output("instances-expected", valueInteger=progress.expected))
    if progress.completeness:
        found.append(output("completeness", valueCode=progress.completeness))
    if progress.cause:
        found.append(output("cause", valueString=progress.cause))
    if progress.remedy:
        found.append(output("remedy", valueString=progress.remedy))
    return found


def gathering(code: str, case: Resource) -> Resource | None:
    """The case with a later business status of its gathering; None when it is past that, or says so already."""
    order = [*codes.GATHERING, "ready-for-triage"]
    now = codes.business_status(case)
    if now not in order[:-1] or order.index(now) >= order.index(code):
        return None
    return with_business_status(case, code)
