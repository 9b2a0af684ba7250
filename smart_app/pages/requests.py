"""`/l/{launch}/requests`: the requester's cases, those that need them first."""

from starlette.responses import Response

from smart_app.visit import NavItem, Visit, page


async def requests(visit: Visit) -> Response:
    """All cases this person asked for."""
    found = await visit.fhir.search("Task", {"requester": visit.launch.practitioner, "_sort": "-_lastUpdated"})
    return visit.render("requests.html", tasks=found.matches)


routes = [page("requests", requests)]
nav = [NavItem("My requests", "requests", "inbox", ("requester",))]
