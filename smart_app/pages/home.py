"""`/l/{launch}/`: the first page of each role."""

from starlette.responses import Response

from smart_app.visit import Visit, page

FIRST_PAGES = {
    "coordinator": "triage",
    "programme-manager": "triage",
    "privacy-officer": "access",
    "him": "inbox",
    "consultant": "worklist",
    "radiologist": "worklist",
    "requester": "requests",
    "patient": "my",
    "proxy": "my",
    "administrator": "administration",
}


async def home(visit: Visit) -> Response:
    """Send each role to its first page; a requester with a patient to that patient's running case or a new request."""
    if visit.launch.patient and visit.launch.has_role("requester"):
        return visit.go("patient")
    first = next((path for role, path in FIRST_PAGES.items() if visit.launch.has_role(role)), "requests")
    return visit.go(first)


routes = [page("", home)]
