"""The authorization endpoint without HTTP: what a request needs next, until a code can be given.

https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#obtain-authorization-code

An EHR launch is for the person who made the handle: a session of somebody else counts as none.  A request that has to
wait for a person (sign-in, choice of patient, consent) is kept on the server under an opaque handle.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import urlencode

import orjson
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import AccessDeniedError, InvalidRequestError, InvalidScopeError

from fhir_server import scopes
from fhir_server.auth import acting, grants, launch, opaque, policy
from fhir_server.auth.server import AuthorizationServer
from fhir_server.auth.sessions import Session
from fhir_server.auth.tokens import Grant
from fhir_server.store import auth_grants, auth_registry
from fhir_server.store.auth_values import Account, Client, LaunchContext

WAIT_SECONDS = 900
CODE_SECONDS = 60
LONGEST_HINT = 200
SECONDS = re.compile(r"[0-9]{1,9}")


class Untrusted(Exception):
    """Client or redirect URI are not proven: the person is told, nothing is sent anywhere."""


@dataclass(frozen=True, slots=True)
class Request:
    """A checked authorization request, with what the person decided so far.

    A sign-in from before `fresh_since` does not count (`prompt=login`, `max_age`); `allowed` are the scopes that the
    person left ticked, None where nothing was asked.  `signing` is the signing transaction that it is for, instead of
    tokens.
    """

    client_id: str
    redirect_uri: str
    scope: str
    code_challenge: str
    state: str | None = None
    nonce: str | None = None
    launch: str | None = None
    prompt: str | None = None
    fresh_since: float | None = None
    patient: str | None = None
    consented: bool = False
    allowed: Sequence[str] | None = None
    decided_by: str | None = None
    login_hint: str | None = None
    signing: str | None = None

    def to_json(self) -> str:
        """Write the text that is stored."""
        return orjson.dumps(asdict(self)).decode()

    def redirect(self, issuer: str, **parameters: str) -> str:
        """Write the way back to the client, `state` echoed, the issuer named.  RFC 6749 4.1.2, RFC 9207 2"""
        query = urlencode(parameters | ({"state": self.state} if self.state is not None else {}) | {"iss": issuer})
        return f"{self.redirect_uri}{'&' if '?' in self.redirect_uri else '?'}{query}"

    def refuse(self, issuer: str, error: OAuth2Error) -> str:
        """Write the way back with an error.  RFC 6749 4.1.2.1"""
        return self.redirect(issuer, error=error.error or "", error_description=error.get_error_description())


@dataclass(frozen=True, slots=True)
class SignIn:
    """Nobody (or somebody else) is signed in."""


@dataclass(frozen=True, slots=True)
class ChoosePatient:
    """The scopes ask for a patient, the launch names none."""

    client: Client


@dataclass(frozen=True, slots=True)
class AskConsent:
    """The client is not one that the administrator trusts."""

    client: Client
    granted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AskSignature:
    """The person has signed in anew for this signing transaction."""

    key: str


@dataclass(frozen=True, slots=True)
class Redirect:
    """Done: back to the client."""

    url: str


Step = SignIn | ChoosePatient | AskConsent | AskSignature | Redirect


async def check(server: AuthorizationServer, parameters: Mapping[str, Sequence[str]]) -> Request:
    """Check an authorization request.  Raises Untrusted, or OAuth2Error with the redirect URI to send it to."""
    client_ids = parameters.get("client_id", ())
    client = await auth_registry.find_client(server.db, client_ids[0]) if len(client_ids) == 1 else None
    if client is None:
        raise Untrusted("The application is not known here.")
    states = parameters.get("state", ())
    try:
        redirect_uri = grants.check_authorization(parameters, client, server.url("oauth/authorize"))
        try:
            return _read(server, parameters, redirect_uri)
        except OAuth2Error as error:
            error.redirect_uri = redirect_uri
            raise
    except OAuth2Error as error:
        if error.redirect_uri is None:
            raise Untrusted("The address to return to is not registered for this application.") from error
        error.state = states[0] if len(states) == 1 else None
        raise


def _read(server: AuthorizationServer, parameters: Mapping[str, Sequence[str]], redirect_uri: str) -> Request:
    """Read what SMART adds: `aud` must name this server, `launch` needs the scope `launch` and the other way round."""
    if any(len(values) > 1 for values in parameters.values()):
        raise InvalidRequestError("a parameter is repeated")
    given = {name: values[0] for name, values in parameters.items()}
    if given.get("aud", "").rstrip("/") != server.settings.fhir_url:
        raise InvalidRequestError("aud is not this server")
    if "request" in given or "request_uri" in given:
        raise InvalidRequestError("request objects are not supported", error="request_not_supported")
    if ("launch" in scopes.split(given.get("scope", ""))) != bool(given.get("launch")):
        raise InvalidRequestError("launch and the scope launch go together")
    prompts = scopes.split(given.get("prompt", ""))
    if "none" in prompts and len(prompts) > 1:
        raise InvalidRequestError("prompt none goes with no other")
    return Request(
        client_id=given["client_id"],
        redirect_uri=redirect_uri,
        scope=given.get("scope", ""),
        code_challenge=given["code_challenge"],
        state=given.get("state"),
        nonce=given.get("nonce") or None,
        launch=given.get("launch") or None,
        prompt=" ".join(prompts) or None,
        fresh_since=_fresh_since(given, prompts, server.clock()),
        login_hint=given.get("login_hint", "")[:LONGEST_HINT] or None,
    )


def _fresh_since(given: Mapping[str, str], prompts: Sequence[str], now: float) -> float | None:
    """Say how old a sign-in may be.  OpenID Connect Core 3.1.2.1 `max_age`, `prompt`"""
    if "login" in prompts:
        return now
    if not given.get("max_age"):
        return None
    if not SECONDS.fullmatch(given["max_age"]):
        raise InvalidRequestError("max_age is not a number of seconds")
    return now - int(given["max_age"])


async def keep(server: AuthorizationServer, request: Request) -> str:
    """Keep a request that waits for a person; gives the handle under which it goes on."""
    handle, now = opaque.make(), server.clock()
    row = {"parameters_json": request.to_json(), "expires_at": now + WAIT_SECONDS}
    async with server.db.transaction() as transaction:
        await auth_grants.add(transaction, "authorization", row | {"handle_hash": opaque.digest(handle)})
    return handle


async def change(server: AuthorizationServer, handle: str, request: Request) -> None:
    """Keep what the person decided."""
    async with server.db.transaction() as transaction:
        await auth_grants.change_authorization(transaction, opaque.digest(handle), asdict(request))


async def waiting(server: AuthorizationServer, handle: str) -> Request:
    """Take up a waiting request again.  Raises Untrusted when it is unknown or too old."""
    row = await auth_grants.find(server.db, "authorization", opaque.digest(handle))
    if row is None or row["used_at"] is not None or row["expires_at"] <= server.clock():
        raise Untrusted("This page has expired. Please start again from the application.")
    return Request(**orjson.loads(row["parameters_json"]))


async def finish(server: AuthorizationServer, handle: str) -> None:
    """Forget a waiting request that has its answer."""
    async with server.db.transaction() as transaction:
        await auth_grants.consume(transaction, "authorization", opaque.digest(handle), server.clock())


async def proceed(server: AuthorizationServer, request: Request, session: Session | None) -> Step:
    """Find the next step; a refusal is a Redirect with an error.  Raises Untrusted when the client has gone."""
    client = await auth_registry.find_client(server.db, request.client_id)
    if client is None:
        raise Untrusted("The application is not known here.")
    try:
        step = await _step(server, request, session, client)
    except OAuth2Error as error:
        return Redirect(
            request.redirect(server.issuer, error=error.error or "", error_description=error.get_error_description())
        )
    if request.prompt == "none" and not isinstance(step, Redirect):
        return Redirect(
            request.redirect(
                server.issuer, error="login_required" if isinstance(step, SignIn) else "interaction_required"
            )
        )
    return step


async def _step(server: AuthorizationServer, request: Request, session: Session | None, client: Client) -> Step:
    if request.signing is not None:
        return AskSignature(request.signing) if session and _counts(session, request, None) else SignIn()
    launched = await _launched(server, request)
    if session is None or not _counts(session, request, launched):
        return SignIn()
    account = session.account
    if request.decided_by != account.account_id:  # what somebody else chose or allowed does not count
        request = replace(request, patient=None, consented=False, allowed=None)
    granted = policy.for_person(scopes.split(request.scope), client.scopes, account.roles)
    context = await _context(server, request, account) if launched is None else launched.context
    if launched is None and context.patient is None and _has_to_choose(account, granted):
        return ChoosePatient(client)
    granted = granted if context.patient is not None else policy.without_patient(granted)
    if not granted:
        raise InvalidScopeError("none of the scopes is open to this person")
    if (not client.trusted or "consent" in scopes.split(request.prompt or "")) and not request.consented:
        return AskConsent(client, granted)
    grant = Grant(client.client_id, account.account_id, _allowed(request, granted), context, session.signed_in_at)
    return Redirect(request.redirect(server.issuer, code=await _code(server, request, grant)))


async def _context(server: AuthorizationServer, request: Request, account: Account) -> LaunchContext:
    """The patient that was chosen; for a patient or proxy the only one there is, and as whom.

    Raises AccessDeniedError for a proxy who acts for nobody any more.
    """
    if not acting.is_in_person(account):
        return LaunchContext(patient=request.patient)
    found = await acting.choices(server.node, account, server.clock())
    if not found:
        raise AccessDeniedError("this person acts for no patient now")
    chosen = [one for one in found if one.patient == request.patient] or found
    return chosen[0].context() if len(chosen) == 1 else LaunchContext()


def _has_to_choose(account: Account, granted: tuple[str, ...]) -> bool:
    return acting.is_in_person(account) or policy.asks_for_patient(granted)


@dataclass(frozen=True, slots=True)
class _Launched:
    account_id: str
    context: LaunchContext


def _counts(session: Session, request: Request, launched: _Launched | None) -> bool:
    """Whether a session is that of the person who launched, and new enough."""
    own = launched is None or launched.account_id == session.account.account_id
    return own and (request.fresh_since is None or session.signed_in_at >= request.fresh_since)


def _allowed(request: Request, granted: tuple[str, ...]) -> tuple[str, ...]:
    """Keep what the person left ticked; where nothing was asked, everything."""
    kept = granted if request.allowed is None else policy.ticked(granted, request.allowed)
    if not kept:
        raise AccessDeniedError("the person allowed none of the scopes")
    return kept


async def _launched(server: AuthorizationServer, request: Request) -> _Launched | None:
    if request.launch is None:
        return None
    row = await launch.find(server.db, request.launch, request.client_id, server.clock())
    if row is None:
        raise InvalidRequestError("the launch is unknown, was used before or has expired")
    return _Launched(row["account_id"], LaunchContext.from_json(row["context_json"]))


async def _code(server: AuthorizationServer, request: Request, grant: Grant) -> str:
    """Make the code and use the launch up, in one transaction."""
    code, now = opaque.make(), server.clock()
    row: dict[str, Any] = {
        "code_hash": opaque.digest(code),
        "grant_id": grant.grant_id,
        "client_id": grant.client_id,
        "account_id": grant.account_id,
        "redirect_uri": request.redirect_uri,
        "scope": " ".join(grant.scopes),
        "context_json": grant.context.to_json(),
        "nonce": request.nonce,
        "code_challenge": request.code_challenge,
        "signed_in_at": grant.signed_in_at,
        "expires_at": now + CODE_SECONDS,
    }
    async with server.db.transaction() as transaction:
        if request.launch is not None and await launch.consume(transaction, request.launch, now) is None:
            raise InvalidRequestError("the launch is unknown, was used before or has expired")
        await auth_grants.add(transaction, "code", row)
    return code
