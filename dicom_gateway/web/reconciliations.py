"""What HIM staff see before they decide: both records side by side, what would change tag by tag, and the pictures.

Quarantined pixels leave by this door alone, to tokens that can read the reconciliation Task, and nothing of them is
cached.
"""

from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from pydicom.dataset import Dataset
from sqlalchemy import select
from sqlalchemy.engine import RowMapping
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dicom_gateway import coerce, retrieve
from dicom_gateway.audit.happened import ACCESSED
from dicom_gateway.errors import NotFound as NoRetrieval
from dicom_gateway.index.exchange import publication
from dicom_gateway.index.models import instance, version
from dicom_gateway.index.query import Located, Place, locate
from dicom_gateway.peers import all_peers
from dicom_gateway.publish import codes
from dicom_gateway.publish.arrival import content_of
from dicom_gateway.publish.fhir import Bearer, Resource
from dicom_gateway.publish.imaging_study import StudyContent, text
from dicom_gateway.reconcile import Difference, Identity, compare, local_identity, outside_identity
from dicom_gateway.web import pixels, render
from dicom_gateway.web.api import access_of, answer, read_as_caller
from dicom_gateway.web.doors import Doors, looker, require_bearer
from dicom_gateway.web.errors import NotFound
from dicom_gateway.web.frames import read_header
from dicom_gateway.weights import match_of, weight
from konsil.database import reader

THUMBNAILS = 12
BOX = (384, 384)
NOT_KEPT = {"Cache-Control": "no-store"}
LARGE = (1600, 1600)
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
    return [item._replace(object_key=keys.get(item.sop_instance_uid, item.object_key)) for item in found]


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
    fields = compare(outside_of(doors, row, ds), local)
    filed = filed_with(doors, request, task, row)
    after = coerce.coerced(ds, local, datetime.now(UTC), doors.settings.ae_title)
    changes = [] if filed else [asdict(item) | {"tag": item.tag} for item in coerce.changes(ds, after)]
    return answer(
        {
            "state": STATES.get(row["state"], row["state"]),
            "study": study_of(doors, row, content),
            "match": asdict(match_of(fields)),
            "fields": [
                asdict(item) | {"title": item.title, "tag": item.tag, "weight": weight(item)} for item in fields
            ],
            "issuers": issuer_titles(doors),
            "domains": {issuer: system for system, issuer in doors.settings.id_domains.items()},
            "filed": filed,
            "changes": changes,
            "thumbnails": len(pictured(instances)),
        }
    )


def shown_field(item: Difference) -> dict[str, Any]:
    """One compared attribute with what it adds to the score."""
    return asdict(item) | {"title": item.title, "tag": item.tag, "weight": weight(item)}


def outside_of(doors: Doors, row: RowMapping, ds: Dataset) -> Identity:
    """Who the outside record says the patient is; an id without issuer is the archive's own."""
    outside = outside_identity(ds)
    if outside.issuer:
        return outside
    with reader(doors.engine).begin() as connection:
        try:
            return replace(outside, issuer=retrieve.sender(connection, row["task_id"])[1])
        except NoRetrieval:
            return outside


def issuer_titles(doors: Doors) -> dict[str, str]:
    """Who issues record numbers, as people call them: by the name or the OID that objects give."""
    with reader(doors.engine).begin() as connection:
        peers = all_peers(connection)
    return {key: peer.title for peer in peers for key in (peer.issuer_oid, peer.issuer) if key}


def filed_with(doors: Doors, request: Request, task: Resource, row: RowMapping) -> dict[str, Any] | None:
    """The other patient whom the study was accepted for before, as far as the caller may read that."""
    token = require_bearer(request)
    study = read_as_caller(doors, token, codes.reference_of(task.get("focus")), "ImagingStudy")
    subject = codes.reference_of(study.get("subject"))
    if codes.is_quarantined(study) or subject in {"", codes.reference_of(task.get("for"))}:
        return None
    return {"patient": read_as_caller(doors, token, subject, "Patient"), "since": study["meta"]["lastUpdated"]}


