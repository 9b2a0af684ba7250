"""Taking an uploaded medium in: its files into quarantine, its studies to HIM staff as arrivals of the case.

Killed and run again, it doubles nothing: equal bytes are known, and each study's Task is created conditionally.
"""

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects import postgresql, sqlite

from dicom_gateway.audit.happened import IMPORT, Agent, Happened, note, ourselves
from dicom_gateway.import_files import (
    Door,
    Entry,
    Imported,
    Limits,
    MediumRefused,
    import_entries,
    is_zip,
    novelty,
    opened,
)
from dicom_gateway.imports.uploads import For, Upload, change, file_of, find, folder_of
from dicom_gateway.index.exchange import publication
from dicom_gateway.index.models import instance, retrieval, study
from dicom_gateway.ingest import Source
from dicom_gateway.publish import codes
from dicom_gateway.publish.arrival import create_entry, located, send
from dicom_gateway.publish.exchange import Exchange
from dicom_gateway.publish.fhir import Resource
from dicom_gateway.retrieval import state
from dicom_gateway.retrieve import MEDIA
from konsil.database import lock_transaction, reader
from konsil.outbox import Job

MOST_NAMED = 50
TOLD_SECONDS = 1.0


def take(exchange: Exchange, job: Job) -> None:
    """Take one upload in and say what became of it.  Raises FhirError, httpx.HTTPError: then it is done again."""
    upload = find(exchange.gateway, str(job.payload["id"]))
    if upload.state not in {"waiting", "importing"}:
        return
    with exchange.gateway.engine.begin() as connection:
        change(connection, upload, "waiting", state="importing")
    since = folder_of(exchange.gateway, upload.id).stat().st_mtime  # no file has been added since it was complete
    try:
        imported = files_into_quarantine(exchange, upload, job)
    except MediumRefused as error:
        finish(exchange, upload, "failed", {"problem": str(error)})
        return
    with reader(exchange.gateway.engine).connect() as connection:
        result = told(imported) | asdict(novelty(connection, imported, since))
    for uid, uids in imported.studies.items():
        hand_over(exchange, upload, uid, len(uids))
        job.renew()
    finish(exchange, upload, "done", result, {uid: len(uids) for uid, uids in imported.studies.items()})


def marker(upload: Upload) -> str:
    """What instances of an upload name as their retrieval until their study has a Task."""
    return f"import:{upload.id}"


def files_into_quarantine(exchange: Exchange, upload: Upload, job: Job) -> Imported:
    """Every file through the door of all imports; a lone ZIP archive is looked into.  Raises MediumRefused."""
    gateway, last = exchange.gateway, 0.0

    def seen(number: int) -> None:
        nonlocal last
        job.renew()
        if time.monotonic() > last + TOLD_SECONDS:
            last = time.monotonic()
            with gateway.engine.begin() as connection:
                change(connection, upload, "importing", done=number)

    door = Door(gateway.ingest, Source(peer="import", retrieval=marker(upload)), seen)
    with entries_of(exchange, upload) as entries:
        return import_entries(door, entries)


@contextmanager
def entries_of(exchange: Exchange, upload: Upload) -> Iterator[Any]:
    """The files under the names that they had on the medium."""
    paths = [(name, file_of(exchange.gateway, upload, number)) for number, (name, _) in enumerate(upload.files)]
    if len(paths) == 1 and is_zip(paths[0][1]):
        with opened(paths[0][1], Limits()) as entries:
            yield entries
    else:
        yield (Entry(name, partial(_open, path)) for name, path in without_top(paths))


def _open(path: Path) -> BinaryIO:
    return cast(BinaryIO, path.open("rb"))


def without_top(paths: list[tuple[str, Path]]) -> list[tuple[str, Path]]:
    """Browsers put the chosen folder's own name before each file; a DICOMDIR does not know it."""
    tops = {name.split("/", 1)[0] for name, _ in paths}
    if len(tops) == 1 and all("/" in name for name, _ in paths):
        return [(name.split("/", 1)[1], path) for name, path in paths]
    return paths


