"""The part of a signing dialog in which the signer proves who they are; reading room and amendment share it."""

from collections.abc import Awaitable, Callable

from starlette.responses import Response

from smart_app.errors import AppError, Changed, SignedOut
from smart_app.reading import proof
from smart_app.reading.signing import Prepared, send_waiting, to_window, waiting_for
from smart_app.store.drafts import Draft
from smart_app.visit import Visit

Handler = Callable[[Visit], Awaitable[Response]]


async def ask(visit: Visit) -> Response:
    """The fields for what this person has: PIN, code, or the way to a window."""
    return await shown(visit)


async def shown(visit: Visit, problem: AppError | None = None, way: Prepared | None = None) -> Response:
    """The dialog's part; `way` leads to the window, `problem` says why nothing is signed yet."""
    dialog = "/".join(visit.request.url.path.split("/")[3:6])  # cases/x/sign or cases/x/amend, from any below it
    account = f"{visit.services.settings.fhir_issuer}/account"
    values = {"problem": problem, "way": way, "dialog": dialog, "account": account}
    return visit.render(
        "signing_proof.html", problem.status if problem else 200, ways=await proof.ways(visit), **values
    )


def in_dialog(handler: Handler) -> Handler:
    """Say in the dialog what stands in the way, so that it stays open; on a page of its own without HTMX."""

    async def answer(visit: Visit) -> Response:
        try:
            return await handler(visit)
        except SignedOut:
            raise
        except AppError as problem:
            if not visit.is_htmx:
                raise
            return await shown(visit, problem)

    return answer


async def window(visit: Visit, draft: Draft, prepared: Prepared) -> Response:
    """The way to the window; this page asks until its person has come back from it."""
    return await shown(visit, way=await to_window(visit, draft, prepared))


async def wait(visit: Visit, draft: Draft | None) -> Response:
    """Nothing yet (204), a new way where the old one has expired, or the signed report."""
    case = visit.request.path_params["case"]
    if draft is None or draft.state != "open":
        return visit.go(f"cases/{case}/report")
    waiting = await waiting_for(visit, draft)
    if waiting is None:
        raise Changed("The report was changed since.", "Look at it, then sign again.")
    given = await proof.proved(visit, waiting.handle)
    if given == "waiting":
        return Response(status_code=204)
    if given == "expired":
        return await window(visit, draft, waiting)
    await send_waiting(visit, draft, waiting, given)
    return visit.go(f"cases/{case}/report")
