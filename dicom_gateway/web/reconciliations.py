"""What HIM staff see before they decide: both records side by side, what would change tag by tag, and the pictures.

Quarantined pixels leave by this door alone, to tokens that can read the reconciliation Task, and nothing of them is
cached.
"""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from pydicom.uid import UID
from sqlalchemy import select
from sqlalchemy.engine import RowMapping
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dicom_gateway import coerce, retrieve
from dicom_gateway.errors import NotFound as NoRetrieval
from dicom_gateway.index.exchange import publication
from dicom_gateway.index.models import instance, version
from dicom_gateway.index.query import Located, Place, locate
from dicom_gateway.peers import by_name
from dicom_gateway.publish import codes
from dicom_gateway.publish.arrival import content_of
from dicom_gateway.publish.fhir import Resource
from dicom_gateway.publish.imaging_study import StudyContent, text
from dicom_gateway.reconcile import compare, local_identity, outside_identity, verdict
from dicom_gateway.web import render
from dicom_gateway.web.api import answer, read_as_caller
from dicom_gateway.web.doors import Doors, require_bearer
from dicom_gateway.web.errors import NotFound
from dicom_gateway.web.frames import read_header
from konsil.database import reader

THUMBNAILS = 12
BOX = (256, 256)
STATES = {"waiting": "waiting", "deciding": "applying", "published": "released", "rejected": "rejected"}
EVERY = ("quarantined", "released", "rejected")


def decided_on(doors: Doors, request: Request) -> tuple[Resource, RowMapping]:
    """The Task, read with the caller's token, and its publication.  Raises Unauthenticated, NotFound."""
    task = read_as_caller(doors, require_bearer(request), f"Task/{request.path_params['task']}", "Task")
    query = select(publication).where(publication.c.reconciliation_task_id == task["id"])
    with reader(doors.engine).begin() as connection:
        row = connection.execute(query).mappings().one_or_none()
    if row is None or not codes.is_task(task, "reconciliation"):
        raise NotFound
    return task, row


def originals(doors: Doors, study_instance_uid: str) -> list[Located]:
    """The instances of a study as they came: their original versions, whatever counts now."""
    with reader(doors.engine).begin() as connection:
        found = locate(connection, Place(study_instance_uid), EVERY)
        query = select(instance.c.sop_instance_uid, version.c.object_key).join(
            version, version.c.instance_id == instance.c.id
        )
        rows = connection.execute(query.where(version.c.kind == "original"))
        keys = {row.sop_instance_uid: row.object_key for row in rows}
    return [
        Located(**{**asdict(item), "object_key": keys.get(item.sop_instance_uid, item.object_key)}) for item in found
    ]


def show(doors: Doors, request: Request) -> Response:
    """Both sides, the verdict, what would change, and how many pictures there are."""
    task, row = decided_on(doors, request)
    patient = read_as_caller(doors, require_bearer(request), codes.reference_of(task.get("for")), "Patient")
    instances = originals(doors, row["study_instance_uid"])
    with reader(doors.engine).begin() as connection:
        content = content_of(connection, row["study_instance_uid"], EVERY)
    if not instances or content is None:
        raise NotFound
    with doors.archive.open(instances[0].object_key) as stream:
        ds = read_header(stream)
    local = local_identity(patient, doors.settings.id_domains)
    fields = compare(outside_identity(ds), local)
    word, sentence = verdict(fields)
    after = coerce.coerced(ds, local, datetime.now(UTC), doors.settings.ae_title)
    changes = [asdict(item) | {"tag": item.tag} for item in coerce.changes(ds, after)]
    return answer(
        {
            "state": STATES.get(row["state"], row["state"]),
            "study": study_of(doors, row, content),
            "match": {"verdict": word, "sentence": sentence},
            "fields": [asdict(item) | {"title": item.title, "tag": item.tag} for item in fields],
            "changes": changes,
            "thumbnails": len(pictured(instances)),
        }
    )


def study_of(doors: Doors, row: RowMapping, content: StudyContent) -> dict[str, Any]:
    """The study in a few words."""
    with reader(doors.engine).begin() as connection:
        try:
            progress = retrieve.progress(connection, row["task_id"])
            peer, completeness = by_name(connection, progress.peer).title, progress.completeness
        except NoRetrieval:
            peer, completeness = "", None
    return {
        "study_instance_uid": row["study_instance_uid"],
        "description": text(content.study, "00081030"),
        "date": text(content.study, "00080020"),
        "modalities": content.study.get("00080061", {}).get("Value", []),
        "series": len(content.series),
        "instances": len(content.instances),
        "peer": peer,
        "completeness": completeness,
    }


def pictured(instances: list[Located]) -> list[Located]:
    """Up to twelve instances with pictures, spread over the study."""
    images = [item for item in instances if UID(item.sop_class_uid).name.endswith("Image Storage")]
    if len(images) <= THUMBNAILS:
        return images
    return [images[number * len(images) // THUMBNAILS] for number in range(THUMBNAILS)]


def thumbnail(doors: Doors, request: Request) -> Response:
    """One of the pictures, small, as PNG; never cached."""
    _, row = decided_on(doors, request)
    chosen = pictured(originals(doors, row["study_instance_uid"]))
    number = int(request.path_params["number"])
    if number >= len(chosen):
        raise NotFound
    item = chosen[number]
    with doors.archive.open(item.object_key) as stream:
        content = render.render(stream, (item.frames + 1) // 2, render.View(None, BOX, "image/png"))
    return Response(content, media_type="image/png", headers={"Cache-Control": "no-store"})


def routes(doors: Doors) -> list[Route]:
    """The routes below /api."""
    path = "/reconciliations/{task}"
    return [
        Route(path, doors.bind(show), methods=["GET"]),
        Route(path + "/thumbnails/{number:int}", doors.bind(thumbnail), methods=["GET"]),
        Route(path + "/thumbnails/{number:int}.png", doors.bind(thumbnail), methods=["GET"]),
    ]
