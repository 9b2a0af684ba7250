"""The gateway's own API for the app: prior imaging and viewer codes.  Every call is the caller's own.

Whatever is read from FHIR is read with the caller's token, so this API shows and does nothing that the caller could
not see there.
"""

import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from dicom_gateway import priors
from dicom_gateway.access import Access
from dicom_gateway.peers import Peer, all_peers
from dicom_gateway.publish.fhir import Bearer, FhirError, Resource
from dicom_gateway.reconcile import local_identity
from dicom_gateway.web.doors import Doors, ask, looker, require_bearer
from dicom_gateway.web.errors import NotFound, Unauthenticated, WebError
from dicom_gateway.web.sessions import CODE_SECONDS
from konsil.database import reader

BODY_BYTES = 65_536
DAY = re.compile(r"\d{8}")
WILD = frozenset("*?\\=")


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
    """Prior imaging of a Patient that the caller may read, from every outside PACS: a line for each peer, as JSON,
    when it is asked and when it has answered, with the studies that it holds.  https://github.com/ndjson/ndjson-spec
    """
    token, body = require_bearer(request), body_of(raw)
    patient = read_as_caller(doors, token, body.get("patient"), "Patient")
    wanted = wanted_of(doors, patient, body.get("criteria") or {})
    with reader(doors.engine).begin() as connection:
        peers = all_peers(connection)
    asked = f"C-FIND STUDY of {', '.join(peer.name for peer in peers)}"
    doors.looking.asked(looker(request, token), asked, patient=f"Patient/{patient['id']}")
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(lines(peers, wanted), headers=headers, media_type="application/x-ndjson")


async def lines(peers: Sequence[Peer], wanted: priors.Search) -> AsyncIterator[bytes]:
    """The answers as they come; the search ends when nobody reads them any more."""
    async with aclosing(priors.search(peers, wanted)) as told:
        async for peer, studies in told:
            yield orjson.dumps({"peer": peer, "studies": studies}, option=orjson.OPT_APPEND_NEWLINE)


def wanted_of(doors: Doors, patient: Resource, criteria: object) -> priors.Search:
    """What to ask for: the patient as we know them, or by other values that staff give.  Raises WebError 400."""
    names = ("name", "birth_date", "number", "from", "until")
    if not isinstance(criteria, dict) or not all(isinstance(criteria.get(name, ""), str) for name in names):
        raise WebError(400, "`criteria` holds name, birth_date, number, from and until, each a text.")
    given = {name: criteria.get(name, "").strip() for name in names}
    days = {name: given[name].replace("-", "") for name in ("birth_date", "from", "until")}
    if any(day and not DAY.fullmatch(day) for day in days.values()):
        raise WebError(400, "A day is written 2024-05-17.")
    if any(set(given[name]) & WILD for name in ("name", "number")):
        raise WebError(400, "Names and numbers are asked for as they are, without wild cards.")
    local = local_identity(patient, doors.settings.id_domains)
    changes = {"name": given["name"], "birth_date": days["birth_date"]}
    changes = {name: value for name, value in changes.items() if value}
    return priors.Search(
        local,
        doors.settings.search_seconds,
        datetime.now(ZoneInfo(doors.settings.time_zone)),
        other=replace(local, **changes) if changes else None,
        number=given["number"],
        days=f"{days['from']}-{days['until']}" if days["from"] or days["until"] else "",
    )


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


def routes(doors: Doors) -> list[Route]:
    """The routes below /api."""
    return [
        Route("/priors", doors.bind_body(search_priors), methods=["POST"]),
        Route("/viewer-codes", doors.bind_body(viewer_code), methods=["POST"]),
    ]
