"""`cases/{case}/import`: HIM staff upload a CD, a folder, files or a ZIP archive for a case, and see what became of it.

The browser's pieces are passed on to the gateway as they come; what it answers to a piece is for the page's script.
"""

from typing import Any

import httpx
import orjson
from starlette.responses import Response

from smart_app.case.view import load_case
from smart_app.errors import NotFound
from smart_app.gateway import gateway_of
from smart_app.pages.case import tab
from smart_app.visit import Visit, page

STAFF = ("him",)
OVER = frozenset({"done", "failed", "cancelled"})


async def choose(visit: Visit) -> Response:
    """What to upload."""
    visit.require(*STAFF)
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    return await tab(visit, "import", case=case, tab="imaging")


async def begin(visit: Visit) -> Response:
    """POST, JSON: announce the files; the gateway's answer."""
    visit.require(*STAFF)
    files = orjson.loads(await visit.request.body()).get("files", [])
    body = {"case": f"Task/{visit.request.path_params['case']}", "files": files}
    return told(await (await gateway_of(visit)).media("POST", "", json=body))


async def piece(visit: Visit) -> Response:
    """PUT a piece of one file, GET where to go on."""
    visit.require(*STAFF)
    request = visit.request
    path = f"/{request.path_params['upload']}/files/{request.path_params['number']}"
    gateway = await gateway_of(visit)
    if request.method == "GET":
        return told(await gateway.media("GET", path))
    headers = {"Upload-Offset": request.headers.get("upload-offset", "")}
    return told(await gateway.media("PUT", path, content=request.stream(), headers=headers))


async def complete(visit: Visit) -> Response:
    """POST: all is there."""
    visit.require(*STAFF)
    return told(await (await gateway_of(visit)).media("POST", f"/{visit.request.path_params['upload']}/complete"))


async def cancel(visit: Visit) -> Response:
    """POST: forget what has come."""
    visit.require(*STAFF)
    return told(await (await gateway_of(visit)).media("DELETE", f"/{visit.request.path_params['upload']}"))


def told(answer: httpx.Response) -> Response:
    """The gateway's words, for the script."""
    return Response(answer.content, answer.status_code, media_type="application/json")


async def show(visit: Visit) -> Response:
    """How an upload stands, and at its end what became of it."""
    visit.require(*STAFF)
    answer = await (await gateway_of(visit)).media("GET", f"/{visit.request.path_params['upload']}")
    found: dict[str, Any] = orjson.loads(answer.content) if answer.status_code == 200 else {}
    if found.get("case") != f"Task/{visit.request.path_params['case']}":
        raise NotFound("There is no such upload for this case.", "The case's Imaging tab shows what came.")
    values = {"upload": found, "over": found["state"] in OVER, "result": found["result"]}
    if visit.is_htmx:
        return visit.render("import_state.html", case_id=visit.request.path_params["case"], **values)
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    return await tab(visit, "imported", case=case, case_id=case.id, tab="imaging", **values)


routes = [
    page("cases/{case}/import", choose),
    page("cases/{case}/imports", begin, ("POST",)),
    page("cases/{case}/imports/{upload:uuid}", show),
    page("imports/{upload:uuid}/files/{number:int}", piece, ("GET", "PUT")),
    page("imports/{upload:uuid}/complete", complete, ("POST",)),
    page("imports/{upload:uuid}/cancel", cancel, ("POST",)),
]
