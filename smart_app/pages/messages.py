"""`cases/{case}/messages`: what the people on a case tell each other; the consultant's question and its answer."""

from anyio.to_thread import run_sync
from starlette.responses import Response

from smart_app.case.messages import LONGEST, Kind, communication
from smart_app.case.view import Case, load_case
from smart_app.errors import AppError, Changed, Invalid
from smart_app.fhir import Resource
from smart_app.pages.case import mark_seen, tab, thread_of
from smart_app.pages.steps import actor_of, as_it_stands, case_for, clock_of
from smart_app.store.drafts import Draft
from smart_app.visit import Visit, page


async def messages(visit: Visit) -> Response:
    """The thread with what is new marked, and the message that this person is writing."""
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    thread, draft = await thread_of(visit, case), await draft_of(visit, case)
    await mark_seen(visit, thread, case)
    return await tab(visit, "messages", case=case, thread=thread, draft=draft, longest=LONGEST)


async def save(visit: Visit) -> Response:
    """POST: keep the half-written message."""
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    form = await visit.form()
    draft = await draft_of(visit, case)
    kept = draft.id == form.get("draft") and await run_sync(
        visit.services.drafts.save, draft, _content(form.get("text"))
    )
    return visit.render("message_state.html", 200 if kept else 409, kept=kept, saved_at=clock_of(visit).now())


async def send(visit: Visit) -> Response:
    """POST: send a message; the case stays where it is."""
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    return await _send(visit, case, "message")


async def ask(visit: Visit) -> Response:
    """POST: the consultant's question; the case waits for the answer."""
    if await _sent_already(visit):
        return _to_thread(visit)
    return await _send(visit, await case_for(visit, "ask"), "question", "info-requested")


async def answer(visit: Visit) -> Response:
    """POST: the answer to the question; the consultant reads on."""
    if await _sent_already(visit):
        return _to_thread(visit)
    return await _send(visit, await case_for(visit, "answer"), "answer", "in-review")


async def _send(visit: Visit, case: Case, kind: Kind, state: str = "") -> Response:
    """Send once, however often the button was pressed: the draft is taken, and gives the message its id."""
    if await _sent_already(visit):
        return _to_thread(visit)
    text = str((await visit.form()).get("text", "")).strip()
    if not text:
        raise Invalid("There is no text to send.", "Write the message first.")
    if len(text) > LONGEST:
        raise Invalid(f"The message is longer than {LONGEST} characters.", "Shorten it, or send a document instead.")
    draft = await draft_of(visit, case)
    await run_sync(visit.services.drafts.save, draft, _content(text))
    if not await run_sync(visit.services.drafts.start_sending, draft.id):
        raise Changed("This message is being sent in another window.", "Open the messages to see it.")
    try:
        message = await _message(visit, case, text, kind)
        reason = {"statusReason": {"text": text}} if kind == "question" else {}
        await actor_of(visit).say(case, message | {"id": draft.id}, state, **reason)
    except AppError:
        await run_sync(visit.services.drafts.reopen, draft.id)
        raise
    await run_sync(visit.services.drafts.finish, draft.id)
    return _to_thread(visit)


async def _message(visit: Visit, case: Case, text: str, kind: Kind) -> Resource:
    message = communication(case, visit.launch.practitioner, text, kind, clock_of(visit).now())
    question = (await thread_of(visit, case)).question if kind == "answer" else None
    return message | ({"inResponseTo": [{"reference": f"Communication/{question.id}"}]} if question else {})


async def draft_of(visit: Visit, case: Case) -> Draft:
    """The message that this person is writing on the case."""
    who, patient = visit.launch.practitioner, str(case.task["for"]["reference"])
    return await run_sync(visit.services.drafts.current, who, "message", case.reference, patient)


async def _sent_already(visit: Visit) -> bool:
    """Whether the form's message went out before: a second click, or the back button."""
    named = str((await visit.form()).get("draft", ""))
    found = await run_sync(visit.services.drafts.find, named, visit.launch.practitioner) if named else None
    return found is not None and found.state == "sent"


def _to_thread(visit: Visit) -> Response:
    return visit.go(f"cases/{visit.request.path_params['case']}/messages")


def _content(text: object) -> dict[str, str]:
    return {"text": str(text or "")[: 2 * LONGEST]}


routes = [
    page("cases/{case}/messages", messages),
    page("cases/{case}/messages", as_it_stands(send), ("POST",)),
    page("cases/{case}/messages/draft", save, ("POST",)),
    page("cases/{case}/ask", as_it_stands(ask), ("POST",)),
    page("cases/{case}/answer", as_it_stands(answer), ("POST",)),
]
