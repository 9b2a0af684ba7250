"""Pages where a person meets the authorization server: sign-in, choice of patient, consent.  SMART app-launch.html"""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from authlib.oauth2 import OAuth2Error
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fhir_server.auth import accounts, acting, authorize, demo, patients, reauthentication, sessions
from fhir_server.auth.authorize import AskConsent, AskSignature, ChoosePatient, Redirect, Step, Untrusted
from fhir_server.auth.federation import logout
from fhir_server.auth.policy import offers
from fhir_server.auth.server import AuthorizationServer
from fhir_server.auth.sessions import Session
from fhir_server.caller import Caller
from fhir_server.http import (
    auditing,
    by_mail,
    federation,
    oauth_form,
    own_account,
    pages,
    second_step,
    signing_window,
    welcome,
)
from fhir_server.http.pages import EXPIRED, LOCKED, redirect
from fhir_server.scopes import split
from fhir_server.store.auth_values import Account
from konsil.serving import address_of

ServerOf = Callable[[Request], AuthorizationServer]
Page = Callable[[AuthorizationServer, Request], Awaitable[Response]]
FAILED = "User name or password is not right."


BY_LINK: tuple[tuple[str, str, Page], ...] = (
    ("/account/welcome", "GET", welcome.show),
    ("/account/welcome", "POST", welcome.prove),
    ("/account/welcome/password", "POST", welcome.choose),
    ("/account/welcome/code", "POST", welcome.confirm),
    ("/account/welcome/add", "POST", welcome.add),
    ("/account/forgot", "GET", by_mail.forgot_page),
    ("/account/forgot", "POST", by_mail.forgot),
    ("/account/forgotten", "GET", by_mail.forgotten_page),
    ("/account/forgotten", "POST", by_mail.forgotten),
    ("/account/address", "GET", by_mail.address_page),
    ("/account/address", "POST", by_mail.address),
)


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
        page("/login/code", second_step.give_code, "POST"),
        page("/login/mailed", second_step.give_mailed_code, "POST"),
        page("/login/enrol", second_step.enrol, "POST"),
        page("/logout", _sign_out, "POST"),
        page("/account", own_account.show, "GET"),
        page("/account", own_account.change, "POST"),
        page("/account/reset", own_account.reset_page, "GET"),
        page("/account/reset", own_account.reset, "POST"),
        *(page(path, handler, method) for path, method, handler in BY_LINK),
        *federation.routes(page, server_of),
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
        return redirect(
            back.redirect(server.issuer, error=error.error or "", error_description=error.get_error_description())
        )
    session = await _session(server, request)
    if (person := await demo.hinted(server, given, session)) is not None:
        return await _enter_demo(server, request, asked, person)
    step = await authorize.proceed(server, asked, session)
    if isinstance(step, Redirect):
        return redirect(step.url)
    return redirect(server.url(f"oauth/continue?request={await authorize.keep(server, asked)}"))


async def _enter_demo(
    server: AuthorizationServer, request: Request, asked: authorize.Request, person: Account
) -> Response:
    """Sign the named person in, in a demo only, and go on with the request."""
    await auditing.signed_in(request, auditing.person(person), auditing.LOGIN)
    waiting = await authorize.keep(server, demo.allowed(asked, person))
    answer = redirect(server.url(f"oauth/continue?request={waiting}"))
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
        return redirect(step.url)
    template, values = await _shown(server, request, step, session)
    fixed = {"handle": handle, "return_to": asked.redirect_uri, "told": await signing_window.told(server, asked)}
    return pages.render(server, request, template, fixed | values)


async def _shown(
    server: AuthorizationServer, request: Request, step: Step, session: Session | None
) -> tuple[str, dict[str, object]]:
    """Choose the page of a step."""
    match step:
        case ChoosePatient(client):
            text = request.query_params.get("name", "")
            found = await patients.find(server.node, _account(session), text)
            in_person = acting.is_in_person(_account(session))
            return "patient.html", {"client": client, "patients": found, "text": text, "in_person": in_person}
        case AskConsent(client, granted):
            return "consent.html", {"client": client, "account": _account(session), "offers": offers(granted)}
        case AskSignature(key):
            row, signer = await reauthentication.asked(server, key)
            if reauthentication.is_signer(row, session):
                return "signing.html", {"account": signer, "title": row["title"]}
    return "sign_in.html", {"username": "", "problem": ""} | await federation.buttons(server)


