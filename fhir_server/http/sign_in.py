"""Pages where a person meets the authorization server: sign-in, choice of patient, consent.  SMART app-launch.html"""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from authlib.oauth2 import OAuth2Error
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from fhir_server.auth import accounts, authorize, demo, patients, sessions
from fhir_server.auth.authorize import AskConsent, ChoosePatient, Redirect, Step, Untrusted
from fhir_server.auth.policy import describe
from fhir_server.auth.server import AuthorizationServer
from fhir_server.auth.sessions import Session
from fhir_server.caller import Caller
from fhir_server.http import auditing, oauth_form, pages
from fhir_server.store.auth_values import Account

ServerOf = Callable[[Request], AuthorizationServer]
Page = Callable[[AuthorizationServer, Request], Awaitable[Response]]
FAILED = "User name or password is not right."
LOCKED = "Too many attempts. Please wait a few minutes and try again."
EXPIRED = "This page has expired. Please try again."


def routes(server_of: ServerOf) -> list[BaseRoute]:
    """List the routes of the pages."""

    def page(path: str, handler: Page, *methods: str) -> Route:
        async def answer(request: Request) -> Response:
            server = server_of(request)
            try:
                return await handler(server, request)
            except Untrusted as refused:
                return pages.render(server, request, "message.html", {"message": str(refused)}, 400)
            except OAuth2Error:
                return pages.render(server, request, "message.html", {"message": "The request is malformed."}, 400)

        return Route(path, answer, methods=list(methods))

    return [
        page("/oauth/authorize", _authorize, "GET", "POST"),
        page("/oauth/continue", _continue, "GET"),
        page("/oauth/continue", _decide, "POST"),
        page("/login", _sign_in_page, "GET"),
        page("/login", _sign_in, "POST"),
        page("/logout", _sign_out, "POST"),
        Route("/oauth/pages.css", pages.style, methods=["GET"]),
    ]


async def _authorize(server: AuthorizationServer, request: Request) -> Response:
    """Answer the authorization endpoint, GET or POST.  A code at once where nothing is to be asked."""
    given = oauth_form.parse(request.url.query.encode()) if request.method == "GET" else await oauth_form.read(request)
    try:
        asked = await authorize.check(server, given)
    except OAuth2Error as error:
        if error.redirect_uri is None:
            raise
        back = authorize.Request("", error.redirect_uri, "", "", state=error.state)
        return _redirect(back.redirect(error=error.error or "", error_description=error.get_error_description()))
    session = await _session(server, request)
    if (person := await demo.hinted(server, given, session)) is not None:
        return await _enter_demo(server, request, asked, person)
    if asked.prompt == "login" and session is not None:
        return await _ask_anew(server, request, asked)
    step = await authorize.proceed(server, asked, session)
    if isinstance(step, Redirect):
        return _redirect(step.url)
    return _redirect(server.url(f"oauth/continue?request={await authorize.keep(server, asked)}"))


async def _ask_anew(server: AuthorizationServer, request: Request, asked: authorize.Request) -> Response:
    """End this browser's session: the client wants the person to sign in again.  OpenID Connect Core 3.1.2.1 prompt"""
    await sessions.end(server.db, server.settings, request.cookies)
    answer = _redirect(server.url(f"oauth/continue?request={await authorize.keep(server, asked)}"))
    answer.headers.append("Set-Cookie", sessions.clear_cookie(server.settings))
    return answer


async def _enter_demo(
    server: AuthorizationServer, request: Request, asked: authorize.Request, person: Account
) -> Response:
    """Sign the named person in, in a demo only, and go on with the request."""
    await auditing.signed_in(request, auditing.person(person), auditing.LOGIN)
    waiting = await authorize.keep(server, demo.allowed(asked, person))
    answer = _redirect(server.url(f"oauth/continue?request={waiting}"))
    answer.headers.append("Set-Cookie", await demo.enter(server, person, request.cookies))
    return answer


async def _continue(server: AuthorizationServer, request: Request) -> Response:
    """Show what the waiting request needs next, or finish it."""
    handle = request.query_params.get("request", "")
    asked = await authorize.waiting(server, handle)
    session = await _session(server, request)
    step = await authorize.proceed(server, asked, session)
    if isinstance(step, Redirect):
        await authorize.finish(server, handle)
        return _redirect(step.url)
    template, values = await _shown(server, request, step, session)
    return pages.render(server, request, template, {"handle": handle, "return_to": asked.redirect_uri} | values)


