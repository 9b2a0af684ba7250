"""`/l/{launch}/triage`: the coordinator's board, and the offer of a case to a consultant."""

from dataclasses import dataclass

from starlette.responses import Response

from smart_app.case import acting
from smart_app.case.consultants import candidates
from smart_app.case.view import load_case, load_cases
from smart_app.errors import Invalid
from smart_app.pages.case import tab
from smart_app.pages.requests import Row, rows_of
from smart_app.visit import NavItem, Visit, page
from smart_app.words import Clock

COLUMNS = (
    ("Records", ("submitted", "awaiting-records", "reconciling")),
    ("Ready", ("ready-for-triage",)),
    ("Offered", ("offered",)),
    ("Reading", ("assigned", "in-review", "ancillary-read", "info-requested", "consent-lapsed", "cancel-requested")),
    ("Signed", ("report-signed", "report-amended")),
)


@dataclass(frozen=True)
class Column:
    """One column of the board."""

    title: str
    rows: list[Row]
    offers: bool


async def triage(visit: Visit) -> Response:
    """All running cases by where they stand, the nearest promise first."""
    visit.require("coordinator", "programme-manager", "administrator")
    cases = await load_cases(
        visit.fhir, {"status": "requested,received,accepted,in-progress,on-hold,completed"}, most=200
    )
    rows = sorted(await rows_of(visit, cases), key=lambda row: (row.case.promised or "9", row.case.id))
    columns = [
        Column(title, [row for row in rows if row.case.state in states], title in ("Records", "Ready"))
        for title, states in COLUMNS
    ]
    return visit.render("triage.html", columns=columns, as_table=visit.request.query_params.get("view") == "table")


async def offer(visit: Visit) -> Response:
    """Who could answer, ranked with reasons."""
    visit.require("coordinator", "programme-manager", "administrator")
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    return await tab(visit, "offer", case=case, action=None, candidates=await candidates(visit.fhir, case))


async def make_offer(visit: Visit) -> Response:
    """POST: offer the case to the chosen consultant."""
    practitioner = str((await visit.form()).get("practitioner", ""))
    if not practitioner.startswith("Practitioner/"):
        raise Invalid("Nobody was chosen.", "Choose a consultant.")
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    clock = Clock(visit.services.settings.time_zone)
    await acting.step(visit.fhir, case, "offered", clock, owner={"reference": practitioner})
    return visit.go("triage")


routes = [page("triage", triage), page("cases/{case}/offer", offer), page("cases/{case}/offer", make_offer, ("POST",))]
nav = [NavItem("Triage", "triage", "layout-kanban", ("coordinator", "programme-manager"))]
