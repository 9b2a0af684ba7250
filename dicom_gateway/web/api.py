"""The gateway's own API for the app: prior imaging, viewer codes, peers and transfers.  Every call is the caller's own.

Whatever is read from FHIR is read with the caller's token, so this API shows and does nothing that the caller could
not see there.
"""

import json
from typing import Any

import orjson
from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dicom_gateway import priors, retrieve, route
from dicom_gateway.access import Access
from dicom_gateway.dimse.echo import probe
from dicom_gateway.index.exchange import forwarding
from dicom_gateway.index.models import retrieval
from dicom_gateway.peers import Peer, all_peers, by_name
from dicom_gateway.publish import codes
from dicom_gateway.publish.fhir import Bearer, FhirError, Resource
from dicom_gateway.reconcile import local_identity
from dicom_gateway.retrieval.state import sentences
from dicom_gateway.web.doors import Doors, ask, require_bearer
from dicom_gateway.web.errors import NotFound, Unauthenticated, WebError
from dicom_gateway.web.sessions import CODE_SECONDS
from konsil.database import reader

BODY_BYTES = 65_536


def answer(content: object, status: int = 200) -> Response:
    """A JSON answer that nobody keeps."""
    headers = {"Cache-Control": "no-store"}
    return Response(orjson.dumps(content), status, headers=headers, media_type="application/json")


def body_of(raw: bytes) -> dict[str, Any]:
    """A JSON object.  Raises WebError 400, 413."""
    if len(raw) > BODY_BYTES:
        raise WebError(413, "The body is too long.")
    try:
        content = json.loads(raw)
    except ValueError as error:
        raise WebError(400, "The body is no JSON.") from error
    if not isinstance(content, dict):
        raise WebError(400, "The body is no JSON object.")
    return content


def access_of(doors: Doors) -> Access:
    """Who decides; an archive has none of this API.  Raises NotFound."""
    if doors.access is None:
        raise NotFound
    return doors.access


def read_as_caller(doors: Doors, token: str, reference: object, resource_type: str) -> Resource:
    """Read `Type/id` with the caller's token.  Raises Unauthenticated, NotFound, WebError 400."""
    if not isinstance(reference, str) or reference.count("/") != 1 or not reference.startswith(f"{resource_type}/"):
        raise WebError(400, f"A reference such as {resource_type}/id is needed.")
    try:
        return access_of(doors).fhir.read(Bearer(token), reference)
    except FhirError as error:
        if error.status == 401:
            raise Unauthenticated from error
        if error.status in {403, 404, 410}:
            raise NotFound from error
        raise


def search_priors(doors: Doors, request: Request, raw: bytes) -> Response:
    """Prior imaging of a Patient that the caller may read, from every outside PACS."""
    token = require_bearer(request)
    patient = read_as_caller(doors, token, body_of(raw).get("patient"), "Patient")
    with reader(doors.engine).begin() as connection:
        peers = all_peers(connection)
    return answer(priors.search(peers, local_identity(patient, doors.settings.id_domains)))


def viewer_code(doors: Doors, request: Request, raw: bytes) -> Response:
    """A single-use code that opens a viewer session on these studies of this case.  Raises NotFound for any not
    shown.
    """
    token = require_bearer(request)
    body = body_of(raw)
    studies = body.get("studies")
    if not isinstance(studies, list) or not studies or not all(isinstance(uid, str) for uid in studies):
        raise WebError(400, "`studies` is a list of Study Instance UIDs.")
    case = read_as_caller(doors, token, body.get("case"), "Task")
    shown = access_of(doors).study
    if not all(ask(lambda uid=uid: shown(token, uid)) for uid in studies):  # type: ignore[misc]
        raise NotFound
    code = doors.sessions.new_code(token, f"Task/{case['id']}", dict.fromkeys(studies))
    url = f"{doors.settings.base_url.rstrip('/')}/viewer-session"
    return answer({"code": code, "expires_in": int(CODE_SECONDS), "viewer_url": url}, 201)


def require_live_token(doors: Doors, request: Request) -> str:
    """A token that the FHIR server knows.  Raises Unauthenticated."""
    token = require_bearer(request)
    access = access_of(doors)
    ask(lambda: access.studies(token))
    return token


