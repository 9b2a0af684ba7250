"""`/l/{launch}/new`: three steps left, the letter growing right, what is lacking above the one button."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, date, datetime

import orjson
from anyio.to_thread import run_sync
from starlette.datastructures import FormData, UploadFile
from starlette.responses import Response, StreamingResponse

from smart_app.banner import banner_of
from smart_app.case import codes
from smart_app.case.states import FINISHED
from smart_app.case.view import Case, load_cases
from smart_app.errors import AppError, Changed, FhirFailure, Forbidden, Invalid, TooLarge, Unavailable
from smart_app.request.chart import GROUP_TITLES
from smart_app.request.consent_file import content_type_of
from smart_app.request.content import Content, checklist, lacking
from smart_app.request.desk import (
    Desk,
    attach,
    current_draft,
    draft_of,
    has_chart,
    keep,
    open_desk,
    opened,
    own_draft,
    read_again,
    read_and_keep,
    search_outside,
)
from smart_app.request.sending import send
from smart_app.store.drafts import Draft
from smart_app.visit import NavItem, Visit, page
from smart_app.words import Clock

LINES = "application/x-ndjson"


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
    first = opened(desk)
    changes = first.model_dump(include={"window", "prefilled", "case_number", "picks", "service"})
    desk = await open_desk(visit, await keep(visit, draft.id, lambda content: content.model_copy(update=changes)))
    patient = await visit.fhir.find(visit.launch.patient)
    allergies = [item.title for item in desk.group("allergies")]
    banner = banner_of(patient or {}, allergies, visit.tenant.title if visit.tenant else "")
    status = problem.status if problem else 200
    running = await running_cases(visit)
    return visit.render("request.html", status, banner=banner, problem=problem, running=running, **_values(visit, desk))


async def running_cases(visit: Visit) -> list[Case]:
    """This person's cases for this patient that still run: nobody should ask the same twice by mistake."""
    criteria = {"patient": visit.launch.patient or "", "requester": visit.launch.practitioner}
    return [case for case in await load_cases(visit.fhir, criteria) if case.state not in FINISHED]


async def autosave(visit: Visit) -> Response:
    """POST: keep what the form says; answers with the letter, the list and the button as they now are.

    A window that is no longer the one that writes is told so, and nothing is overwritten.
    """
    draft = await draft_of(visit, visit.request.path_params["draft"])
    form = await visit.form()
    if _elsewhere(Content.model_validate(draft.content), form):
        answer = visit.render("request_elsewhere.html", since=draft.updated_at, draft_url=_address(visit, draft.id))
        answer.headers.update({"HX-Retarget": "#elsewhere", "HX-Reswap": "innerHTML"})
        return answer
    desk = await open_desk(visit, await keep(visit, draft.id, lambda content: _written(content, form)))
    return visit.render("request_side.html", saved=True, **_values(visit, desk))


def _elsewhere(content: Content, form: FormData) -> bool:
    window = form.get("window")
    return bool(window and content.window != window and form.get("take_over") != "yes")


def _written(content: Content, form: FormData) -> Content:
    window = str(form.get("window") or content.window)
    return content.changed(form).model_copy(update={"window": window})


async def priors(visit: Visit) -> Response:
    """POST: search the outside archives; the page's script gets the list anew whenever one has answered, as a line of
    JSON each.  Without script the form comes back when all have.
    """
    draft = await draft_of(visit, visit.request.path_params["draft"])
    lists = _lists(visit, draft)
    if LINES in visit.request.headers.get("accept", ""):
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(lists, media_type=LINES, headers=headers)
    async for _ in lists:
        pass
    return visit.go("new#imaging")


async def _lists(visit: Visit, draft: Draft) -> AsyncGenerator[bytes]:
    """The list as it grows, with what the rules suggest ticked until the physician ticks otherwise.

    Starlette cancels this when the page goes away or its reader presses Stop; the gateway then asks no further.
    """
    failure: AppError | None = None
    try:
        async with aclosing(search_outside(visit, draft)) as found:
            async for known in found:
                if known.answered:
                    await _suggest(visit, draft)
                yield await _list(visit, draft, searching=True)
    except AppError as error:
        failure = error
    yield await _list(visit, draft, failure=failure)


async def _suggest(visit: Visit, draft: Draft) -> None:
    ticked = tuple((await open_desk(visit, await draft_of(visit, draft.id))).suggested(_today(visit)))
    await keep(visit, draft.id, lambda content: _suggested(content, ticked))


async def _list(visit: Visit, draft: Draft, **values: object) -> bytes:
    desk = await open_desk(visit, await draft_of(visit, draft.id))
    html = visit.text("request_priors.html", **values, **_values(visit, desk))
    return orjson.dumps({"html": html}, option=orjson.OPT_APPEND_NEWLINE)


