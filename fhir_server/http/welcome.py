"""`/account/welcome`: from the link of an invitation to an account, in three pages: proof, password, code."""

from starlette.requests import Request
from starlette.responses import Response

from fhir_server.auth import accounts, invitations, joining, sessions, totp
from fhir_server.auth.authorize import Untrusted
from fhir_server.auth.joining import Ended, Joining
from fhir_server.auth.server import AuthorizationServer
from fhir_server.caller import Caller
from fhir_server.http import auditing, oauth_form, pages
from fhir_server.http.pages import EXPIRED, LOCKED, redirect
from fhir_server.http.second_step import WRONG_CODE, enter
from fhir_server.store.auth_values import Account
from fhir_server.store.database import Row
from konsil.serving import address_of

NO_LINK = (
    "This link cannot be used: it was used before, is too old, was taken back, or too many answers were wrong. "
    "Ask your hospital for a new one."
)
WRONG_DATE = "This does not agree with what your hospital has on record. After five wrong answers the link ends."
ACCEPT = "Please read the terms and say that you accept them."


async def show(server: AuthorizationServer, request: Request) -> Response:
    """Ask who opens the link to prove to be the person.  Looking uses nothing up: mail filters open links too."""
    link = request.query_params.get("link", "")
    try:
        return await _proof(server, request, link)
    except Ended:
        raise Untrusted(NO_LINK) from None


async def prove(server: AuthorizationServer, request: Request) -> Response:
    """Compare the birth dates."""
    fields = await _fields(server, request)
    address = f"person {address_of(request.scope)}"
    try:
        row = await joining.opened(server, fields.get("link", ""))
        if server.failures.closed(address):
            return await _proof(server, request, fields["link"], LOCKED, 429)
        given = [fields.get("birth_date", ""), fields.get("own_birth_date", "")]
        handle = await joining.prove(server, row, given)
        if handle is None:
            server.failures.wait(address)
            await _note(request, row, "invitation: wrong birth date", failed=True)
            return await _proof(server, request, fields["link"], WRONG_DATE, 401)
        return await _after_proof(server, request, await joining.proved(server, handle))
    except Ended:
        raise Untrusted(NO_LINK) from None


async def choose(server: AuthorizationServer, request: Request) -> Response:
    """Take the password and the kind of second step."""
    fields = await _fields(server, request)
    try:
        found = await joining.proved(server, fields.get("proof", ""))
        if fields.get("accept") != "yes":
            return _password(server, request, found, ACCEPT)
        factor: joining.Factor = "totp" if fields.get("factor") == "totp" else "email"
        await joining.choose(server, found, fields.get("new_password", ""), factor)
        return _code(server, request, await joining.proved(server, found.handle))
    except accounts.Unsuitable as unsuitable:
        return _password(server, request, found, str(unsuitable))
    except Ended:
        raise Untrusted(NO_LINK) from None


async def confirm(server: AuthorizationServer, request: Request) -> Response:
    """Take the code, make the account and sign in; or send another code."""
    fields = await _fields(server, request)
    try:
        found = await joining.proved(server, fields.get("proof", ""))
        if fields.get("act") == "again":
            await joining.send_again(server, found)
            return _code(server, request, found)
        account = await joining.finish(server, found, fields.get("code", ""))
    except Ended:
        raise Untrusted(NO_LINK) from None
    if account is None:
        return _code(server, request, found, WRONG_CODE)
    await _note(request, found.row, "account set up by invitation, terms accepted", account)
    return await enter(server, request, account, "")


async def add(server: AuthorizationServer, request: Request) -> Response:
    """Let the account that is signed in act for one more person."""
    fields = await _fields(server, request)
    session = await sessions.lookup(server.db, server.settings, request.cookies, server.clock())
    try:
        found = await joining.proved(server, fields.get("proof", ""))
        if session is None or session.account.email != found.email:
            raise Ended
        await joining.add_to(server, found, session.account)
    except Ended:
        raise Untrusted(NO_LINK) from None
    await _note(request, found.row, "invitation added to account", session.account)
    return redirect(server.url("account"))


async def _after_proof(server: AuthorizationServer, request: Request, found: Joining) -> Response:
    """Go on with a new account, or with the one that the address has."""
    if not await joining.has_account(server, found):
        return _password(server, request, found)
    session = await sessions.lookup(server.db, server.settings, request.cookies, server.clock())
    mine = session is not None and session.account.email == found.email
    values = {"proof": found.handle, "mine": mine, "is_proxy": found.is_proxy}
    return pages.render(server, request, "welcome_add.html", values)


async def _proof(
    server: AuthorizationServer, request: Request, link: str, problem: str = "", status: int = 200
) -> Response:
    row = await joining.opened(server, link)
    is_proxy = row["subject"].startswith("RelatedPerson/")
    hospital = await invitations.hospital(server, f"Patient/{row['patient']}")
    values = {"link": link, "is_proxy": is_proxy, "hospital": hospital, "problem": problem}
    return pages.render(server, request, "welcome.html", values, status)


def _password(server: AuthorizationServer, request: Request, found: Joining, problem: str = "") -> Response:
    values = {"proof": found.handle, "email": found.email, "problem": problem, "is_proxy": found.is_proxy}
    return pages.render(server, request, "welcome_password.html", values, 400 if problem else 200)


def _code(server: AuthorizationServer, request: Request, found: Joining, problem: str = "") -> Response:
    shown = None
    if found.begun.get("factor") == "totp":
        person = Account("", found.email, frozenset(), None, None, username=found.email)
        shown = totp.enrolment(totp.unsealed(str(found.begun["secret"])), person, server.settings.product_name)
    values = {"proof": found.handle, "enrolment": shown, "email": found.email, "problem": problem}
    return pages.render(server, request, "welcome_code.html", values, 401 if problem else 200)


async def _fields(server: AuthorizationServer, request: Request) -> dict[str, str]:
    fields = await oauth_form.single(request)
    if not pages.is_own_form(server, request, fields):
        raise Untrusted(EXPIRED)
    return fields


async def _note(request: Request, row: Row, what: str, account: Account | None = None, *, failed: bool = False) -> None:
    subject = str(row["subject"])
    who = auditing.person(account) if account is not None else Caller(subject, "browser", subject)
    await auditing.about(request, who, what, f"Patient/{row['patient']}", failed=failed)