async def _decide(server: AuthorizationServer, request: Request) -> Response:
    """Take the person's choice of patient, or consent to the scopes that are ticked."""
    form = await oauth_form.read(request)
    fields = {name: values[0] for name, values in form.items()}
    handle = fields.get("request", "")
    asked = await authorize.waiting(server, handle)
    session = await _session(server, request)
    if session is None or not pages.is_own_form(server, request, fields):
        raise Untrusted(EXPIRED)
    if asked.signing is not None:
        return await signing_window.decide(server, request, asked.signing, session)
    if fields.get("decision") == "deny":
        await authorize.finish(server, handle)
        return redirect(asked.redirect(server.issuer, error="access_denied"))
    person = session.account.account_id
    patient = fields.get("patient") or (asked.patient if asked.decided_by == person else None)
    if fields.get("patient") and not await patients.may_choose(server.node, session.account, fields["patient"]):
        raise Untrusted(EXPIRED)
    consented = fields.get("decision") == "allow"
    allowed = split(" ".join(form.get("scope", ()))) if consented else None
    decided = replace(asked, decided_by=person, patient=patient, consented=consented, allowed=allowed)
    await authorize.change(server, handle, decided)
    return redirect(server.url(f"oauth/continue?request={handle}"))


async def _sign_in_page(server: AuthorizationServer, request: Request) -> Response:
    """Show the sign-in page, or who is signed in."""
    if await _session(server, request) is not None:
        return redirect(server.url("account"))
    values = {"handle": "", "username": "", "problem": "", "told": ""} | await federation.buttons(server)
    return pages.render(server, request, "sign_in.html", values)


async def _sign_in(server: AuthorizationServer, request: Request) -> Response:
    """Sign a person in; the former session of this browser ends.  Goes on with the waiting request, never elsewhere."""
    fields = await oauth_form.single(request)
    handle, username = fields.get("request", ""), fields.get("username", "")
    asked = await authorize.waiting(server, handle) if handle else None
    shown = {"handle": handle, "username": username, "return_to": asked.redirect_uri if asked is not None else ""}
    shown["told"] = await signing_window.told(server, asked)
    shown |= await federation.buttons(server)

    def again(problem: str, status: int) -> Response:
        return pages.render(server, request, "sign_in.html", shown | {"problem": problem}, status)

    if not pages.is_own_form(server, request, fields):
        return again(EXPIRED, 403)
    try:
        account = await _authenticate(server, request, username, fields.get("password", ""))
    except accounts.Locked:
        await auditing.signed_in(request, _unproved(username), auditing.LOGIN, "locked: too many attempts")
        return again(LOCKED, 429)
    if account is None:
        await auditing.signed_in(request, _unproved(username), auditing.LOGIN, "wrong name or password")
        return again(FAILED, 401)
    return await second_step.after_password(server, request, account, handle)


async def _authenticate(server: AuthorizationServer, request: Request, username: str, password: str) -> Account | None:
    """Check name and password, unless too many were wrong from this address.  Raises Locked."""
    address = f"person {address_of(request.scope)}"
    if server.failures.closed(address):
        raise accounts.Locked
    account = await accounts.authenticate(server.db, username, password, server.clock())
    if account is None:
        server.failures.wait(address)
    return account


async def _sign_out(server: AuthorizationServer, request: Request) -> Response:
    """End the session; `everywhere`, all of this person's, and every access given."""
    fields = await oauth_form.single(request)
    if not pages.is_own_form(server, request, fields):
        raise Untrusted(EXPIRED)
    session = await _session(server, request)
    way = await logout.way_out(server, session.account, request.cookies) if session is not None else None
    if session is not None and fields.get("everywhere") == "yes":
        await accounts.sign_out_everywhere(server.db, session.account.account_id, server.clock())
    await sessions.end(server.db, server.settings, request.cookies)
    if session is not None:
        await auditing.signed_in(request, auditing.person(session.account), auditing.LOGOUT)
    answer = redirect(server.url("login")) if way is None else await federation.signed_out(server, request, way)
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
