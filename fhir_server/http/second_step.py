"""After the password: the code of an authenticator, enrolling one where the role wants it, then the session."""

from starlette.requests import Request
from starlette.responses import Response

from fhir_server.auth import accounts, mail_codes, sessions, steps, totp
from fhir_server.auth.authorize import Untrusted
from fhir_server.auth.federation import carrying
from fhir_server.auth.server import AuthorizationServer
from fhir_server.http import auditing, oauth_form, pages
from fhir_server.http.pages import EXPIRED, LOCKED, redirect
from fhir_server.store.auth_providers import FederatedSignIn
from fhir_server.store.auth_values import Account

WRONG_CODE = "This code is not right, or was used before. Wait for the next one and try again."

WRONG_MAILED_CODE = "This code is not right. After five wrong ones a new code is needed."
MANY_MAILS = "Many codes were sent to your address. Please wait an hour, or use the newest one."


async def after_password(
    server: AuthorizationServer,
    request: Request,
    account: Account,
    waiting: str,
    federated: FederatedSignIn | None = None,
) -> Response:
    """Go on with who knows the password, or comes from an identity provider that proves no second factor.

    `waiting` is the handle of the authorization request, or empty.
    """
    data = {"request": waiting} | carrying.packed(federated)
    if account.second_factor:
        handle = await steps.begin(server.db, "code", account, data, server.clock())
        return pages.render(server, request, "code.html", {"step": handle, "problem": ""})
    if account.email_codes:
        return await _send_code(server, request, account, waiting)
    if account.roles & set(server.settings.second_factor_roles):
        data |= {"secret": totp.sealed(totp.new_secret())}
        handle = await steps.begin(server.db, "enrol", account, data, server.clock())
        return _enrolment(server, request, steps.Step(handle, account, data))
    return await enter(server, request, account, waiting, federated)


async def give_code(server: AuthorizationServer, request: Request) -> Response:
    """Take the code of the authenticator."""
    fields, step = await _step(server, request, "code")
    try:
        right = await accounts.second_step(server.db, step.account, fields.get("code", ""), server.clock())
    except accounts.Locked:
        await _note(request, step.account, "locked: too many attempts")
        return pages.render(server, request, "code.html", {"step": step.handle, "problem": LOCKED}, 429)
    if not right:
        await _note(request, step.account, "wrong code")
        return pages.render(server, request, "code.html", {"step": step.handle, "problem": WRONG_CODE}, 401)
    if not await steps.finish(server, step):
        raise Untrusted(EXPIRED)
    return await enter(server, request, step.account, str(step.data["request"]), carrying.unpacked(step.data))


async def give_mailed_code(server: AuthorizationServer, request: Request) -> Response:
    """Take the code of an e-mail, or send another one."""
    fields, step = await _step(server, request, "mailed")
    if fields.get("act") == "again":
        await steps.finish(server, step)
        return await _send_code(server, request, step.account, str(step.data["request"]))
    try:
        name = await accounts.count_code(server.db, step.account, server.clock())
    except accounts.Locked:
        await _note(request, step.account, "locked: too many attempts")
        return _mailed(server, request, step.handle, LOCKED, 429)
    right = await mail_codes.check(server, step, fields.get("code", ""))
    if right is None:
        raise Untrusted(EXPIRED)
    if not right:
        await _note(request, step.account, "wrong code")
        return _mailed(server, request, step.handle, WRONG_MAILED_CODE, 401)
    if not await steps.finish(server, step):
        raise Untrusted(EXPIRED)
    await accounts.right_code(server.db, name, server.clock())
    return await enter(server, request, step.account, str(step.data["request"]))


async def _send_code(server: AuthorizationServer, request: Request, account: Account, waiting: str) -> Response:
    handle = await mail_codes.begin(server, account, {"request": waiting})
    if handle is None:
        raise Untrusted(MANY_MAILS)
    return _mailed(server, request, handle)


def _mailed(
    server: AuthorizationServer, request: Request, handle: str, problem: str = "", status: int = 200
) -> Response:
    return pages.render(server, request, "mailed_code.html", {"step": handle, "problem": problem}, status)


async def enrol(server: AuthorizationServer, request: Request) -> Response:
    """Take the first code of an authenticator that the role wants."""
    fields, step = await _step(server, request, "enrol")
    secret, now = totp.unsealed(str(step.data["secret"])), server.clock()
    if totp.matching_step(secret, fields.get("code", ""), now) is None:
        return _enrolment(server, request, step, WRONG_CODE)
    if not await steps.finish(server, step):
        raise Untrusted(EXPIRED)
    await totp.enrol(server.db, step.account, secret, fields.get("code", ""), now)
    await auditing.changed(request, auditing.person(step.account), "second step set up")
    return await enter(server, request, step.account, str(step.data["request"]), carrying.unpacked(step.data))


async def enter(
    server: AuthorizationServer,
    request: Request,
    account: Account,
    waiting: str,
    federated: FederatedSignIn | None = None,
) -> Response:
    """Begin the session, the former one of this browser ends; goes on with the waiting request, never elsewhere."""
    await auditing.signed_in(request, auditing.person(account), auditing.LOGIN)
    await sessions.end(server.db, server.settings, request.cookies)
    token = await sessions.create(server.db, server.settings, account, server.clock(), federated)
    answer = redirect(server.url(f"oauth/continue?request={waiting}" if waiting else "account"))
    answer.headers.append("Set-Cookie", sessions.set_cookie(server.settings, token))
    return answer


async def _step(
    server: AuthorizationServer, request: Request, purpose: steps.Purpose
) -> tuple[dict[str, str], steps.Step]:
    fields = await oauth_form.single(request)
    step = await steps.find(server, purpose, fields.get("step", ""))
    if step is None or not pages.is_own_form(server, request, fields):
        raise Untrusted(EXPIRED)
    return fields, step


def _enrolment(server: AuthorizationServer, request: Request, step: steps.Step, problem: str = "") -> Response:
    shown = totp.enrolment(totp.unsealed(str(step.data["secret"])), step.account, server.settings.product_name)
    values = {"step": step.handle, "problem": problem, "enrolment": shown, "action": "login/enrol", "password": False}
    return pages.render(server, request, "enrol.html", values, 401 if problem else 200)


async def _note(request: Request, account: Account, problem: str) -> None:
    await auditing.signed_in(request, auditing.person(account), auditing.LOGIN, problem)
