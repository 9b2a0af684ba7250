"""`/l/{launch}/worklist`: the consultant's cases: offered first, then accepted and being read, then signed."""

from starlette.responses import Response

from smart_app.case.view import load_cases
from smart_app.pages.requests import Group, rows_of
from smart_app.visit import NavItem, Visit, page

GROUPS = (
    ("Offered to you", ("offered",)),
    ("Yours to read", ("assigned", "in-review", "ancillary-read")),
    ("Waiting for others", ("info-requested", "consent-lapsed", "cancel-requested")),
    ("Signed", ("report-signed", "report-amended", "acknowledged", "follow-up-due", "closed")),
)


async def worklist(visit: Visit) -> Response:
    """The cases whose owner this person is, the nearest promise first."""
    visit.require("consultant", "radiologist")
    cases = await load_cases(visit.fhir, {"owner": visit.launch.practitioner}, most=200)
    rows = sorted(await rows_of(visit, cases), key=lambda row: row.case.promised or "9")
    groups = [Group(title, [row for row in rows if row.case.state in states]) for title, states in GROUPS]
    return visit.render("worklist.html", groups=[group for group in groups if group.rows])


routes = [page("worklist", worklist)]
nav = [NavItem("Worklist", "worklist", "list-check", ("consultant", "radiologist"))]