async def _shown(
    server: AuthorizationServer, request: Request, step: Step, session: Session | None
) -> tuple[str, dict[str, object]]:
    """Choose the page of a step."""
    match step:
        case ChoosePatient(client):
            text = request.query_params.get("name", "")
            found = await patients.find(server.node, _account(session), text)
            return "patient.html", {"client": client, "patients": found, "text": text}
        case AskConsent(client, granted):
            return "consent.html", {"client": client, "account": _account(session), "grants": describe(granted)}
        case _:
            return "sign_in.html", {"username": "", "problem": ""}


async def _decide(server: AuthorizationServer, request: Request) -> Response:
    """Take the person's choice of patient, or consent."""
    fields = await oauth_form.single(request)
    handle = fields.get("request", "")
    asked = await authorize.waiting(server, handle)
    session = await _session(server, request)
    if session is None or not pages.is_own_form(server, request, fields):
        raise Untrusted(EXPIRED)
    if fields.get("decision") == "deny":
        await authorize.finish(server, handle)
        return _redirect(asked.redirect(error="access_denied"))
    person = session.account.account_id
    patient = fields.get("patient") or (asked.patient if asked.decided_by == person else None)
    if fields.get("patient") and not await patients.may_choose(server.node, session.account, fields["patient"]):
        raise Untrusted(EXPIRED)
    consented = fields.get("decision") == "allow"
    await authorize.change(server, handle, replace(asked, decided_by=person, patient=patient, consented=consented))
    return _redirect(server.url(f"oauth/continue?request={handle}"))


async def _sign_in_page(server: AuthorizationServer, request: Request) -> Response:
    """Show the sign-in page, or who is signed in."""
    session = await _session(server, request)
    if session is not None:
        return pages.render(server, request, "signed_in.html", {"account": session.account})
    return pages.render(server, request, "sign_in.html", {"handle": "", "username": "", "problem": ""})


async def _sign_in(server: AuthorizationServer, request: Request) -> Response:
    """Sign a person in; the former session of this browser ends.  Goes on with the waiting request, never elsewhere."""
    fields = await oauth_form.single(request)
    handle, username = fields.get("request", ""), fields.get("username", "")
    asked = await authorize.waiting(server, handle) if handle else None
    shown = {"handle": handle, "username": username, "return_to": asked.redirect_uri if asked is not None else ""}

    def again(problem: str, status: int) -> Response:
        return pages.render(server, request, "sign_in.html", shown | {"problem": problem}, status)

    if not pages.is_own_form(server, request, fields):
        return again(EXPIRED, 403)
    try:
        account = await accounts.authenticate(server.db, username, fields.get("password", ""), server.clock())
    except accounts.Locked:
        await auditing.signed_in(request, _unproved(username), auditing.LOGIN, "locked: too many attempts")
        return again(LOCKED, 429)
    if account is None:
        await auditing.signed_in(request, _unproved(username), auditing.LOGIN, "wrong name or password")
        return again(FAILED, 401)
    await auditing.signed_in(request, auditing.person(account), auditing.LOGIN)
    await sessions.end(server.db, server.settings, request.cookies)
    token = await sessions.create(server.db, server.settings, account, server.clock())
    answer = _redirect(server.url(f"oauth/continue?request={handle}" if handle else "login"))
    answer.headers.append("Set-Cookie", sessions.set_cookie(server.settings, token))
    return answer


async def _sign_out(server: AuthorizationServer, request: Request) -> Response:
    """End the session."""
    if not pages.is_own_form(server, request, await oauth_form.single(request)):
        raise Untrusted(EXPIRED)
    session = await _session(server, request)
    await sessions.end(server.db, server.settings, request.cookies)
    if session is not None:
        await auditing.signed_in(request, auditing.person(session.account), auditing.LOGOUT)
    answer = _redirect(server.url("login"))
    answer.headers.append("Set-Cookie", sessions.clear_cookie(server.settings))
    return answer


async def _session(server: AuthorizationServer, request: Request) -> Session | None:
    return await sessions.lookup(server.db, server.settings, request.cookies, server.clock())


def _unproved(username: str) -> Caller:
    """Who somebody claims to be."""
    return Caller(username[:200], "browser")


def _account(session: Session | None) -> Account:
    if session is None:
        raise Untrusted(EXPIRED)
    return session.account


def _redirect(url: str) -> Response:
    """Redirect by 303: after a POST the browser goes on with GET and sends no form data along."""
    headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return RedirectResponse(url, status_code=303, headers=headers)
