"""`/l/{launch}/help`: how konsil works, in a page; the guided visit; whether the sign-in still holds."""

from collections.abc import Mapping, Sequence

from anyio.to_thread import run_sync
from starlette.responses import Response

from smart_app.case.states import road
from smart_app.visit import Visit, page

YOUR_PART: Mapping[str, Sequence[tuple[str, str]]] = {
    "requester": (
        ("Ask", "Open the patient's chart and the app in it. Write the question, look at what goes along, send."),
        ("Answer", "When the consultant asks something, the case comes to the top of your requests."),
        ("Close", "Read the report, acknowledge it. It also stands among the notes of the chart."),
    ),
    "coordinator": (
        ("Look", "The board shows every running case by where it stands, the nearest promise on top."),
        ("Offer", "When the records are there, offer the case to a consultant; the ranking says why each fits."),
        ("Follow", "A case given back returns to Ready with its reason."),
    ),
    "consultant": (
        ("Accept", "An offered case shows the question first. Accept it, or give it back with a reason."),
        ("Read", "Images, records and your report on one screen; cite a record by its number."),
        ("Sign", "The list beside the report says what is missing. A signed report can be amended, never unsigned."),
    ),
    "him": (
        ("Compare", "Each outside study stands beside the patient it is meant for, field by field."),
        ("Decide", "Accept, and the images carry the patient's own numbers; reject, and nobody sees them."),
        ("Watch", "Sources and transfers show which archives answer and what failed, with the remedy."),
    ),
    "radiologist": (
        ("Read", "Open a case from the worklist: current and prior images side by side."),
        ("Report", "Write and sign as the service line asks."),
    ),
}


async def show(visit: Visit) -> Response:
    """The reader's own part, the road of a case, and what holds for everybody."""
    parts = [(role, steps) for role, steps in YOUR_PART.items() if visit.launch.has_role(role)]
    titles = dict(zip(visit.launch.roles, visit.launch.role_titles, strict=False))
    return visit.render("help.html", parts=parts, titles=titles, steps=road("intake"))


async def leave_tour(visit: Visit) -> Response:
    """POST: the guided visit is over for this person."""
    await run_sync(visit.services.tours.leave, visit.launch)
    return Response(status_code=204)


async def tour_again(visit: Visit) -> Response:
    """POST: show the guided visit again, on the first page."""
    await run_sync(visit.services.tours.again, visit.launch)
    return visit.go("")


async def here(_: Visit) -> Response:
    """GET: 204 while the sign-in holds; a page asks this when it was cut off."""
    return Response(status_code=204)


async def signed_in(visit: Visit) -> Response:
    """GET: where the window ends that was opened to sign in again."""
    return visit.render("signed_in.html")


routes = [
    page("help", show),
    page("here", here),
    page("signed-in", signed_in),
    page("tour/leave", leave_tour, ("POST",)),
    page("tour/again", tour_again, ("POST",)),
]