def waiting(doors: Doors, request: Request) -> Response:
    """Every arrival that the caller may decide on, in short: the outside record, the band, how many pictures."""
    token = require_bearer(request)
    criteria = {"code": f"{codes.TASK_CODE}|reconciliation", "status": "requested,accepted,in-progress"}
    fhir = access_of(doors).fhir
    tasks = {task["id"]: task for task in fhir.search(Bearer(token), "Task", criteria | {"_count": "200"})}
    wanted = sorted({codes.reference_of(task.get("for")).removeprefix("Patient/") for task in tasks.values()} - {""})
    found = fhir.search(Bearer(token), "Patient", {"_id": ",".join(wanted), "_count": "200"}) if wanted else []
    patients = {f"Patient/{patient['id']}": patient for patient in found}
    with reader(doors.engine).begin() as connection:
        query = select(publication).where(publication.c.reconciliation_task_id.in_(tasks))
        rows = connection.execute(query).mappings().all()
    shown = {}
    for row in rows:
        patient = patients.get(codes.reference_of(tasks[row["reconciliation_task_id"]].get("for")))
        arrival = in_short(doors, row, patient) if patient else None
        if arrival is not None:
            shown[row["reconciliation_task_id"]] = arrival
    return answer({"arrivals": shown, "issuers": issuer_titles(doors)})


def in_short(doors: Doors, row: RowMapping, patient: Resource) -> dict[str, Any] | None:
    """One arrival; None when its objects are not indexed any more."""
    instances = originals(doors, row["study_instance_uid"])
    with reader(doors.engine).begin() as connection:
        content = content_of(connection, row["study_instance_uid"], EVERY)
    if not instances or content is None:
        return None
    with doors.archive.open(instances[0].object_key) as stream:
        outside = outside_of(doors, row, read_header(stream))
    fields = compare(outside, local_identity(patient, doors.settings.id_domains))
    return {
        "match": asdict(match_of(fields)),
        "fields": [shown_field(item) for item in fields],
        "study": study_of(doors, row, content),
        "thumbnails": len(pictured(instances)),
    }


def study_of(doors: Doors, row: RowMapping, content: StudyContent) -> dict[str, Any]:
    """The study in a few words."""
    with reader(doors.engine).begin() as connection:
        try:
            progress = retrieve.progress(connection, row["task_id"])
            peer, expected = retrieve.sender(connection, row["task_id"])[0], progress.expected
            completeness, aside = progress.completeness, progress.aside
        except NoRetrieval:
            peer, completeness, expected, aside = "", None, None, 0
    return {
        "study_instance_uid": row["study_instance_uid"],
        "description": text(content.study, "00081030"),
        "date": text(content.study, "00080020"),
        "modalities": content.study.get("00080061", {}).get("Value", []),
        "series": len(content.series),
        "instances": len(content.instances),
        "peer": peer,
        "completeness": completeness,
        "expected": expected,
        "aside": aside,
    }


def pictured(instances: list[Located]) -> list[Located]:
    """Up to twelve instances with pictures, spread over the study."""
    images = pixels.pictures(instances)
    if len(images) <= THUMBNAILS:
        return images
    return [images[number * len(images) // THUMBNAILS] for number in range(THUMBNAILS)]


def picture(box: tuple[int, int], doors: Doors, request: Request) -> Response:
    """One of the pictures as PNG, in a size; never cached."""
    _, row = decided_on(doors, request)
    chosen = pictured(originals(doors, row["study_instance_uid"]))
    number = int(request.path_params["number"])
    if number >= len(chosen):
        raise NotFound
    item = chosen[number]
    doors.looking.at(looker(request, require_bearer(request)), ACCESSED, {row["study_instance_uid"]: None})
    if item.sop_class_uid == pixels.PDF:
        return Response(render.document_icon("image/png", box), media_type="image/png", headers=NOT_KEPT)
    with doors.archive.open(item.object_key) as stream:
        content = render.render(stream, (item.frames + 1) // 2, render.View(None, box, "image/png"))
    return Response(content, media_type="image/png", headers=NOT_KEPT)


def routes(doors: Doors) -> list[Route]:
    """The routes below /api."""
    path = "/reconciliations/{task}"
    small, large = doors.bind(partial(picture, BOX)), doors.bind(partial(picture, LARGE))
    return [
        Route("/reconciliations", doors.bind(waiting), methods=["GET"]),
        Route(path, doors.bind(show), methods=["GET"]),
        Route(path + "/thumbnails/{number:int}", small, methods=["GET"]),
        Route(path + "/thumbnails/{number:int}.png", small, methods=["GET"]),
        Route(path + "/images/{number:int}", large, methods=["GET"]),
    ]
