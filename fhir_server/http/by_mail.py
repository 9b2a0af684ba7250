"""What reaches a person by e-mail beside the invitation: a forgotten password, the confirmation of a new address."""

import hmac

from starlette.requests import Request
from starlette.responses import Response

from fhir_server.auth import accounts, addresses, mail, opaque, steps, tokens
from fhir_server.auth.authorize import Untrusted
from fhir_server.auth.server import AuthorizationServer
from fhir_server.http import auditing, oauth_form, pages
from fhir_server.http.pages import EXPIRED, redirect
from fhir_server.store import auth_joining
from konsil.serving import address_of

SENT = "If this address has an account, an e-mail with a link is on its way. The link works for an hour."
NO_LINK = "This link was used before or is too old. Ask for a new one on the sign-in page."
WRONG_DATE = "This does not agree with what your hospital has on record. After five wrong answers the link ends."
CONFIRMED = "Thank you. The address changes once the mail at the other address is confirmed too."
CHANGED = "Thank you. From now on you sign in with the new address; everybody was signed out."


async def forgot_page(server: AuthorizationServer, request: Request) -> Response:
    """Ask for the address."""
    return pages.render(server, request, "forgot.html", {"sent": ""})


async def forgot(server: AuthorizationServer, request: Request) -> Response:
    """Answer everybody alike, after the same work: the worker looks whether there is an account."""
    fields = await _fields(server, request)
    address = accounts.normal(fields.get("email", ""))[:254]
    waits = server.failures.wait(f"forgotten {address_of(request.scope)}")
    if not waits and await mail.may_post(server.db, address, server.clock()):
        async with server.db.transaction() as transaction:
            await mail.post_forgotten(transaction, address, server.issuer)
    return pages.render(server, request, "forgot.html", {"sent": SENT})


async def forgotten_page(server: AuthorizationServer, request: Request) -> Response:
    """Show the form for a new password to who holds the link."""
    step = await steps.find(server, "forgotten", request.query_params.get("step", ""))
    if step is None:
        raise Untrusted(NO_LINK)
    return _form(server, request, step)


async def forgotten(server: AuthorizationServer, request: Request) -> Response:
    """Take the new password of who holds the link and knows the birth date; the second step stays as it is."""
    fields = await _fields(server, request)
    step = await steps.find(server, "forgotten", fields.get("step", ""))
    if step is None:
        raise Untrusted(NO_LINK)
    async with server.db.transaction() as transaction:
        left = await auth_joining.count_step_guess(transaction, opaque.digest(step.handle))
    if not left:
        raise Untrusted(NO_LINK)
    known = await addresses.birth_date(server, step.account)
    if not known or not hmac.compare_digest(known.encode(), fields.get("birth_date", "").strip().encode()):
        await auditing.signed_in(request, auditing.person(step.account), auditing.LOGIN, "reset: wrong birth date")
        return _form(server, request, step, WRONG_DATE)
    try:
        await accounts.set_password(server.db, step.account, fields.get("new_password", ""))
    except accounts.Unsuitable as unsuitable:
        return _form(server, request, step, str(unsuitable))
    if not await steps.finish(server, step):
        raise Untrusted(NO_LINK)
    await accounts.sign_out_everywhere(server.db, step.account.account_id, server.clock())
    await auditing.changed(request, auditing.person(step.account), "password set by link of an e-mail")
    return redirect(server.url("login"))


async def address_page(server: AuthorizationServer, request: Request) -> Response:
    """Ask who opened the link of a confirmation to press a button: mail filters open links too."""
    link = request.query_params.get("link", "")
    if await auth_joining.find_email_change(server.db, opaque.digest(link), server.clock()) is None:
        raise Untrusted(NO_LINK)
    return pages.render(server, request, "address.html", {"link": link, "done": ""})


async def address(server: AuthorizationServer, request: Request) -> Response:
    """Note that this address has confirmed; with both the account changes, and everything that was open ends."""
    fields = await _fields(server, request)
    account = await addresses.confirm(server, fields.get("link", ""))
    if account is None:
        raise Untrusted(NO_LINK)
    if account == addresses.WAITING:
        return pages.render(server, request, "address.html", {"link": "", "done": CONFIRMED})
    tokens.forget(server.db)
    await auditing.changed(request, auditing.person(account), "e-mail address changed, both confirmed")
    return pages.render(server, request, "address.html", {"link": "", "done": CHANGED})


def _form(server: AuthorizationServer, request: Request, step: steps.Step, problem: str = "") -> Response:
    values = {"step": step.handle, "account": step.account, "problem": problem}
    return pages.render(server, request, "forgotten.html", values, 400 if problem else 200)


async def _fields(server: AuthorizationServer, request: Request) -> dict[str, str]:
    fields = await oauth_form.single(request)
    if not pages.is_own_form(server, request, fields):
        raise Untrusted(EXPIRED)
    return fields
