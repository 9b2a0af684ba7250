"""`inbox`: what came from outside and waits for HIM staff, most urgent first, with a look at each."""

from dataclasses import replace
from typing import Any

from starlette.responses import Response

from smart_app.arrivals import Arrival, following, tasks, waiting
from smart_app.errors import AppError, NotFound
from smart_app.gateway import gateway_of
from smart_app.listing import Choice, Column, Plan, listing
from smart_app.visit import NavItem, Visit, page
from smart_app.words import Clock, person_name

STAFF = ("him", "administrator")


async def inbox(visit: Visit) -> Response:
    """Open arrivals, most urgent first; the one beside them is shown in short."""
    visit.require(*STAFF)
    arrivals, problem = await compared(visit)
    shown = listing(plan_of(visit), arrivals, visit.request.query_params)
    at = visit.request.query_params.get("at", "")
    chosen = next((each for each in arrivals if each.id == at), next(iter(shown.rows), None))
    decided = await tasks(visit, {"status": "completed", "_sort": "-_lastUpdated"}, most=8)
    now = clock_of(visit).now()
    return visit.render(
        "inbox.html",
        list=shown,
        chosen=chosen,
        began=bool(at),
        problem=problem,
        decided=decided,
        now=now,
        following=following(arrivals, chosen.id, now) if chosen else "",
        resting=sum(each.put_off(now) for each in arrivals),
    )


async def preview(visit: Visit) -> Response:
    """One arrival in short: who is meant, who the outside record says it is, the first pictures."""
    visit.require(*STAFF)
    arrivals, problem = await compared(visit)
    wanted = visit.request.path_params["task"]
    chosen = next((each for each in arrivals if each.id == wanted), None)
    if chosen is None:
        raise NotFound("This arrival does not wait any more.", "Somebody decided on it. The list shows what is left.")
    now = clock_of(visit).now()
    after = following(arrivals, chosen.id, now)
    return visit.render("inbox_preview.html", chosen=chosen, problem=problem, now=now, following=after)


async def compared(visit: Visit) -> tuple[list[Arrival], AppError | None]:
    """What waits, with the gateway's comparison; without it, and why, when the gateway does not answer."""
    arrivals = await waiting(visit, clock_of(visit).now())
    if not arrivals:
        return arrivals, None
    try:
        found: Any = (await (await gateway_of(visit)).arrivals())["arrivals"]
    except AppError as failure:
        return arrivals, failure
    return [replace(each, found=found.get(each.id, {})) for each in arrivals], None


def plan_of(visit: Visit) -> Plan[Arrival]:
    """How the list is searched, filtered and sorted."""
    now = clock_of(visit).now()
    columns: list[Column[Arrival]] = [
        Column("what", "What came", lambda each: each.title),
        Column("from", "From", lambda each: each.source),
        Column("match", "Match", lambda each: -(each.score if each.score is not None else -99)),
        Column("patient", "Meant for", lambda each: person_name(each.patient)),
        Column("arrived", "Waits since", lambda each: str(each.task.get("authoredOn", ""))),
        Column("due", "Promised", lambda each: each.promised),
    ]
    choices: list[Choice[Arrival]] = [
        Choice("band", "Match", lambda each: each.band_title),
        Choice("source", "From", lambda each: each.source),
        Choice("kind", "Kind", lambda each: each.kind),
        Choice("state", "State", lambda each: "Put off" if each.put_off(now) else "Waiting"),
    ]
    return Plan(columns, choices, words_of)


def words_of(each: Arrival) -> str:
    """What a search looks in."""
    numbers = [str(one.get("value", "")) for one in (each.patient or {}).get("identifier", [])]
    return " ".join([each.title, each.source, person_name(each.patient), each.question, each.kind, *numbers])


def clock_of(visit: Visit) -> Clock:
    """The clock of the site."""
    return Clock(visit.services.settings.time_zone)


routes = [page("inbox", inbox), page("inbox/{task}", preview)]
nav = [NavItem("Inbox", "inbox", "inbox", STAFF)]
