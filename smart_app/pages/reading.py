"""`cases/{case}/read`: the reading room.  Question, story and records left; images or document right; report below."""

import asyncio
from secrets import token_urlsafe
from typing import Any

from anyio.to_thread import run_sync
from starlette.responses import Response

from smart_app.banner import banner_of, known_allergies
from smart_app.case import acting, material
from smart_app.case.status import promise_of
from smart_app.case.view import load_case
from smart_app.errors import AppError, Changed, NotFound
from smart_app.gateway import gateway_of
from smart_app.pages.opinion import state_of
from smart_app.reading import writing
from smart_app.reading.axis import axis
from smart_app.reading.room import WRITTEN_IN, Room, draft_of, enter, furnished
from smart_app.reading.structure import structure_of
from smart_app.reading.timeline import Entry
from smart_app.report.form import is_empty, rows_of
from smart_app.report.opinion import QUESTIONS, VALUES
from smart_app.visit import Visit, page
from smart_app.words import Clock


async def read(visit: Visit) -> Response:
    """The room, with the newest imaging open; or the words of a report whose case went to somebody else."""
    try:
        case = await load_case(visit.fhir, visit.request.path_params["case"])
    except NotFound:
        return await lost(visit)
    room, allergies = await asyncio.gather(
        furnished(visit, case), known_allergies(visit.fhir, str(case.task["for"]["reference"]))
    )
    line, clock = room.timeline, Clock(visit.services.settings.time_zone)
    return visit.render(
        "reading.html",
        case=case,
        banner=banner_of(case.patient, allergies),
        promise=promise_of(case, clock),
        line=line,
        axis=axis(line.entries),
        hung=hung(line.studies, visit.request.query_params.get("study", "")),
        first_document=next((each for each in line.entries if each.kind in ("report", "document")), None),
        writable=case.owner == visit.launch.practitioner and case.state in WRITTEN_IN,
        **await editor(visit, room),
    )


async def editor(visit: Visit, room: Room) -> dict[str, Any]:
    """What the report's form shows."""
    draft = await draft_of(visit, room.case)
    return {
        "room": room,
        "draft": draft.content,
        "findings": rows_of(draft.content, "findings"),
        "recommendations": rows_of(draft.content, "recommendations"),
        "reviewed": set(draft.content.get("reviewed", [])),
        "labels": room.labels,
        "structure": structure_of(room) if is_empty(draft.content) else [],
        "version": draft.version,
        "window": token_urlsafe(9),
        "aside": await writing.aside(visit.services.drafts, draft),
        "questions": QUESTIONS,
        "values": VALUES,
        **state_of(visit, room, draft),
    }


async def lost(visit: Visit) -> Response:
    """The case is not this person's to see any more; what they wrote is theirs still.  Raises NotFound without any."""
    case = visit.request.path_params["case"]
    draft = await run_sync(visit.services.drafts.existing, visit.launch.practitioner, "report", f"Task/{case}")
    if draft is None or is_empty(draft.content):
        raise NotFound("There is no such case, or it is not yours to see.", "Look at your worklist.")
    return visit.render("reading_lost.html", 404, case_id=case)


def hung(studies: list[Entry], wanted: str = "") -> list[Entry]:
    """What opens at once: the study that the address names, else the newest pictures, and another of its kind."""
    if not studies:
        return []
    pictures = [each for each in studies if not each.is_paper]
    first = next((each for each in studies if each.study == wanted), (pictures or studies)[0])
    prior = [each for each in pictures if each != first and each.title.split()[:1] == first.title.split()[:1]]
    return [first, *prior[:1]]


async def viewer(visit: Visit) -> Response:
    """The frame's first page: a form that carries the single-use code to the gateway by POST, never in an address."""
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    records = await material.of(visit.fhir, case.task, case.request, {"ImagingStudy"})
    wanted = list(dict.fromkeys(visit.request.query_params.getlist("study")))
    known = {each.study_instance_uid for each in records}
    if not wanted or not known.issuperset(wanted):
        raise NotFound("These images are not part of the case.")
    try:
        gateway = await gateway_of(visit)
        code = await gateway.viewer_code(wanted, f"Task/{case.id}")
    except AppError as error:
        values = {"address": "", "problem": error.sentence, "remedy": error.remedy}
        return visit.render("viewer.html", error.status, **values)
    return visit.render("viewer.html", code=code["code"], address=code["viewer_url"])


async def news(visit: Visit) -> Response:
    """The imaging that was accepted into the case since the page was opened, each to be opened by a click."""
    room = await enter(visit)
    known = [each for each in visit.request.query_params.get("known", "").split(",") if each]
    fresh = [each for each in room.timeline.studies if each.study not in known]
    return visit.render("reading_news.html", fresh=fresh, known=known, case=room.case)


async def start(visit: Visit) -> Response:
    """Accepted becomes in-progress, and the room opens."""
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    if case.state == "assigned":
        await acting.step(visit.fhir, case, "in-review", Clock(visit.services.settings.time_zone))
    elif case.state not in WRITTEN_IN:
        raise Changed("This case cannot be read now.", "Look at the case to see where it stands.")
    return visit.go(f"cases/{case.id}/read")


routes = [
    page("cases/{case}/read", read),
    page("cases/{case}/read", start, ("POST",)),
    page("cases/{case}/viewer", viewer),
    page("cases/{case}/news", news),
]
