"""`/account`: what a person sees and changes of the own account: access given, second step, password, sign-out.

`/account/reset` takes a new password from who holds the link that `konsil fhir reset-account` makes.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from fhir_server.auth import accounts, addresses, pins, sessions, steps, totp, withdrawal
from fhir_server.auth.authorize import Untrusted
from fhir_server.auth.server import AuthorizationServer
from fhir_server.http import auditing, oauth_form, pages
from fhir_server.http.pages import EXPIRED, LOCKED, redirect
from fhir_server.http.second_step import WRONG_CODE
from fhir_server.store.auth_values import Account

WRONG_PASSWORD = "The password is not right."  # noqa: S105 (a sentence, no secret)
CONFIRM_BOTH = "We have sent an e-mail to both addresses. The change takes effect when you have confirmed both."
Fields = Mapping[str, str]
Act = Callable[[AuthorizationServer, Request, Account, Fields], Awaitable[Response]]


async def show(server: AuthorizationServer, request: Request) -> Response:
    """Show the page; who is not signed in signs in first."""
    session = await sessions.lookup(server.db, server.settings, request.cookies, server.clock())
    if session is None:
        return redirect(server.url("login"))
    return await _page(server, request, session.account)


async def change(server: AuthorizationServer, request: Request) -> Response:
    """Do what the button says."""
    fields = await oauth_form.single(request)
    session = await sessions.lookup(server.db, server.settings, request.cookies, server.clock())
    act = ACTS.get(fields.get("act", ""))
    if session is None or act is None or not pages.is_own_form(server, request, fields):
        raise Untrusted(EXPIRED)
    return await act(server, request, session.account, fields)


async def _withdraw(server: AuthorizationServer, request: Request, account: Account, fields: Fields) -> Response:
    name = await withdrawal.withdraw(server, account, fields.get("grant", ""))
    if name is not None:
        await auditing.changed(request, auditing.person(account), f"access of {name} withdrawn")
    return redirect(server.url("account"))


async def _begin(server: AuthorizationServer, request: Request, account: Account, fields: Fields) -> Response:
    if account.second_factor:  # an authenticator is replaced only by who can take the former one away
        raise Untrusted(EXPIRED)
    data = {"secret": totp.sealed(totp.new_secret())}
    step = steps.Step(await steps.begin(server.db, "enrol", account, data, server.clock()), account, data)
    return _enrolment(server, request, step)


async def _confirm(server: AuthorizationServer, request: Request, account: Account, fields: Fields) -> Response:
    step = await steps.find(server, "enrol", fields.get("step", ""))
    if step is None or step.account.account_id != account.account_id or account.second_factor:
        raise Untrusted(EXPIRED)
    problem = await _password_problem(server, account, fields)
    if problem:
        return _enrolment(server, request, step, problem)
    secret = totp.unsealed(str(step.data["secret"]))
    if not await totp.enrol(server.db, account, secret, fields.get("code", ""), server.clock()):
        return _enrolment(server, request, step, WRONG_CODE)
    await steps.finish(server, step)
    await auditing.changed(request, auditing.person(account), "second step set up")
    return redirect(server.url("account"))


async def _remove(server: AuthorizationServer, request: Request, account: Account, fields: Fields) -> Response:
    problem = await _password_problem(server, account, fields) or await _code_problem(server, account, fields)
    if problem:
        return await _page(server, request, account, problem)
    await totp.remove(server.db, account)
    if account.email is not None:  # who came by a link has a second step always: then a code by e-mail
        await addresses.use_codes(server, account)
    await auditing.changed(request, auditing.person(account), "second step taken away")
    return redirect(server.url("account"))


async def _pin(server: AuthorizationServer, request: Request, account: Account, fields: Fields) -> Response:
    if problem := await _proof_problem(server, account, fields):
        return await _page(server, request, account, problem)
    try:
        await pins.set_pin(server.db, account, fields.get("pin", ""))
    except accounts.Unsuitable as unsuitable:
        return await _page(server, request, account, str(unsuitable))
    await auditing.changed(request, auditing.person(account), "signing PIN set")
    return redirect(server.url("account"))


async def _no_pin(server: AuthorizationServer, request: Request, account: Account, fields: Fields) -> Response:
    if problem := await _proof_problem(server, account, fields):
        return await _page(server, request, account, problem)
    await pins.remove(server.db, account)
    await auditing.changed(request, auditing.person(account), "signing PIN taken away")
    return redirect(server.url("account"))


async def _proof_problem(server: AuthorizationServer, account: Account, fields: Fields) -> str:
    """Check the password again, and the code where there is a second step."""
    problem = await _password_problem(server, account, fields)
    return problem or (await _code_problem(server, account, fields) if account.second_factor else "")


async def _new_password(server: AuthorizationServer, request: Request, account: Account, fields: Fields) -> Response:
    problem = await _password_problem(server, account, fields)
    if problem:
        return await _page(server, request, account, problem)
    try:
        await accounts.set_password(server.db, account, fields.get("new_password", ""))
    except accounts.Unsuitable as unsuitable:
        return await _page(server, request, account, str(unsuitable))
    return await _out(server, request, account, "password changed")


async def _new_email(server: AuthorizationServer, request: Request, account: Account, fields: Fields) -> Response:
    problem = await _password_problem(server, account, fields)
    try:
        if not problem:
            await addresses.begin_change(server, account, fields.get("new_email", ""))
    except addresses.Unusable as unusable:
        problem = str(unusable)
    if problem:
        return await _page(server, request, account, problem)
    await auditing.changed(request, auditing.person(account), "change of e-mail address begun")
    return await _page(server, request, account, done=CONFIRM_BOTH)


async def reset_page(server: AuthorizationServer, request: Request) -> Response:
    """Show the form for a new password to who holds the link."""
    step = await steps.find(server, "reset", request.query_params.get("step", ""))
    if step is None:
        raise Untrusted("This link was used before or is too old. Ask your administrator for a new one.")
    return pages.render(server, request, "reset.html", {"step": step.handle, "account": step.account, "problem": ""})


async def reset(server: AuthorizationServer, request: Request) -> Response:
    """Take the new password; the second step is set up anew afterwards, and everything that was open ends."""
    fields = await oauth_form.single(request)
    step = await steps.find(server, "reset", fields.get("step", ""))
    if step is None or not pages.is_own_form(server, request, fields):
        raise Untrusted(EXPIRED)
    try:
        await accounts.set_password(server.db, step.account, fields.get("new_password", ""))
    except accounts.Unsuitable as unsuitable:
        values = {"step": step.handle, "account": step.account, "problem": str(unsuitable)}
        return pages.render(server, request, "reset.html", values, 400)
    await steps.finish(server, step)
    await totp.remove(server.db, step.account)
    await pins.remove(server.db, step.account)
    return await _out(server, request, step.account, "password set by link, second step and PIN taken away")


async def _out(server: AuthorizationServer, request: Request, account: Account, what: str) -> Response:
    """After a new password everything that was open ends, this browser's session too."""
    await accounts.sign_out_everywhere(server.db, account.account_id, server.clock())
    await auditing.changed(request, auditing.person(account), what)
    return redirect(server.url("login"))