def told(imported: Imported) -> dict[str, Any]:
    """What became of the files, at most so many of them by name."""
    return {
        "studies": len(imported.studies),
        "kept": imported.kept,
        "passed_over": imported.passed_over,
        "refused": imported.refused[:MOST_NAMED],
        "refused_count": len(imported.refused),
        "missing": imported.missing[:MOST_NAMED],
        "missing_count": len(imported.missing),
    }


def hand_over(exchange: Exchange, upload: Upload, study_instance_uid: str, instances: int) -> None:
    """A study of a medium goes on as one that was fetched: its Task is made, and the retrieval has ended."""
    task = retrieval_task(upload, study_instance_uid, title_of(exchange, study_instance_uid))
    full_url = f"urn:uuid:{codes.fresh_id('import', upload.id, study_instance_uid)}"
    (answer,) = send(exchange, [create_entry(full_url, task, task["identifier"][0])])
    task_id, now, target = located(answer), time.time(), upload.target
    with exchange.gateway.engine.begin() as connection:
        lock_transaction(connection, "dicom index")
        common = {"task_id": task_id, "study_instance_uid": study_instance_uid, "updated_at": now}
        asked = {"state": "retrieving", "case_reference": target.case, "patient_reference": target.patient}
        insert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert
        row = insert(publication).values(common | asked | {"focus_reference": target.focus, "revision": 0})
        connection.execute(row.on_conflict_do_nothing())
        came = {"peer": MEDIA, "state": "verifying", "method": "import", "created_at": now}
        made = connection.execute(insert(retrieval).values(common | came).on_conflict_do_nothing()).rowcount
        assign(connection, upload, study_instance_uid, task_id)
        if made:
            state.change(connection, task_id, state="completed", received=instances, finished_at=now)


def assign(connection: Connection, upload: Upload, study_instance_uid: str, task_id: str) -> None:
    """The instances of a study belong to its Task from now on."""
    of_study = select(study.c.id).where(study.c.study_instance_uid == study_instance_uid).scalar_subquery()
    mine = (instance.c.retrieval == marker(upload)) & (instance.c.study_id == of_study)
    connection.execute(update(instance).where(mine).values(retrieval=task_id))


def title_of(exchange: Exchange, study_instance_uid: str) -> str:
    """The study's own description."""
    query = select(study.c.description).where(study.c.study_instance_uid == study_instance_uid)
    with reader(exchange.gateway.engine).connect() as connection:
        return connection.execute(query).scalar() or "Study"


def retrieval_task(upload: Upload, study_instance_uid: str, title: str) -> Resource:
    """The Task that the case has for a study that came on a medium.  It begins as requested, as all do."""
    target: For = upload.target
    inputs = {"peer": MEDIA, "study-instance-uid": study_instance_uid, "description": title}
    return {
        "resourceType": "Task",
        "identifier": [{"system": f"{codes.IDENTIFIER}/import", "value": f"{upload.id}/{study_instance_uid}"}],
        "status": "requested",
        "intent": "order",
        "code": codes.coded(codes.TASK_CODE, "imaging-retrieval"),
        "description": f"{title}, uploaded",
        "authoredOn": datetime.now(UTC).isoformat(timespec="seconds"),
        "partOf": [{"reference": target.case}],
        **({"focus": {"reference": target.focus}} if target.focus else {}),
        "for": {"reference": target.patient},
        "requester": {"reference": target.person},
        "input": [
            {"type": codes.coded(codes.TASK_INPUT, name), "valueString": value} for name, value in inputs.items()
        ],
    }


def finish(
    exchange: Exchange, upload: Upload, state_: str, result: dict[str, Any], studies: dict[str, int] | None = None
) -> None:
    """Keep the result, put down who imported, and let the files go: what counts lies in the archive."""
    outcome = "0" if state_ == "done" else "8"
    with exchange.gateway.engine.begin() as connection:
        changed = change(connection, upload, "importing", state=state_, result=json.dumps(result), files="[]")
        if changed:
            person = Agent(upload.target.person, reference=upload.target.person, part="source", asked=True)
            agents = (person, ourselves(exchange.gateway.settings, "destination"))
            target = upload.target
            about = partial(Happened, IMPORT, "C", agents, outcome=outcome, patient=target.patient, case=target.case)
            note(connection, about(studies=dict(studies or {})), marker(upload))
    shutil.rmtree(folder_of(exchange.gateway, upload.id), ignore_errors=True)
