"""Token exchange: an id_token of an allow-listed tenant becomes our token for that practitioner.  RFC 8693 2.1

The account is keyed by issuer and subject alone: the same person in two tenants is two accounts, and no name or
fhirUser ever joins them.
"""

import hashlib
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from authlib.oauth2.rfc6749 import InvalidGrantError, InvalidRequestError, UnauthorizedClientError

from fhir_server.auth import practitioners
from fhir_server.auth.jose import Expected, Rejected, peek, verify
from fhir_server.auth.server import AuthorizationServer
from fhir_server.store import auth_grants, auth_registry
from fhir_server.store.auth_values import Account, Client, Tenant

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:token-exchange"
ID_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105 (a name, no secret)
CLOCK_SKEW_SECONDS = 120  # hospitals' clocks are not ours
ALGORITHMS = frozenset({"RS256", "RS384", "ES256", "ES384"})
ROLES = frozenset({"requester"})
LONGEST_SUBJECT = 255


async def accept(server: AuthorizationServer, client: Client, form: Mapping[str, str]) -> Account:
    """Check the subject token and find its person, made known on first sight.

    Raises UnauthorizedClientError (the client may not exchange), InvalidRequestError, InvalidGrantError (the token is
    not of a known tenant, not for our app, not signed by the tenant, expired, or was used before).
    """
    if not client.may_exchange or client.type != "confidential":
        raise UnauthorizedClientError("this client may not exchange tokens")
    if form.get("subject_token_type") != ID_TOKEN_TYPE or not form.get("subject_token"):
        raise InvalidRequestError("subject_token of subject_token_type id_token is required")
    if "actor_token" in form:
        raise InvalidRequestError("actor_token is not supported")
    try:
        tenant, claims = await _verify(server, form["subject_token"])
    except Rejected as rejected:
        raise InvalidGrantError(f"subject token refused: {rejected.reason}") from rejected
    await _use_once(server, tenant, claims, form["subject_token"])
    return await _person(server, tenant, claims)


async def _verify(server: AuthorizationServer, token: str) -> tuple[Tenant, dict[str, Any]]:
    header, unverified = peek(token)
    issuer = unverified.get("iss")
    tenant = await auth_registry.find_tenant(server.db, issuer) if isinstance(issuer, str) else None
    if tenant is None:
        raise Rejected("unknown issuer")
    if header.get("alg") not in ALGORITHMS:
        raise Rejected("alg is not accepted")
    keys = await server.keys.find(tenant.jwks, tenant.jwks_url, header.get("kid"), server.clock())
    expected = Expected(tenant.issuer, frozenset({tenant.client_id}), ALGORITHMS, leeway_seconds=CLOCK_SKEW_SECONDS)
    claims = verify(token, keys, expected, server.clock())
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_SUBJECT:
        raise Rejected("missing sub")
    if claims.get("azp", tenant.client_id) != tenant.client_id:
        raise Rejected("azp is not our app")
    return tenant, claims


async def _use_once(server: AuthorizationServer, tenant: Tenant, claims: Mapping[str, Any], token: str) -> None:
    """Keep `jti` (or the token itself, where a tenant gives none) until it has expired."""
    mark = claims["jti"] if isinstance(claims.get("jti"), str) else token
    key = hashlib.sha256(f"{tenant.issuer}\n{mark}".encode()).hexdigest()
    async with server.db.transaction() as transaction:
        if not await auth_grants.first_use(transaction, key, float(claims["exp"]) + 60):
            raise InvalidGrantError("subject token refused: used before")


async def _person(server: AuthorizationServer, tenant: Tenant, claims: Mapping[str, Any]) -> Account:
    """Find the account of issuer and subject, or make it with its Practitioner."""
    subject = str(claims["sub"])
    known = await auth_registry.find_account_by_identity(server.db, tenant.issuer, subject)
    if known is not None:
        if known.disabled:
            raise InvalidGrantError("this person may no longer sign in")
        return known
    name = shown_name(claims)
    identity = practitioners.Identity(tenant.issuer, subject, tenant.organization, name)
    fhir_user = await practitioners.ensure(server.node, identity)
    account = Account(str(uuid4()), name, ROLES, tenant.organization, fhir_user)
    async with server.db.transaction() as transaction:
        await auth_registry.put_tenant_account(transaction, account, tenant.issuer, subject)
        made = await auth_registry.find_account_by_identity(transaction, tenant.issuer, subject)
    return made if made is not None else account


def shown_name(claims: Mapping[str, Any]) -> str:
    """Choose a name to show: `name`, else the parts, else the login name; never an address."""
    parts = " ".join(str(claims[part]) for part in ("given_name", "family_name") if claims.get(part))
    for candidate in (claims.get("name"), parts, claims.get("preferred_username")):
        if isinstance(candidate, str) and candidate.strip():
            return candidate.strip()[:200]
    return ""
