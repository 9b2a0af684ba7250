"""`cases/{case}/records/{type}/{id}`: one record of a case, as a page or as its own file, for the reading pane."""

import base64
from typing import Any

import nh3
from markupsafe import Markup
from starlette.responses import Response

from smart_app import cda
from smart_app.case.material import date_of, read_all, references, title_of
from smart_app.case.view import load_case
from smart_app.errors import NotFound
from smart_app.fhir import Resource
from smart_app.reading.room import enter
from smart_app.reading.timeline import is_vital
from smart_app.request.chart import value_of
from smart_app.visit import Visit, page
from smart_app.words import concept

SHOWN_AS_HTML = {"text/html", "application/xhtml+xml"}
SHOWN_AS_FILE = {"application/pdf", "image/png", "image/jpeg"}


async def record(visit: Visit) -> Response:
    """Show a record that the case names, and no other."""
    params = visit.request.path_params
    case = await load_case(visit.fhir, params["case"])
    wanted = f"{params['type']}/{params['id']}"
    if wanted not in references(case.task, case.request):
        raise NotFound("This record is not part of the case.")
    resource = await visit.fhir.read(wanted)
    results = await read_all(visit.fhir, [each.get("reference", "") for each in resource.get("result", [])])
    return visit.render(
        "record.html",
        results=lines(list(results.values())),
        resource=resource,
        title=title_of(resource),
        date=date_of(resource),
        by=author_of(resource),
        facts=facts_of(resource),
        parts=[
            part(each, visit.url(f"cases/{case.id}/records/{wanted}/{place}"))
            for place, each in enumerate(attachments(resource))
        ],
    )


async def laboratory(visit: Visit) -> Response:
    """All laboratory values of the case: tests down, days across; `day` or `value` says what was asked for."""
    room, query = await enter(visit), visit.request.query_params
    courses, wanted = list(room.timeline.courses.values()), query.get("value", "")
    days = sorted({each.day for course in courses for each in course.values}, reverse=True)
    of_value = (each.day for course in courses for each in course.values if each.reference == wanted)
    day = query.get("day") or next(of_value, "")
    return visit.render("labs.html", courses=courses, days=days, day=day, wanted=wanted, labels=room.labels)


async def vitals(visit: Visit) -> Response:
    """The vital signs of a day."""
    room, day = await enter(visit), visit.request.query_params.get("day", "")
    found = [each.resource for each in room.records if is_vital(each.resource) and each.date[:10] == day]
    values = {"title": "Vital signs", "date": day, "results": lines(found), "parts": [], "resource": {}}
    return visit.render("record.html", **values)


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
    content, content_type = await visit.fhir.attachment(found[place])
    shown = content_type in SHOWN_AS_FILE
    headers = {} if shown else {"content-disposition": "attachment"}
    return Response(content, media_type=content_type if shown else "application/octet-stream", headers=headers)


def author_of(resource: Resource) -> str:
    """Who wrote or read it, as the record says."""
    named = [*resource.get("author", []), *resource.get("performer", []), resource.get("recorder", {})]
    return ", ".join(dict.fromkeys(each["display"] for each in named if each.get("display")))


def facts_of(resource: Resource) -> list[tuple[str, str]]:
    """What a line of the chart says besides its title: status, dosage, reaction, note, codes."""
    if resource["resourceType"] in ("DiagnosticReport", "DocumentReference"):
        return []
    dosage = [each.get("text", "") for each in resource.get("dosageInstruction", [])]
    reactions = [concept(sign) for each in resource.get("reaction", []) for sign in each.get("manifestation", [])]
    code: Resource = resource.get("code") or resource.get("medicationCodeableConcept") or {}
    codings = code.get("coding", [])
    found = {
        "Status": concept(resource.get("clinicalStatus")) or str(resource.get("status", "")),
        "Value": value_of(resource),
        "Dosage": "; ".join(filter(None, dosage)),
        "Reaction": ", ".join(filter(None, reactions)),
        "Reason": ", ".join(filter(None, (concept(each) for each in resource.get("reasonCode", [])))),
        "Until": str(resource.get("abatementDateTime", "")),
        "Note": "\n".join(each.get("text", "") for each in resource.get("note", [])),
        "Coded as": "; ".join(f"{each.get('display', '')} ({each['code']})" for each in codings if "code" in each),
    }
    return [(name, words) for name, words in found.items() if words]


def lines(results: list[Resource]) -> list[tuple[str, str, str]]:
    """The values of a report: what, how much, and a word when it is outside its range."""
    return [
        (concept(each.get("code")), value_of(each), ", ".join(map(concept, each.get("interpretation", []))))
        for each in results
    ]


def attachments(resource: Resource) -> list[Resource]:
    """The attachments of a DocumentReference or a DiagnosticReport."""
    if resource["resourceType"] == "DocumentReference":
        return [each["attachment"] for each in resource.get("content", [])]
    forms: list[Resource] = resource.get("presentedForm", [])
    return forms


def part(found: Resource, address: str) -> dict[str, Any]:
    """How the page shows an attachment: text in place (HTML cleaned), a file in a frame or as a link."""
    content_type = str(found.get("contentType", "")).split(";")[0]
    data = base64.b64decode(found.get("data", ""))
    content = data.decode("utf-8", "replace")
    return {
        **clinical(content_type, data),
        "title": found.get("title", "Attachment"),
        "text": content if content_type == "text/plain" else "",
        "html": Markup(nh3.clean(content)) if content_type in SHOWN_AS_HTML else "",  # noqa: S704 - nh3 has cleaned it
        "framed": content_type in SHOWN_AS_FILE,
        "address": address,
    }


def clinical(content_type: str, data: bytes) -> dict[str, Any]:
    """A C-CDA document's facts and sections, or why it cannot be shown."""
    if not (data and cda.is_xml(content_type)):
        return {"cda": None, "unreadable": ""}
    try:
        return {"cda": cda.read(data), "unreadable": ""}
    except cda.NotCda as error:
        return {"cda": None, "unreadable": str(error)}


routes = [
    page("cases/{case}/labs", laboratory),
    page("cases/{case}/vitals", vitals),
    page("cases/{case}/records/{type}/{id}", record),
    page("cases/{case}/records/{type}/{id}/{place:int}", attachment),
]
