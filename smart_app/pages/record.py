"""`cases/{case}/records/{type}/{id}`: one record of a case, as a page or as its own file, for the reading pane."""

import base64
from typing import Any

from starlette.responses import Response

from smart_app.case.material import date_of, references, title_of
from smart_app.case.view import load_case
from smart_app.errors import NotFound
from smart_app.fhir import Resource
from smart_app.visit import Visit, page

SHOWN_AS_FILE = {"application/pdf", "image/png", "image/jpeg"}


async def record(visit: Visit) -> Response:
    """Show a record that the case names, and no other."""
    params = visit.request.path_params
    case = await load_case(visit.fhir, params["case"])
    wanted = f"{params['type']}/{params['id']}"
    if wanted not in references(case.task, case.request):
        raise NotFound("This record is not part of the case.")
    resource = await visit.fhir.read(wanted)
    return visit.render(
        "record.html",
        resource=resource,
        title=title_of(resource),
        date=date_of(resource),
        parts=[part(visit, wanted, case.id, place, each) for place, each in enumerate(attachments(resource))],
    )


async def attachment(visit: Visit) -> Response:
    """One attachment's bytes: PDF and pictures as they are, anything else as a download."""
    params = visit.request.path_params
    case = await load_case(visit.fhir, params["case"])
    wanted = f"{params['type']}/{params['id']}"
    if wanted not in references(case.task, case.request):
        raise NotFound("This record is not part of the case.")
    found = attachments(await visit.fhir.read(wanted))
    place = int(params["place"])
    if place >= len(found):
        raise NotFound("The record has no such attachment.")
    content, content_type = await bytes_of(visit, found[place])
    shown = content_type in SHOWN_AS_FILE
    headers = {} if shown else {"content-disposition": "attachment"}
    return Response(content, media_type=content_type if shown else "application/octet-stream", headers=headers)


def attachments(resource: Resource) -> list[Resource]:
    """The attachments of a DocumentReference or a DiagnosticReport."""
    if resource["resourceType"] == "DocumentReference":
        return [each["attachment"] for each in resource.get("content", [])]
    forms: list[Resource] = resource.get("presentedForm", [])
    return forms


async def bytes_of(visit: Visit, found: Resource) -> tuple[bytes, str]:
    """An attachment's content: inline, or from our own server's Binary.  An address elsewhere is never followed."""
    content_type = str(found.get("contentType", "application/octet-stream")).split(";")[0]
    if "data" in found:
        return base64.b64decode(found["data"]), content_type
    if "url" in found:
        content, _ = await visit.fhir.binary(found["url"])
        return content, content_type
    raise NotFound("The attachment is empty.")


def part(visit: Visit, wanted: str, case_id: str, place: int, found: Resource) -> dict[str, Any]:
    """How the page shows an attachment: text in place, a file in a frame or as a link."""
    content_type = str(found.get("contentType", "")).split(";")[0]
    text = ""
    if content_type == "text/plain" and "data" in found:
        text = base64.b64decode(found["data"]).decode("utf-8", "replace")
    return {
        "title": found.get("title", "Attachment"),
        "text": text,
        "framed": content_type in SHOWN_AS_FILE,
        "address": visit.url(f"cases/{case_id}/records/{wanted}/{place}"),
    }


routes = [
    page("cases/{case}/records/{type}/{id}", record),
    page("cases/{case}/records/{type}/{id}/{place:int}", attachment),
]
