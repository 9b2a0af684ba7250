"""Upload of media by HIM staff: announced, sent piece by piece, completed, and what became of it.

Only HIM staff, only for a case that they can read and that is still open.  A piece is the body of a PUT whose
Upload-Offset says where it begins; GET tells where to go on after a lost connection.
"""

from collections.abc import Callable
from typing import Any

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dicom_gateway.imports import uploads
from dicom_gateway.imports.uploads import For, Upload, UploadRefused, WrongPlace
from dicom_gateway.publish import codes
from dicom_gateway.web.api import access_of, answer, read_as_caller
from dicom_gateway.web.doors import Doors, ask, require_bearer
from dicom_gateway.web.errors import Forbidden, NotFound, WebError

ANNOUNCED_BYTES = 16 << 20
PIECE_BYTES = 64 << 20


def require_him(doors: Doors, request: Request) -> tuple[str, str]:
    """Token and reference of somebody of the HIM staff.  Raises Unauthenticated, Forbidden."""
    token = require_bearer(request)
    access = access_of(doors)
    if "him" not in ask(lambda: access.roles(token)):
        raise Forbidden("Media are uploaded by health information staff.")
    return token, ask(lambda: access.person(token))


def begin(doors: Doors, request: Request, raw: bytes) -> Response:
    """Announce a medium for a case.  Raises NotFound, Forbidden, WebError 400, 409, 413."""
    token, person = require_him(doors, request)
    body = announced(raw)
    case = read_as_caller(doors, token, body.get("case"), "Task")
    if not codes.is_case(case):
        raise NotFound
    if case.get("status") in codes.ENDED:
        raise WebError(409, "The case is over: nothing is imported for it.")
    patient, focus = codes.reference_of(case.get("for")), codes.reference_of(case.get("focus"))
    target = For(f"Task/{case['id']}", patient, focus, person)
    return refusing(lambda: shown(doors, uploads.begin(doors.gateway, target, files_of(body)), 201))


def announced(raw: bytes) -> dict[str, Any]:
    """The announcement: a list of many names is longer than what our API takes otherwise.  Raises WebError 400, 413."""
    if len(raw) > ANNOUNCED_BYTES:
        raise WebError(413, "Too many files. Pack the folder into one ZIP archive.")
    try:
        content = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise WebError(400, "The body is no JSON.") from error
    if not isinstance(content, dict):
        raise WebError(400, "The body is no JSON object.")
    return content


def files_of(body: dict[str, Any]) -> list[tuple[str, int]]:
    """The files that are to come.  Raises WebError 400."""
    try:
        files = [(str(each["name"]), int(each["size"])) for each in body["files"]]
    except (KeyError, TypeError, ValueError) as error:
        raise WebError(400, "`files` is a list of objects with `name` and `size`.") from error
    if any(size < 0 for _, size in files):
        raise WebError(400, "A size is not negative.")
    return files


def mine(doors: Doors, request: Request) -> Upload:
    """The upload of the address, whose case the caller still sees.  Raises NotFound, Forbidden."""
    token, _ = require_him(doors, request)
    upload = uploads.find(doors.gateway, str(request.path_params["upload"]))
    read_as_caller(doors, token, upload.target.case, "Task")
    return upload


def shown(doors: Doors, upload: Upload, status: int = 200) -> Response:
    """An upload as JSON has it."""
    told: dict[str, Any] = {"id": upload.id, "state": upload.state, "files": len(upload.files), "done": upload.done}
    return answer(told | {"case": upload.target.case, "result": upload.result}, status)


def refusing(work: Callable[[], Response]) -> Response:
    """What an upload may be refused for, as an answer: 409 with where to go on, 422 else."""
    try:
        return work()
    except UploadRefused as error:
        return refused(error)


def refused(error: UploadRefused) -> Response:
    """The refusal in words, and where a piece would have to begin."""
    if isinstance(error, WrongPlace):
        return answer({"status": 409, "detail": str(error), "received": error.received}, 409)
    return answer({"status": 422, "detail": str(error)}, 422)


def show(doors: Doors, request: Request) -> Response:
    """How an upload stands.  Raises NotFound, Forbidden."""
    return shown(doors, mine(doors, request))


def show_file(doors: Doors, request: Request) -> Response:
    """How much of one file is here.  Raises NotFound, Forbidden."""
    return answer({"received": uploads.received(doors.gateway, mine(doors, request), request.path_params["number"])})


async def put_piece(doors: Doors, request: Request) -> Response:
    """Append a piece.  409 says where to go on.  Raises NotFound, Forbidden, WebError 400, 413, 507."""
    upload = await run_in_threadpool(mine, doors, request)
    number, place = request.path_params["number"], request.headers.get("upload-offset", "")
    if not place.isdecimal():
        raise WebError(400, "Upload-Offset says where the piece begins.")
    try:
        path = uploads.check_piece(doors.gateway, upload, number, int(place))
    except UploadRefused as error:
        return refused(error)
    most = min(upload.files[number][1] - int(place), PIECE_BYTES)
    with path.open("ab") as file:
        async for chunk in request.stream():
            most -= len(chunk)
            if most < 0:
                file.truncate(int(place))
                raise WebError(413, "The piece is longer than 64 MB, or than its file was announced.")
            try:
                await run_in_threadpool(file.write, chunk)
            except OSError as error:
                raise WebError(507, "The gateway's disk is full. Tell its administrators.") from error
    await run_in_threadpool(uploads.touch, doors.gateway, upload)
    return answer({"received": path.stat().st_size})


def complete(doors: Doors, request: Request) -> Response:
    """Everything is here.  Raises NotFound, Forbidden."""
    upload = mine(doors, request)
    return refusing(lambda: shown(doors, uploads.complete(doors.gateway, upload), 202))


def cancel(doors: Doors, request: Request) -> Response:
    """Forget it.  Raises NotFound, Forbidden."""
    upload = mine(doors, request)
    return refusing(lambda: shown(doors, uploads.cancel(doors.gateway, upload)))


def routes(doors: Doors) -> list[Route]:
    """The routes below /api."""
    return [
        Route("/imports", doors.bind_body(begin), methods=["POST"]),
        Route("/imports/{upload:uuid}", doors.bind(show), methods=["GET"]),
        Route("/imports/{upload:uuid}", doors.bind(cancel), methods=["DELETE"]),
        Route("/imports/{upload:uuid}/complete", doors.bind(complete), methods=["POST"]),
        Route("/imports/{upload:uuid}/files/{number:int}", doors.bind(show_file), methods=["GET"]),
        Route("/imports/{upload:uuid}/files/{number:int}", doors.bind_async(put_piece), methods=["PUT"]),
    ]
