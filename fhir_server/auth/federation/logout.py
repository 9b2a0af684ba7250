"""Signing out at the provider too, and being signed out by it.

https://openid.net/specs/openid-connect-rpinitiated-1_0.html, https://openid.net/specs/openid-connect-backchannel-1_0.html
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from fhir_server.auth import opaque, sessions, steps, tokens
from fhir_server.auth.federation import carrying, leaving
from fhir_server.auth.federation.arriving import verified
from fhir_server.auth.federation.discovery import Failed
from fhir_server.auth.jose import Rejected, peek
from fhir_server.auth.server import AuthorizationServer
from fhir_server.store import auth_grants, auth_providers, auth_registry
from fhir_server.store.auth_providers import IdentityProvider
from fhir_server.store.auth_values import Account
from konsil.secrets import open_

EVENT = "http://schemas.openid.net/event/backchannel-logout"
TYPES = {None, "jwt", "logout+jwt", "application/logout+jwt"}


async def way_out(
    server: AuthorizationServer, account: Account, cookies: Mapping[str, str]
) -> tuple[IdentityProvider, str] | None:
    """Prepare the sign-out at the provider of this browser's session: the provider, and a handle that works once.

    None for a local account, and where the provider offers no sign-out or cannot be asked now.
    """
    token = cookies.get(sessions.cookie_name(server.settings), "")
    held = await auth_providers.find_sign_in(server.db, opaque.digest(token))
    provider = await auth_providers.find_provider(server.db, held.provider) if held is not None else None
    if held is None or provider is None:
        return None
    try:
        metadata = await server.providers.find(provider, server.clock())
    except Failed:
        return None
    if not metadata.end_session_endpoint:
        return None
    return provider, await steps.begin(server.db, "leave", account, carrying.packed(held), server.clock())


async def end_session_url(server: AuthorizationServer, provider: IdentityProvider, step: steps.Step) -> str | None:
    """Write the address where the provider ends its own session.  RP-Initiated Logout 2; None where it has none."""
    held = carrying.unpacked(step.data)
    metadata = await server.providers.find(provider, server.clock())
    if held is None or held.provider != provider.name or not metadata.end_session_endpoint:
        return None
    parameters = {
        "id_token_hint": open_(held.id_token_sealed).decode(),
        "client_id": provider.client_id,
        "post_logout_redirect_uri": server.url("login"),
    }
    return leaving.with_query(metadata.end_session_endpoint, parameters)


async def signed_out_by(server: AuthorizationServer, provider: IdentityProvider, logout_token: str) -> list[Account]:
    """End what a logout token names: sessions here and every token given for them.  Back-Channel Logout 2.5 to 2.7

    Tokens of `offline_access` end too, where the standard would let them live: our own applications hold their
    sessions by them, and the records are others'.  Gives whose sessions ended.  Raises Rejected, Failed.
    """
    claims = await _claims(server, provider, logout_token)
    subject, session_id = claims.get("sub"), claims.get("sid")
    account = None
    if subject is not None:
        account = await auth_registry.find_account_by_identity(server.db, provider.issuer, str(subject))
        if account is None:
            return []
    person = account.account_id if account is not None else None
    async with server.db.transaction() as transaction:
        ended = await auth_providers.take_sign_ins(transaction, provider.name, session_id, person)
        await auth_providers.end_sign_ins(transaction, ended, server.clock())
    tokens.forget(server.db)
    found = [await auth_registry.find_account(server.db, each) for each in sorted({row["account_id"] for row in ended})]
    return [each for each in found if each is not None]


async def _claims(server: AuthorizationServer, provider: IdentityProvider, token: str) -> dict[str, Any]:
    """Check a logout token, which works once.  Back-Channel Logout 2.6"""
    kind = peek(token)[0].get("typ")
    if (kind.lower() if isinstance(kind, str) else kind) not in TYPES:
        raise Rejected("typ is not that of a logout token")
    claims = await verified(server, provider, token)
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(EVENT), dict):
        raise Rejected("not a logout token")
    named = [claims.get("sub"), claims.get("sid")]
    if "nonce" in claims or not any(named) or not all(each is None or isinstance(each, str) for each in named):
        raise Rejected("nonce, or neither sub nor sid")
    if not isinstance(claims.get("jti"), str):
        raise Rejected("missing jti")
    mark = hashlib.sha256(f"logout\n{provider.issuer}\n{claims['jti']}".encode()).hexdigest()
    async with server.db.transaction() as transaction:
        if not await auth_grants.first_use(transaction, mark, float(claims["exp"]) + 300):
            raise Rejected("used before")
    return claims
