"""`/l/{launch}/cases/{case}`: the same page for all roles, each with its own action, and its live progress."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from anyio.to_thread import run_sync
from starlette.responses import Response, StreamingResponse

from smart_app.banner import banner_of, known_allergies
from smart_app.case.acting import LOOK, Actor, who_changed
from smart_app.case.messages import Thread, load_thread
from smart_app.case.records import load_records
from smart_app.case.states import FINISHED, SIGNED, road, steps_from
from smart_app.case.status import promise_of, status_of
from smart_app.case.timeline import load_timeline
from smart_app.case.view import Case, load_case
from smart_app.errors import AppError, Changed, Invalid, SignedOut
from smart_app.visit import Visit, page
from smart_app.words import Clock, sentence_list

LIVE_SECONDS = 1.0
QUIET_SECONDS = 4.0
LONGEST_STREAM_SECONDS = 1800.0


@dataclass(frozen=True, slots=True)
class Action:
    """The primary action of a page: a link, or a form that takes a step."""

    title: str
    icon: str
    path: str
    posts: bool = False


def primary_action(visit: Visit, case: Case) -> Action | None:
    """What this person does next here; nothing when it is somebody else's turn."""
    owns = case.owner == visit.launch.practitioner
    may = {step.name for step in steps_from(case.state, visit.launch.roles, owns)}
    here = f"cases/{case.id}"
    choices = {
        "answer": Action("Open the reading room", "book", f"{here}/read")
        if owns
        else Action("Answer the question", "message", f"{here}/messages#write"),
        "accept": Action("Accept the case", "user-check", f"{here}/accept", posts=True),
        "read": Action("Start reading", "book", f"{here}/read", posts=True),
        "sign": Action("Continue reading", "book", f"{here}/read"),
        "acknowledge": Action("Acknowledge the report", "circle-check", f"{here}/acknowledge", posts=True),
        "offer": Action("Offer to a consultant", "user-question", f"{here}/offer"),
        "transfer": Action("Give to another consultant", "user-question", f"{here}/offer"),
    }
    return next((action for name, action in choices.items() if name in may), None)


async def head_values(visit: Visit, case: Case) -> dict[str, Any]:
    """What the header of every tab shows."""
    clock = clock_of(visit)
    return {
        "case": case,
        "status": status_of(case, clock),
        "steps": road(case.state),
        "promise": promise_of(case, clock),
        "action": primary_action(visit, case),
        "now": clock.now(),
        "owns": case.owner == visit.launch.practitioner,
        "writebacks": await run_sync(visit.services.writebacks.of_case, case.id),
        "signed": case.state in SIGNED,
        "live": case.state not in FINISHED,
        "thread": await thread_of(visit, case),
        "readers": readers_of(case),
    }


def readers_of(case: Case) -> str:
    """Who reads the messages of a case, as a list in words."""
    named = [case.name_of(each) for each in (case.requester, case.owner) if each]
    return sentence_list([*named, "the second-opinion service"])


async def thread_of(visit: Visit, case: Case) -> Thread:
    """The messages of the case, those marked that are new to this person, or to a page that is open `since` a mark."""
    who, shown = visit.launch.practitioner, visit.request.query_params.get("since")
    if shown is None:
        shown = (await run_sync(visit.services.seen.of_person, who)).get(case.id, "")
    return await load_thread(visit.fhir, case, who, shown)


async def tab(visit: Visit, name: str, **values: Any) -> Response:
    """One tab of a case, with the header that all tabs have."""
    case: Case = values.pop("case", None) or await load_case(visit.fhir, visit.request.path_params["case"])
    allergies = await known_allergies(visit.fhir, f"Patient/{case.patient['id']}") if case.patient else None
    banner = banner_of(case.patient, allergies) if case.patient else None
    head = await head_values(visit, case)
    return visit.render(f"case_{name}.html", **{"banner": banner, "tab": name, **head, **values})


async def overview(visit: Visit) -> Response:
    """Question, story, what is missing, people."""
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    records = await load_records(visit.fhir, case, clock_of(visit))
    return await tab(visit, "overview", case=case, records=records)


async def records(visit: Visit) -> Response:
    """Everything that goes along, by kind."""
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    found = await load_records(visit.fhir, case, clock_of(visit))
    return await tab(visit, "records", case=case, records=found)


async def imaging(visit: Visit) -> Response:
    """Studies on their way, waiting to be compared, and attached."""
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    found = await load_records(visit.fhir, case, clock_of(visit))
    return await tab(visit, "imaging", case=case, records=found)


async def activity(visit: Visit) -> Response:
    """Who did what, newest first."""
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    return await tab(visit, "activity", case=case, events=await load_timeline(visit.fhir, case))


async def events(visit: Visit) -> Response:
    """Server-sent events while the page is open: the live parts of the page, whenever they change."""
    case_id = visit.request.path_params["case"]
    await load_case(visit.fhir, case_id)
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(_stream(visit, case_id), media_type="text/event-stream", headers=headers)


