"""`/l/{launch}/new`: three steps left, the letter growing right, what is lacking above the one button."""

from datetime import date

from anyio.to_thread import run_sync
from starlette.datastructures import UploadFile
from starlette.responses import Response

from smart_app.banner import banner_of
from smart_app.case import codes
from smart_app.errors import AppError, FhirFailure, Forbidden, Invalid
from smart_app.request.chart import GROUP_TITLES
from smart_app.request.content import checklist, lacking
from smart_app.request.desk import (
    Desk,
    attach,
    current_draft,
    draft_of,
    has_chart,
    open_desk,
    prefilled,
    read_and_keep,
    save,
    search_outside,
)
from smart_app.request.sending import send
from smart_app.store.drafts import Draft
from smart_app.visit import NavItem, Visit, page
from smart_app.words import Clock

CONSENT_TYPES = {"application/pdf": b"%PDF", "image/png": b"\x89PNG", "image/jpeg": b"\xff\xd8"}


async def new_request(visit: Visit) -> Response:
    """The form, with the draft as it was left."""
    if not visit.launch.patient or not visit.launch.ehr_patient:
        raise Forbidden("A request is begun from a patient's chart.", "Open the chart in the hospital's record.")
    draft = await current_draft(visit)
    if not await has_chart(visit, draft):
        return visit.render("request_opening.html", address=visit.url(f"drafts/{draft.id}/chart"))
    return await _form(visit, draft)


async def read_chart(visit: Visit) -> Response:
    """POST: read the chart from the hospital's record, behind the page that says so; then the form."""
    draft = await draft_of(visit, visit.request.path_params["draft"])
    await read_and_keep(visit, draft)
    return visit.go("new")


async def _form(visit: Visit, draft: Draft, problem: AppError | None = None) -> Response:
    desk = await open_desk(visit, draft)
    content = prefilled(desk)
    if content != desk.content:
        await save(visit, draft, content)
        desk = await open_desk(visit, await current_draft(visit))
    patient = await visit.fhir.find(visit.launch.patient)
    allergies = [item.title for item in desk.group("allergies")]
    banner = banner_of(patient or {}, allergies, visit.tenant.title if visit.tenant else "")
    status = problem.status if problem else 200
    return visit.render("request.html", status, banner=banner, problem=problem, **_values(visit, desk))


async def autosave(visit: Visit) -> Response:
    """POST: keep what the form says; answers with the letter, the list and the button as they now are."""
    draft = await draft_of(visit, visit.request.path_params["draft"])
    desk = await _saved(visit, await open_desk(visit, draft))
    return visit.render("request_side.html", saved=True, **_values(visit, desk))


async def priors(visit: Visit) -> Response:
    """POST: search the outside archives; newest studies of surely the same patient are ticked the first time."""
    draft = await draft_of(visit, visit.request.path_params["draft"])
    failure: AppError | None = None
    try:
        found = await search_outside(visit, draft)
    except AppError as error:
        found, failure = (await open_desk(visit, draft)).priors, error
    desk = await open_desk(visit, await draft_of(visit, draft.id))
    if not desk.content.searched and failure is None:
        ticked = {"studies": tuple(found.sensible()), "searched": True}
        await save(visit, desk.draft, desk.content.model_copy(update=ticked))
        desk = await open_desk(visit, await draft_of(visit, draft.id))
    answer = visit.render("request_priors.html", failure=failure, **_values(visit, desk))
    answer.headers["HX-Trigger"] = "priors-found"
    return answer


async def consent(visit: Visit) -> Response:
    """POST: attach the patient's signed consent (PDF, PNG or JPEG, told by its first bytes)."""
    draft = await draft_of(visit, visit.request.path_params["draft"])
    desk = await open_desk(visit, draft)
    upload = (await visit.form()).get("consent")
    if not isinstance(upload, UploadFile) or not upload.filename:
        raise Invalid("No file came along.", "Choose the signed form as PDF or picture.")
    body = await upload.read()
    await upload.close()
    content_type = next((kind for kind, start in CONSENT_TYPES.items() if body.startswith(start)), None)
    if content_type is None:
        raise Invalid("This file is neither a PDF nor a picture.", "Scan the signed form as PDF, PNG or JPEG.")
    attachment = await attach(visit, draft, upload.filename[-120:], content_type, body)
    await save(visit, draft, desk.content.model_copy(update={"consent": attachment, "basis": "consent"}))
    return visit.render("request_consent.html", content=(await _reopened(visit, draft.id)).content)


async def refresh(visit: Visit) -> Response:
    """POST: read the chart again from the hospital's record."""
    draft = await draft_of(visit, visit.request.path_params["draft"])
    await run_sync(visit.services.drafts.remove_part, draft.id, "chart")
    return visit.go("new")


async def discard(visit: Visit) -> Response:
    """POST: throw the draft away."""
    draft = await draft_of(visit, visit.request.path_params["draft"])
    await run_sync(visit.services.drafts.discard, draft.id)
    return visit.go("requests")


async def send_request(visit: Visit) -> Response:
    """POST: keep the form once more, then send; on to the new case.  What goes wrong is said above the form, kept."""
    draft = await draft_of(visit, visit.request.path_params["draft"])
    desk = await open_desk(visit, draft)
    if draft.state == "open":
        desk = await _saved(visit, desk)
    try:
        return visit.go(f"cases/{await send(visit, desk)}")
    except (Invalid, FhirFailure) as problem:
        return await _form(visit, await draft_of(visit, draft.id), problem)


async def _saved(visit: Visit, desk: Desk) -> Desk:
    changed = desk.content.changed(await visit.form())
    if changed != desk.content:
        await save(visit, desk.draft, changed)
    return await _reopened(visit, desk.draft.id)


async def _reopened(visit: Visit, draft_id: str) -> Desk:
    return await open_desk(visit, await draft_of(visit, draft_id))


def _values(visit: Visit, desk: Desk) -> dict[str, object]:
    today: date = Clock(visit.services.settings.time_zone).now().date()
    return {
        "desk": desk,
        "content": desk.content,
        "letter": desk.letter,
        "checks": checklist(desk.content),
        "lacking": lacking(desk.content),
        "promised": desk.promised(today).isoformat(),
        "group_titles": GROUP_TITLES,
        "reasons": codes.REASONS,
        "products": codes.PRODUCTS,
        "urgencies": codes.URGENCIES,
        "draft_url": visit.url(f"drafts/{desk.draft.id}"),
    }


routes = [
    page("new", new_request),
    page("drafts/{draft}", autosave, ("POST",)),
    page("drafts/{draft}/chart", read_chart, ("POST",)),
    page("drafts/{draft}/priors", priors, ("POST",)),
    page("drafts/{draft}/consent", consent, ("POST",)),
    page("drafts/{draft}/refresh", refresh, ("POST",)),
    page("drafts/{draft}/discard", discard, ("POST",)),
    page("drafts/{draft}/send", send_request, ("POST",)),
]
nav = [NavItem("New request", "new", "plus", ("requester",))]
