"""OpenID Connect id_tokens of our own.  OpenID Connect Core 2, SMART scopes for requesting identity data"""

from typing import Any
from uuid import uuid4

from fhir_server.auth import signing
from fhir_server.auth.server import AuthorizationServer
from fhir_server.auth.tokens import Grant
from fhir_server.store.auth_values import Account

LIFE_SECONDS = 3600


async def make(server: AuthorizationServer, grant: Grant, account: Account, nonce: str | None = None) -> str:
    """Sign an id_token: iss sub aud iat exp jti, auth_time and nonce if known, fhirUser and name if granted."""
    now = server.clock()
    claims: dict[str, Any] = {
        "iss": server.issuer,
        "sub": account.account_id,
        "aud": grant.client_id,
        "iat": int(now),
        "exp": int(now) + LIFE_SECONDS,
        "jti": str(uuid4()),
    }
    claims |= {"auth_time": int(grant.signed_in_at)} if grant.signed_in_at is not None else {}
    claims |= {"nonce": nonce} if nonce else {}
    if {"fhirUser", "profile"} & set(grant.scopes):
        claims |= _profile(server, account)
    return await signing.sign(server.db, claims, now)


def _profile(server: AuthorizationServer, account: Account) -> dict[str, str]:
    url = server.url(f"fhir/{account.fhir_user}") if account.fhir_user else None
    values = {"name": account.name, "preferred_username": account.username, "fhirUser": url, "profile": url}
    return {name: value for name, value in values.items() if value}
