"""`/login/with/NAME`: to a hospital's identity provider and back, and its sign-outs.  OpenID Connect Core 3.1"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from authlib.oauth2 import OAuth2Error
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from fhir_server.auth import authorize, opaque, sessions, steps
from fhir_server.auth.authorize import Untrusted
from fhir_server.auth.federation import arriving, carrying, leaving, logout, people
from fhir_server.auth.federation.discovery import Failed
from fhir_server.auth.federation.leaving import Trip
from fhir_server.auth.federation.people import NotAdmitted
from fhir_server.auth.jose import Rejected
from fhir_server.auth.server import AuthorizationServer
from fhir_server.caller import Caller
from fhir_server.http import auditing, oauth_form, pages, second_step
from fhir_server.http.pages import EXPIRED, redirect
from fhir_server.store import auth_providers
from fhir_server.store.auth_providers import IdentityProvider
from fhir_server.store.auth_values import Account

Page = Callable[[AuthorizationServer, Request], Awaitable[Response]]
AddPage = Callable[..., Route]
NO_STORE = {"Cache-Control": "no-store"}
UNKNOWN = "This way of signing in is not offered here."


def routes(page: AddPage, server_of: Callable[[Request], AuthorizationServer]) -> list[BaseRoute]:
    """List the routes; `page` makes one of the pages where a person meets the authorization server."""

    async def told(request: Request) -> Response:
        return await _signed_out_there(server_of(request), request)

    return [
        page("/login/with/{name}", _leave, "GET"),
        page("/login/with/{name}/callback", _come_back, "GET"),
        page("/login/with/{name}/logout", _sign_out_there, "GET"),
        Route("/login/with/{name}/backchannel-logout", told, methods=["POST"]),
    ]


async def buttons(server: AuthorizationServer) -> dict[str, Any]:
    """The value of the sign-in page that lists the identity providers, in the order of the provisioned file."""
    return {"providers": await auth_providers.list_providers(server.db)}


async def signed_out(server: AuthorizationServer, request: Request, way: tuple[IdentityProvider, str]) -> Response:
    """Show that the session here has ended, and the way to end the one at the provider."""
    provider, step = way
    return pages.render(server, request, "signed_out.html", {"provider": provider, "step": step})


async def _leave(server: AuthorizationServer, request: Request) -> Response:
    """Send the person to the provider."""
    provider = await _provider(server, request)
    waiting = request.query_params.get("request", "")
    asked = await authorize.waiting(server, waiting) if waiting else None
    browser = request.cookies.get(_cookie_name(server)) or opaque.make()
    try:
        url = await leaving.authorization_url(server, provider, waiting, asked, browser)
    except Failed as failed:
        return await _refused(server, request, (provider, Trip(waiting)), failed)
    answer = redirect(url)
    answer.headers.append("Set-Cookie", f"{_cookie_name(server)}={browser}; {sessions.ATTRIBUTES}")
    return answer


async def _come_back(server: AuthorizationServer, request: Request) -> Response:
    """Take the provider's answer: who is it, and may they in?"""
    provider = await _provider(server, request)
    parameters = oauth_form.parse(request.url.query.encode())
    if any(len(values) > 1 for values in parameters.values()):
        raise Untrusted(EXPIRED)
    given = {name: values[0] for name, values in parameters.items()}
    browser, state, trip = request.cookies.get(_cookie_name(server), ""), given.get("state", ""), Trip()
    try:
        trip = await leaving.returned(server, provider, state, browser)
        arrived = await arriving.arrive(server, provider, given, trip, leaving.secrets_of(browser, state))
    except Failed as failed:
        return await _refused(server, request, (provider, trip), failed)
    try:
        known = await people.recognise(server, provider, arrived)
    except NotAdmitted as failed:
        return await _refused(
            server, request, (provider, trip), failed, _named(provider, arrived.subject, failed.account)
        )
    for change in known.changes:
        await auditing.changed(request, auditing.person(known.account), change)
    federated = carrying.sign_in_of(provider, arrived, trip, server.clock())
    go_on = second_step.enter if provider.proves_second_factor else second_step.after_password
    return await go_on(server, request, known.account, trip.waiting, federated)


async def _refused(
    server: AuthorizationServer,
    request: Request,
    where: tuple[IdentityProvider, Trip],
    failed: Failed,
    who: Caller | None = None,
) -> Response:
    """Say what went wrong and how to go on; put it down."""
    provider, trip = where
    await auditing.signed_in(request, who or _named(provider), auditing.LOGIN, f"{provider.name}: {failed.reason}")
    values = {"provider": provider, "words": failed.words, "handle": trip.waiting}
    return pages.render(server, request, "provider_failed.html", values, failed.status)


async def _sign_out_there(server: AuthorizationServer, request: Request) -> Response:
    """Go on from our sign-out to the provider's.  RP-Initiated Logout 2"""
    provider = await _provider(server, request)
    step = await steps.find(server, "leave", request.query_params.get("step", ""))
    if step is None or not await steps.finish(server, step):
        return redirect(server.url("login"))
    try:
        url = await logout.end_session_url(server, provider, step)
    except Failed as failed:
        return await _refused(server, request, (provider, Trip()), failed, auditing.person(step.account))
    return redirect(url or server.url("login"))


async def _signed_out_there(server: AuthorizationServer, request: Request) -> Response:
    """Take a logout token from the provider.  Back-Channel Logout 2.5, 2.8"""
    provider = await auth_providers.find_provider(server.db, request.path_params["name"])
    try:
        fields: Mapping[str, str] = await oauth_form.single(request)
        if provider is None:
            raise Rejected("unknown provider")
        ended = await logout.signed_out_by(server, provider, fields.get("logout_token", ""))
    except (Failed, Rejected, OAuth2Error) as error:
        reason = getattr(error, "reason", "malformed")
        who = _named(provider) if provider is not None else Caller("", "browser")
        await auditing.signed_in(request, who, auditing.LOGOUT, f"logout token refused: {reason}")
        return JSONResponse({"error": "invalid_request", "error_description": reason}, 400, NO_STORE)
    for account in ended:
        await auditing.signed_in(request, auditing.person(account, provider.name), auditing.LOGOUT)
    return Response(status_code=200, headers=NO_STORE)


async def _provider(server: AuthorizationServer, request: Request) -> IdentityProvider:
    found = await auth_providers.find_provider(server.db, request.path_params["name"])
    if found is None:
        raise Untrusted(UNKNOWN)
    return found


def _named(provider: IdentityProvider, subject: str = "", account: Account | None = None) -> Caller:
    """Who it was for the audit: the person where it is known, else what the provider calls them."""
    return auditing.person(account) if account is not None else Caller(subject[:200] or provider.name, provider.name)


def _cookie_name(server: AuthorizationServer) -> str:
    return f"__Host-{server.settings.cookie_name}-federation"