def shown_peer(peer: Peer) -> dict[str, Any]:
    """A peer as the app shows it."""
    cause = peer.capabilities.get("last_error") or None
    told, remedy = sentences(
        cause, {"title": peer.title, "host": peer.host, "port": peer.port, "our": peer.our_ae_title}
    )
    state = {True: "ok", False: "failed", None: "unknown"}[peer.reachable]
    return {
        "name": peer.name,
        "title": peer.title,
        "ae_title": peer.ae_title,
        "can": peer.can,
        "forward": peer.forward,
        "state": state,
        "checked_at": peer.checked_at,
        "cause": told,
        "remedy": remedy,
    }


def list_peers(doors: Doors, request: Request) -> Response:
    """The outside PACS and destinations, with what is known of them."""
    require_live_token(doors, request)
    with reader(doors.engine).begin() as connection:
        return answer({"peers": [shown_peer(peer) for peer in all_peers(connection)]})


def echo_peer(doors: Doors, request: Request) -> Response:
    """Ask a peer whether it is there (C-ECHO), now."""
    require_live_token(doors, request)
    name = request.path_params["name"]
    with reader(doors.engine).begin() as connection:
        peer = by_name(connection, name)
    probe(doors.engine, peer)
    with reader(doors.engine).begin() as connection:
        return answer(shown_peer(by_name(connection, name)))


def list_transfers(doors: Doors, request: Request) -> Response:
    """Retrievals whose Task the caller may read, and forwardings of studies that the caller is shown; newest first."""
    token = require_live_token(doors, request)
    access = access_of(doors)
    criteria = {"code": f"{codes.TASK_CODE}|imaging-retrieval", "_count": "200", "_sort": "-_lastUpdated"}
    tasks = {task["id"]: task for task in access.fhir.search(Bearer(token), "Task", criteria)}
    studies = access.studies(token)
    with reader(doors.engine).begin() as connection:
        order = select(retrieval.c.task_id).order_by(retrieval.c.created_at.desc())
        known = [task_id for task_id in connection.execute(order).scalars() if task_id in tasks]
        retrievals = [shown_retrieval(tasks[task_id], retrieve.progress(connection, task_id)) for task_id in known]
        rows = connection.execute(select(forwarding).order_by(forwarding.c.updated_at.desc())).mappings()
        forwardings = [dict(row) for row in rows if row["study_instance_uid"] in studies]
    return answer({"retrievals": retrievals, "forwardings": forwardings})


def shown_retrieval(task: Resource, progress: retrieve.Progress) -> dict[str, Any]:
    """A retrieval with the case and description of its Task."""
    return {
        "task": f"Task/{task['id']}",
        "case": codes.case_of(task),
        "description": codes.input_of(task, "description") or task.get("description"),
        "peer": progress.peer,
        "study_instance_uid": progress.study_instance_uid,
        "state": progress.state,
        "expected": progress.expected,
        "received": progress.received,
        "failed": progress.failed,
        "completeness": progress.completeness,
        "cause": progress.cause,
        "remedy": progress.remedy,
    }


def resend(doors: Doors, request: Request) -> Response:
    """Send a study on once more, to a destination where it failed or was withheld."""
    token = require_live_token(doors, request)
    forwarding_id = request.path_params["forwarding"]
    with doors.engine.begin() as connection:
        row = connection.execute(select(forwarding).where(forwarding.c.id == forwarding_id)).mappings().one_or_none()
        if row is None or row["study_instance_uid"] not in access_of(doors).studies(token):
            raise NotFound
        route.plan_one(connection, row["study_instance_uid"], by_name(connection, row["peer"]))
    return answer({"state": "due"}, 202)


def routes(doors: Doors) -> list[Route]:
    """The routes below /api."""
    return [
        Route("/priors", doors.bind_body(search_priors), methods=["POST"]),
        Route("/viewer-codes", doors.bind_body(viewer_code), methods=["POST"]),
        Route("/peers", doors.bind(list_peers), methods=["GET"]),
        Route("/peers/{name}/echo", doors.bind(echo_peer), methods=["POST"]),
        Route("/transfers", doors.bind(list_transfers), methods=["GET"]),
        Route("/forwardings/{forwarding:int}/resend", doors.bind(resend), methods=["POST"]),
    ]