async def _stream(visit: Visit, case_id: str) -> AsyncIterator[str]:
    """Read the case again and again with the viewer's own token; Starlette cancels this when the page goes away."""
    sent: dict[str, str] = {}
    ends = asyncio.get_running_loop().time() + LONGEST_STREAM_SECONDS
    while asyncio.get_running_loop().time() < ends:
        try:
            case = await load_case(visit.fhir, case_id)
        except SignedOut:
            yield _event("reload", "signed out")
            return
        except AppError:
            await asyncio.sleep(QUIET_SECONDS)
            continue
        values = await head_values(visit, case)
        await mark_seen(visit, values["thread"], case)
        for name, html in _live_parts(visit, values).items():
            if sent.get(name) != html:
                sent[name] = html
                yield _event(name, html)
        if case.state in FINISHED:
            yield _event("end", case.state)
            return
        running = any(each.running for each in case.retrievals())
        yield ": still here\n\n"
        await asyncio.sleep(LIVE_SECONDS if running else QUIET_SECONDS)


def _live_parts(visit: Visit, values: dict[str, Any]) -> dict[str, str]:
    names = ("case-head", "case-retrievals", "case-unread", "case-thread")
    return {name: visit.text(f"{name.replace('-', '_')}.html", **values) for name in names}


async def mark_seen(visit: Visit, thread: Thread, case: Case) -> None:
    """Remember what an open thread has shown."""
    if thread.unread and (
        visit.request.query_params.get("since") is not None or visit.request.url.path.endswith("/messages")
    ):
        await run_sync(visit.services.seen.mark, visit.launch.practitioner, case.id, thread.newest)


def _event(name: str, data: str) -> str:
    """One event in the format of the HTML standard, 9.2.6."""
    lines = "".join(f"data: {line}\n" for line in data.splitlines() or [""])
    return f"event: {name}\n{lines}\n"


def clock_of(visit: Visit) -> Clock:
    """The clock of this house."""
    return Clock(visit.services.settings.time_zone)


def actor_of(visit: Visit) -> Actor:
    """The person of this visit as one who takes steps."""
    return Actor(visit.fhir, visit.launch.practitioner, clock_of(visit))


async def case_for(visit: Visit, step: str) -> Case:
    """The case of this page, if the step can be taken from where it stands and nothing moved since the page was shown.

    Raises Changed with who moved it; with the case's own page when the step has been taken already (a second click).
    """
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    shown = str((await visit.form()).get("standing", ""))
    owns = case.owner == visit.launch.practitioner
    possible = {each.name for each in steps_from(case.state, visit.launch.roles, owns)}
    if step not in possible or (shown and shown != case.standing):
        raise Changed(await who_changed(visit.fhir, case, clock_of(visit)), LOOK)
    return case


async def accept(visit: Visit) -> Response:
    """POST: the owner accepts."""
    case = await case_for(visit, "accept")
    await actor_of(visit).step(case, "assigned")
    return visit.go(f"cases/{case.id}")


async def decline(visit: Visit) -> Response:
    """POST: the owner gives the case back; it is no longer the owner's to see."""
    case = await case_for(visit, "decline")
    await actor_of(visit).step(case, "ready-for-triage", owner=None)
    return visit.go("worklist")


async def acknowledge(visit: Visit) -> Response:
    """POST: the requester has read the report; the loop is closed."""
    case = await case_for(visit, "acknowledge")
    await actor_of(visit).acknowledge(case)
    return visit.go(f"cases/{case.id}/report")


async def withdraw(visit: Visit) -> Response:
    """POST: the requester takes the request back."""
    case = await case_for(visit, "cancel")
    await actor_of(visit).withdraw(case)
    return visit.go(f"cases/{case.id}")


async def reject(visit: Visit) -> Response:
    """POST: the coordinator declines the request, with a reason that the requester reads."""
    reason = await reason_of(visit, "The requester needs a reason.")
    case = await case_for(visit, "reject")
    await actor_of(visit).step(case, "declined", owner=None, statusReason={"text": reason})
    return visit.go(f"cases/{case.id}")


async def reason_of(visit: Visit, why: str) -> str:
    """The reason that was typed.  Raises Invalid when there is none to speak of."""
    reason = str((await visit.form()).get("reason", "")).strip()
    if len(reason) < 5:
        raise Invalid(why, "Write one sentence that says why.")
    return reason[:500]


async def send_again(visit: Visit) -> Response:
    """POST: try a failed write-back again."""
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    await run_sync(visit.services.writebacks.send_again, case.id)
    visit.services.ring()
    return visit.go(f"cases/{case.id}/report")


routes = [
    page("cases/{case}", overview),
    page("cases/{case}/records", records),
    page("cases/{case}/imaging", imaging),
    page("cases/{case}/activity", activity),
    page("cases/{case}/events", events),
    page("cases/{case}/accept", accept, ("POST",)),
    page("cases/{case}/decline", decline, ("POST",)),
    page("cases/{case}/acknowledge", acknowledge, ("POST",)),
    page("cases/{case}/withdraw", withdraw, ("POST",)),
    page("cases/{case}/reject", reject, ("POST",)),
    page("cases/{case}/send-again", send_again, ("POST",)),
]
