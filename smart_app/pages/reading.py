"""`cases/{case}/read`: the reading room.  Question, story and records left; images or document right; report below."""

from secrets import token_urlsafe

from anyio.to_thread import run_sync
from starlette.responses import Response

from smart_app.banner import banner_of, known_allergies
from smart_app.case import acting, material
from smart_app.case.view import Case, load_case
from smart_app.errors import Changed, NotFound
from smart_app.gateway import gateway_of
from smart_app.report.form import opinion_of
from smart_app.report.opinion import QUESTIONS, VALUES
from smart_app.store.drafts import Draft
from smart_app.visit import Visit, page
from smart_app.words import Clock

READABLE = {"in-review", "ancillary-read", "info-requested"}


async def read(visit: Visit) -> Response:
    """The room, with the newest imaging open."""
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    records = await material.of(visit.fhir, case.task, case.request)
    draft = await draft_of(visit, case)
    studies = sorted((each for each in records if each.study_instance_uid), key=lambda each: each.date, reverse=True)
    return visit.render(
        "reading.html",
        case=case,
        banner=banner_of(case.patient, await known_allergies(visit.fhir, f"Patient/{case.patient['id']}")),
        records=sorted(records, key=lambda each: each.date, reverse=True),
        studies=studies,
        documents=[each for each in records if each.is_document],
        draft=draft.content,
        version=draft.version,
        window=token_urlsafe(9),
        gaps=opinion_of(draft.content, records).missing(),
        questions=QUESTIONS,
        values=VALUES,
        writable=case.owner == visit.launch.practitioner and case.state in READABLE,
    )


async def viewer(visit: Visit) -> Response:
    """The frame's first page: a form that carries the single-use code to the gateway by POST, never in an address."""
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    records = await material.of(visit.fhir, case.task, case.request)
    wanted = set(visit.request.query_params.getlist("study"))
    studies = [each.study_instance_uid for each in records if each.study_instance_uid in wanted]
    if not studies or len(studies) != len(wanted):
        raise NotFound("These images are not part of the case.")
    gateway = await gateway_of(visit)
    code = await gateway.viewer_code(studies, f"Task/{case.id}")
    return visit.render("viewer.html", code=code["code"], address=code["viewer_url"])


async def draft_of(visit: Visit, case: Case) -> Draft:
    """This consultant's unsigned report on the case."""
    who, patient = visit.launch.practitioner, f"Patient/{case.patient['id']}"
    return await run_sync(visit.services.drafts.current, who, "report", f"Task/{case.id}", patient)


async def start(visit: Visit) -> Response:
    """Accepted becomes in-progress, and the room opens."""
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    if case.state == "assigned":
        await acting.step(visit.fhir, case, "in-review", Clock(visit.services.settings.time_zone))
    elif case.state not in READABLE:
        raise Changed("This case cannot be read now.", "Look at the case to see where it stands.")
    return visit.go(f"cases/{case.id}/read")


routes = [
    page("cases/{case}/read", read),
    page("cases/{case}/read", start, ("POST",)),
    page("cases/{case}/viewer", viewer),
]
