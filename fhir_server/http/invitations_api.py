"""`/account/invitations` as JSON, with a bearer token: invite, list, send again, take back.

For the app's page and for interface engines; who may, `auth/invitations.py` says.
"""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from fhir_server.auth import invitations, tokens
from fhir_server.auth.server import AuthorizationServer
from fhir_server.caller import Caller
from fhir_server.errors import FhirError, Invalid
from fhir_server.http import auditing
from fhir_server.http.body import read_body
from fhir_server.http.endpoint import authenticated
from fhir_server.http.responses import failure

ServerOf = Callable[[Request], AuthorizationServer]
Act = Callable[[AuthorizationServer, Request, Caller], Awaitable[Any]]
LONGEST_BODY = 10_000
NO_STORE = {"Cache-Control": "no-store"}


def routes(server_of: ServerOf) -> list[BaseRoute]:
    """List the routes."""

    def route(path: str, act: Act, method: str) -> Route:
        async def answer(request: Request) -> Response:
            server = server_of(request)
            try:
                caller = await authenticated(server.node, request, tokens.resolve)
                return JSONResponse(await act(server, request, caller), headers=NO_STORE)
            except FhirError as error:
                return failure(error, request)

        return Route(path, answer, methods=[method])

    return [
        route("/account/invitations", _list, "GET"),
        route("/account/invitations", _invite, "POST"),
        route("/account/invitations/{id}/resend", _resend, "POST"),
        route("/account/invitations/{id}/revoke", _revoke, "POST"),
    ]


async def _list(server: AuthorizationServer, request: Request, caller: Caller) -> dict[str, Any]:
    page = request.query_params.get("page", "0")
    if not page.isascii() or not page.isdigit() or len(page) > 6:
        raise Invalid("page is a number from 0.")
    found = await invitations.listed(server, caller, int(page))
    return {"invitations": [asdict(each) for each in found], "more": len(found) == invitations.AT_ONCE}


async def _invite(server: AuthorizationServer, request: Request, caller: Caller) -> dict[str, Any]:
    """`{"subject": "Patient/x" or "RelatedPerson/x", "email": "..."}`; without email the record's."""
    try:
        asked = orjson.loads(await read_body(request, LONGEST_BODY))
        subject, email = asked["subject"], asked.get("email") or ""
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        raise Invalid('The body is {"subject": "Patient/...", "email": "..."}.') from None
    if not isinstance(subject, str) or not isinstance(email, str):
        raise Invalid("subject and email are texts.")
    made = await invitations.invite(server, caller, subject, email)
    await auditing.about(request, caller, f"invitation sent for {made.subject}", made.patient)
    return asdict(made)


async def _resend(server: AuthorizationServer, request: Request, caller: Caller) -> dict[str, Any]:
    made = await invitations.resend(server, caller, str(request.path_params["id"]))
    await auditing.about(request, caller, f"invitation sent again for {made.subject}", made.patient)
    return asdict(made)


async def _revoke(server: AuthorizationServer, request: Request, caller: Caller) -> dict[str, Any]:
    made = await invitations.revoke(server, caller, str(request.path_params["id"]))
    await auditing.about(request, caller, f"invitation taken back for {made.subject}", made.patient)
    return asdict(made)