async def _password_problem(server: AuthorizationServer, account: Account, fields: Fields) -> str:
    """Check the password again: an open session alone changes nothing of how a person signs in."""
    try:
        known = await accounts.authenticate(
            server.db, account.username or "", fields.get("password", ""), server.clock()
        )
    except accounts.Locked:
        return LOCKED
    return "" if known is not None and known.account_id == account.account_id else WRONG_PASSWORD


async def _code_problem(server: AuthorizationServer, account: Account, fields: Fields) -> str:
    try:
        right = await accounts.second_step(server.db, account, fields.get("code", ""), server.clock())
    except accounts.Locked:
        return LOCKED
    return "" if right else WRONG_CODE


async def _page(
    server: AuthorizationServer, request: Request, account: Account, problem: str = "", done: str = ""
) -> Response:
    given, app = await withdrawal.given(server, account), server.settings.patient_app_url
    values = {"account": account, "given": given, "problem": problem, "done": done, "day": _day, "app": app}
    return pages.render(server, request, "account.html", values, 400 if problem else 200)


def _enrolment(server: AuthorizationServer, request: Request, step: steps.Step, problem: str = "") -> Response:
    shown = totp.enrolment(totp.unsealed(str(step.data["secret"])), step.account, server.settings.product_name)
    values = {"step": step.handle, "problem": problem, "enrolment": shown, "action": "account", "password": True}
    return pages.render(server, request, "enrol.html", values, 400 if problem else 200)


def _day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%d %b %Y}"


ACTS: dict[str, Act] = {
    "withdraw": _withdraw,
    "begin": _begin,
    "confirm": _confirm,
    "remove": _remove,
    "pin": _pin,
    "no_pin": _no_pin,
    "password": _new_password,
    "email": _new_email,
}
