"""`/l/{launch}/requests` and `/patient`: the requester's cases, those that need them first."""

import asyncio
from dataclasses import dataclass

from starlette.responses import Response

from smart_app.banner import Banner, banner_of
from smart_app.case.states import FINISHED
from smart_app.case.status import Promise, Status, promise_of, status_of
from smart_app.case.view import Case, children_of, load_cases
from smart_app.visit import NavItem, Visit, page
from smart_app.words import Clock

NEEDS_REQUESTER = frozenset({"report-signed", "report-amended", "info-requested", "declined"})


@dataclass(frozen=True)
class Row:
    """One line of the list."""

    case: Case
    banner: Banner
    status: Status
    promise: Promise | None


@dataclass(frozen=True)
class Group:
    """Rows under one heading."""

    title: str
    rows: list[Row]


async def requests(visit: Visit) -> Response:
    """Cases that need the requester first, then running, then closed."""
    cases = await load_cases(visit.fhir, {"requester": visit.launch.practitioner})
    return visit.render("requests.html", groups=groups_of(await rows_of(visit, cases)))


async def patient(visit: Visit) -> Response:
    """Where a launch with a patient lands: the running case, the list if there are several, else a new request."""
    criteria = {"patient": visit.launch.patient or "", "requester": visit.launch.practitioner}
    cases = await load_cases(visit.fhir, criteria)
    running = [case for case in cases if case.state not in FINISHED]
    if not cases:
        return visit.go("new")
    if len(running) == 1:
        return visit.go(f"cases/{running[0].id}")
    banner = banner_of(cases[0].patient)
    return visit.render("requests.html", groups=groups_of(await rows_of(visit, cases)), banner=banner, of_patient=True)


async def rows_of(visit: Visit, cases: list[Case]) -> list[Row]:
    """Lines with their sentences; children are read only where images are on their way."""
    clock = Clock(visit.services.settings.time_zone)
    fetching = {"submitted", "awaiting-records", "reconciling"}
    children = await asyncio.gather(
        *(children_of(visit.fhir, case.id) if case.state in fetching else _none() for case in cases)
    )
    full = [
        Case(case.task, case.request, case.patient, found, case.people)
        for case, found in zip(cases, children, strict=True)
    ]
    return [Row(case, banner_of(case.patient), status_of(case, clock), promise_of(case, clock)) for case in full]


def groups_of(rows: list[Row]) -> list[Group]:
    """The three groups, empty ones left out."""
    needing = [row for row in rows if row.case.state in NEEDS_REQUESTER]
    closed = [row for row in rows if row.case.state in FINISHED and row not in needing]
    running = [row for row in rows if row not in needing and row not in closed]
    groups = [Group("Waiting for you", needing), Group("Running", running), Group("Closed", closed)]
    return [group for group in groups if group.rows]


async def _none() -> list[dict[str, object]]:
    return []


routes = [page("requests", requests), page("patient", patient)]
nav = [NavItem("My requests", "requests", "inbox", ("requester",))]
