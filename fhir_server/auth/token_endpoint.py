"""The token endpoint: one function a grant type.  RFC 6749 3.2, RFC 8693, SMART App Launch 2.2, Backend Services."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from authlib.oauth2.rfc6749 import (
    InvalidGrantError,
    InvalidRequestError,
    InvalidScopeError,
    OAuth2Error,
    UnauthorizedClientError,
)

from fhir_server import scopes
from fhir_server.auth import acting, clients, exchange, grants, id_tokens, opaque, policy, tokens
from fhir_server.auth.server import AuthorizationServer
from fhir_server.auth.styling import style_url
from fhir_server.auth.tokens import Grant
from fhir_server.store import auth_grants, auth_registry
from fhir_server.store.auth_values import Account, Client
from fhir_server.store.database import Row

Form = Mapping[str, str]
Answer = dict[str, Any]
BACKEND_TOKEN_SECONDS = 300
ONLINE_REFRESH_SECONDS = 43_200
ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 (a name, no secret)


async def answer(
    server: AuthorizationServer, parameters: Mapping[str, Sequence[str]], authorization: str | None
) -> Answer:
    """Answer a token request.  Raises OAuth2Error (RFC 6749 5.2)."""
    repeated = [name for name, values in parameters.items() if len(values) > 1]
    if repeated:
        raise InvalidRequestError("a parameter is repeated")
    form = {name: values[0] for name, values in parameters.items()}
    grant_type = GRANT_TYPES.get(form.get("grant_type", ""))
    if grant_type is None:
        raise OAuth2Error("the grant type is missing or not supported", error="unsupported_grant_type")
    client = await clients.authenticate(server, form, authorization)
    return await grant_type(server, client, form)


async def authorization_code(server: AuthorizationServer, client: Client, form: Form) -> Answer:
    """Redeem a code.  RFC 6749 4.1.3; a code that comes a second time takes back what the first time gave."""
    key, now = opaque.digest(form.get("code", "")), server.clock()
    row = await auth_grants.find(server.db, "code", key)
    grants.check_code({name: [value] for name, value in form.items()}, client, _code(row), server.url("oauth/token"))
    if row is None:
        raise InvalidGrantError("unknown code")
    grant = tokens.read_grant(row)
    async with server.db.transaction() as transaction:
        consumed = await auth_grants.consume(transaction, "code", key, now)
        body = await _tokens(server, transaction, grant, server.settings.access_token_seconds) if consumed else {}
    if not consumed:
        await tokens.revoke_grant(server.db, grant.grant_id, now)
        raise InvalidGrantError("the code has expired or was used before")
    return await _for_person(server, grant, body, row["nonce"])


async def refresh_token(server: AuthorizationServer, client: Client, form: Form) -> Answer:
    """Renew a grant; the refresh token is replaced, a replaced one that comes again ends the grant.  RFC 6749 6

    `scope` may only narrow.  The narrowed scopes hold for the new access token, the new refresh token keeps the grant.
    """
    key, now = opaque.digest(form.get("refresh_token", "")), server.clock()
    row = await auth_grants.find_token(server.db, key)
    if row is None or row["kind"] != "refresh" or row["client_id"] != client.client_id or row["disabled"]:
        raise InvalidGrantError("unknown refresh token")
    grant = tokens.read_grant(row)
    asked = scopes.split(form.get("scope", "")) or grant.scopes
    if scopes.grant(asked, grant.scopes) != asked:
        raise InvalidScopeError("scope is wider than what was granted")
    async with server.db.transaction() as transaction:
        consumed = await auth_grants.consume_refresh(transaction, key, now)
        body = (
            await _tokens(server, transaction, grant, server.settings.access_token_seconds, asked) if consumed else {}
        )
    if not consumed:
        await tokens.revoke_grant(server.db, grant.grant_id, now)
        raise InvalidGrantError("the refresh token has expired, was revoked or was used before")
    return await _for_person(server, grant.narrowed(asked), body)


async def client_credentials(server: AuthorizationServer, client: Client, form: Form) -> Answer:
    """Grant a client that acts alone.  SMART backend-services.html#obtain-access-token"""
    asked = scopes.split(form.get("scope", ""))
    if client.type != "confidential":
        raise UnauthorizedClientError("a public client cannot act alone")
    granted = policy.for_backend(asked, client.scopes)
    if not granted:
        raise InvalidScopeError("none of the scopes is open to this client")
    grant = Grant(client.client_id, None, granted)
    async with server.db.transaction() as transaction:
        token = await tokens.issue(transaction, grant, "access", BACKEND_TOKEN_SECONDS, server.clock())
    return _bearer(token, BACKEND_TOKEN_SECONDS, granted)


