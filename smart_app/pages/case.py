"""`/l/{launch}/cases/{case}`: the same page for all roles, each with its own action, and its live progress."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from anyio.to_thread import run_sync
from starlette.responses import Response, StreamingResponse

from smart_app.banner import Banner, banner_of, known_allergies
from smart_app.case.messages import Thread, load_thread
from smart_app.case.missing import missing
from smart_app.case.moves import possible, primary_action, ways_out
from smart_app.case.records import load_records, named_by
from smart_app.case.states import ENDED, SIGNED, road
from smart_app.case.status import promise_of, status_of
from smart_app.case.timeline import KINDS, by_day, load_timeline
from smart_app.case.view import Case, load_case
from smart_app.errors import AppError, SignedOut
from smart_app.listing import Choice, Plan, listing
from smart_app.pages.steps import actor_of, case_for, clock_of
from smart_app.request.chart import Item
from smart_app.visit import Visit, page
from smart_app.words import sentence_list

__all__ = ["actor_of", "case_for", "clock_of", "routes", "tab"]
LIVE_SECONDS = 1.0
QUIET_SECONDS = 4.0
LONGEST_STREAM_SECONDS = 1800.0


async def head_values(visit: Visit, case: Case, tab: str = "") -> dict[str, Any]:
    """What the header of every tab shows."""
    clock, owns = clock_of(visit), case.owner == visit.launch.practitioner
    may = set() if visit.is_elsewhere(case) else possible(case, visit.launch.roles, owns)
    return {
        "case": case,
        "status": status_of(case, clock),
        "steps": road(case.state),
        "promise": promise_of(case, clock),
        "action": primary_action(case, may, owns, tab),
        "ways": ways_out(may),
        "may": may,
        "now": clock.now(),
        "owns": owns,
        "writebacks": await run_sync(visit.services.writebacks.of_case, case.id),
        "signed": case.state in SIGNED,
        "live": case.state not in ENDED,
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
    return visit.render(f"case_{name}.html", **{**await frame_of(visit, case, name), **values})


async def frame_of(visit: Visit, case: Case, name: str) -> dict[str, Any]:
    """Banner and header of a tab."""
    banner, head = await asyncio.gather(banner_for(visit, case), head_values(visit, case, name))
    return {"banner": banner, "tab": name, **head}


async def banner_for(visit: Visit, case: Case) -> Banner | None:
    """The patient's banner, if this person may see the patient."""
    if not case.patient:
        return None
    return banner_of(case.patient, await known_allergies(visit.fhir, f"Patient/{case.patient['id']}"))


async def overview(visit: Visit) -> Response:
    """Question, story, what is missing, people."""
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    records, frame = await asyncio.gather(
        load_records(visit.fhir, case, clock_of(visit)), frame_of(visit, case, "overview")
    )
    return visit.render("case_overview.html", **frame, records=records, gaps=missing(case, records))


@dataclass(frozen=True, slots=True)
class Line:
    """One record in the list; `opens` when the case names it itself."""

    line: Item
    group_title: str
    opens: bool


LINES: Plan[Line] = Plan(
    columns=(),
    choices=(Choice("kind", "Kind", lambda row: row.group_title),),
    text=lambda row: f"{row.line.title} {row.line.detail} {row.line.date}",
    per_page=200,
)


async def records(visit: Visit) -> Response:
    """Everything that goes along but imaging, by kind; searched and filtered by the address."""
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    found, frame = await asyncio.gather(
        load_records(visit.fhir, case, clock_of(visit)), frame_of(visit, case, "records")
    )
    named = set(named_by(case))
    rows = [Line(line, title, line.reference in named) for title, lines in found.groups for line in lines]
    return visit.render("case_records.html", **frame, list=listing(LINES, rows, dict(visit.request.query_params)))


async def activity(visit: Visit) -> Response:
    """Who did what, newest first."""
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    thread = await thread_of(visit, case)
    events = await load_timeline(visit.fhir, case, thread)
    wanted = visit.request.query_params.get("kind", "")
    shown = [each for each in events if not wanted or each.kind == wanted]
    counts = {kind: sum(each.kind == kind for each in events) for kind in KINDS}
    days = by_day(shown, clock_of(visit))
    return await tab(visit, "activity", case=case, days=days, kinds=KINDS, counts=counts, wanted=wanted)


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
        values = await head_values(visit, case, visit.request.query_params.get("tab", ""))
        await mark_seen(visit, values["thread"], case)
        for name, html in _live_parts(visit, values).items():
            if sent.get(name) != html:
                sent[name] = html
                yield _event(name, html)
        if case.state in ENDED:
            yield _event("end", case.state)
            return
        running = any(each.running for each in case.retrievals())
        yield ": still here\n\n"
        await asyncio.sleep(LIVE_SECONDS if running else QUIET_SECONDS)


def _live_parts(visit: Visit, values: dict[str, Any]) -> dict[str, str]:
    names = ("case-head", "case-retrievals", "case-unread", "case-thread", "case-ways")
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


async def send_again(visit: Visit) -> Response:
    """POST: try a failed write-back again."""
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    await run_sync(visit.services.writebacks.send_again, case.id)
    visit.services.ring()
    return visit.go(f"cases/{case.id}/report")


routes = [
    page("cases/{case}", overview),
    page("cases/{case}/records", records),
    page("cases/{case}/activity", activity),
    page("cases/{case}/events", events),
    page("cases/{case}/send-again", send_again, ("POST",)),
]