def _suggested(content: Content, ticked: tuple[str, ...]) -> Content:
    if content.searched and set(content.studies) != set(content.suggested or ()):
        return content
    return content.model_copy(update={"studies": ticked, "suggested": ticked, "searched": True})


async def consent(visit: Visit) -> Response:
    """POST: attach the patient's signed consent; a file that is no PDF or picture is refused where it was chosen."""
    draft = await draft_of(visit, visit.request.path_params["draft"])
    problem: AppError | None = None
    try:
        name, body = await _uploaded(visit)
        attachment = await attach(visit, draft, name, content_type_of(body), body)
        with_file = {"consent": attachment, "basis": "consent"}
        draft = await keep(visit, draft.id, lambda content: content.model_copy(update=with_file))
    except (Invalid, TooLarge) as error:
        problem = error
    values = _values(visit, await open_desk(visit, draft))
    return visit.render("request_consent.html", problem=problem, **values)


async def _uploaded(visit: Visit) -> tuple[str, bytes]:
    upload = (await visit.form()).get("consent")
    if not isinstance(upload, UploadFile) or not upload.filename:
        raise Invalid("No file came along.", "Choose the signed form as PDF or picture.")
    body = await upload.read()
    await upload.close()
    return upload.filename[-120:], body


async def refresh(visit: Visit) -> Response:
    """POST: read the chart again from the hospital's record; what cannot be read now stays as it was read before."""
    draft = await draft_of(visit, visit.request.path_params["draft"])
    form = await visit.form()
    if form and not _elsewhere(Content.model_validate(draft.content), form):
        await keep(visit, draft.id, lambda content: _written(content, form))
    await read_again(visit, draft)
    return visit.go("new")


async def discard(visit: Visit) -> Response:
    """POST: put the draft away; for ten seconds the page offers to take that back."""
    draft = await own_draft(visit, visit.request.path_params["draft"])
    await run_sync(visit.services.drafts.discard, draft.id)
    return visit.go("requests", said="The draft was discarded.", undo=f"drafts/{draft.id}/restore")


async def restore(visit: Visit) -> Response:
    """POST: take a discarded draft back."""
    draft = await own_draft(visit, visit.request.path_params["draft"])
    await run_sync(visit.services.drafts.restore, draft.id)
    return visit.go("new" if draft.patient == visit.launch.patient else "requests", said="The draft is back.")


async def send_request(visit: Visit) -> Response:
    """POST: keep the form once more, then send; on to the new case.  What goes wrong is said above the form, kept."""
    draft = await draft_of(visit, visit.request.path_params["draft"])
    form = await visit.form()
    try:
        if draft.state == "open":
            if _elsewhere(Content.model_validate(draft.content), form):
                raise Changed("This request was opened in another window.", "Read it through here, then send it.")
            draft = await keep(visit, draft.id, lambda content: _written(content, form))
        return visit.go(f"cases/{await send(visit, await open_desk(visit, draft))}")
    except (Invalid, FhirFailure, Unavailable, Changed) as problem:
        return await _form(visit, await draft_of(visit, draft.id), problem)


def _address(visit: Visit, draft_id: str) -> str:
    return visit.url(f"drafts/{draft_id}")


def _today(visit: Visit) -> date:
    return Clock(visit.services.settings.time_zone).now().date()


def _values(visit: Visit, desk: Desk) -> dict[str, object]:
    today = _today(visit)
    return {
        "desk": desk,
        "content": desk.content,
        "priors": desk.priors,
        "letter": desk.letter,
        "checks": checklist(desk.content),
        "lacking": lacking(desk.content),
        "promised": desk.promised(today).isoformat(),
        "group_titles": GROUP_TITLES,
        "relevant": desk.relevant(today),
        "reasons": codes.REASONS,
        "products": codes.PRODUCTS,
        "urgencies": codes.URGENCIES,
        "draft_url": _address(visit, desk.draft.id),
        "saved_at": datetime.fromtimestamp(desk.draft.updated_at, UTC).isoformat(),
        "days": {code: desk.promised_for(code, today).isoformat() for code in codes.URGENCIES},
        "upload_megabytes": visit.services.settings.upload_megabytes,
    }


routes = [
    page("new", new_request),
    page("drafts/{draft}", autosave, ("POST",)),
    page("drafts/{draft}/chart", read_chart, ("POST",)),
    page("drafts/{draft}/priors", priors, ("POST",)),
    page("drafts/{draft}/consent", consent, ("POST",)),
    page("drafts/{draft}/refresh", refresh, ("POST",)),
    page("drafts/{draft}/discard", discard, ("POST",)),
    page("drafts/{draft}/restore", restore, ("POST",)),
    page("drafts/{draft}/send", send_request, ("POST",)),
]
nav = [NavItem("New request", "new", "plus", ("requester",))]