async def token_exchange(server: AuthorizationServer, client: Client, form: Form) -> Answer:
    """Make a token of ours from a tenant's id_token.  RFC 8693 2; no refresh token: the app exchanges again."""
    account = await exchange.accept(server, client, form)
    granted = policy.without_patient(
        policy.for_person(scopes.split(form.get("scope", "")), client.scopes, account.roles)
    )
    if not granted:
        raise InvalidScopeError("none of the scopes is open to this person")
    seconds, now = server.settings.exchanged_token_seconds, server.clock()
    held = tuple(scope for scope in granted if scope not in {"offline_access", "online_access"})
    grant = Grant(client.client_id, account.account_id, held, signed_in_at=now)
    async with server.db.transaction() as transaction:
        body = await _tokens(server, transaction, grant, seconds)
    return await _for_person(server, grant, body) | {"issued_token_type": ACCESS_TOKEN_TYPE}


GRANT_TYPES: dict[str, Callable[[AuthorizationServer, Client, Form], Awaitable[Answer]]] = {
    "authorization_code": authorization_code,
    "refresh_token": refresh_token,
    "client_credentials": client_credentials,
    exchange.GRANT_TYPE: token_exchange,
}


async def _tokens(
    server: AuthorizationServer, transaction: Any, grant: Grant, seconds: int, narrowed: tuple[str, ...] | None = None
) -> Answer:
    """Make the access token and, if it was granted, the refresh token."""
    now, held = server.clock(), grant.scopes if narrowed is None else narrowed
    body = _bearer(await tokens.issue(transaction, grant.narrowed(held), "access", seconds, now), seconds, held)
    life = {"offline_access": server.settings.refresh_token_seconds, "online_access": ONLINE_REFRESH_SECONDS}
    lives = [life[scope] for scope in grant.scopes if scope in life]
    if lives:
        body["refresh_token"] = await tokens.issue(transaction, grant, "refresh", max(lives), now)
    return body


def _bearer(token: str, seconds: int, granted: Sequence[str]) -> Answer:
    return {"access_token": token, "token_type": "Bearer", "expires_in": seconds, "scope": " ".join(granted)}


async def _for_person(server: AuthorizationServer, grant: Grant, body: Answer, nonce: str | None = None) -> Answer:
    """Add the launch context, the id_token, and who the person is to us (by which apps show, not decide)."""
    account = await auth_registry.find_account(server.db, grant.account_id or "")
    if account is None or account.disabled:
        await tokens.revoke_grant(server.db, grant.grant_id, server.clock())
        raise InvalidGrantError("this person may no longer sign in")
    account = acting.acting(account, grant.context)
    body |= grant.context.members() | _person(account) | {"smart_style_url": style_url(server.settings)}
    if "openid" in grant.scopes:
        body["id_token"] = await id_tokens.make(server, grant, account, nonce)
    return body


def _person(account: Account) -> Answer:
    values = {"fhirUser": account.fhir_user, "organization": account.organization, "name": account.name}
    return {"roles": sorted(account.roles)} | {name: value for name, value in values.items() if value}


def _code(row: Row | None) -> grants.Code | None:
    return None if row is None else grants.Code(row["client_id"], row["redirect_uri"], row["code_challenge"])
