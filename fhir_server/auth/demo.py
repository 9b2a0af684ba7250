"""Signing in by name alone, for a demo on one machine.

OpenID Connect Core 3.1.2.1: `login_hint` says who is about to sign in.  With `KONSIL_FHIR_DEMO_SIGN_IN` this server
takes the hint's word for it; without, nothing here does anything.  `Settings` refuses the setting away from loopback.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from fhir_server.auth import accounts, sessions
from fhir_server.auth.authorize import Request
from fhir_server.auth.server import AuthorizationServer
from fhir_server.auth.sessions import Session
from fhir_server.store import auth_registry
from fhir_server.store.auth_values import Account


async def account(server: AuthorizationServer, username: str) -> Account | None:
    """Find the local account that may be entered by its name; None outside a demo, or when there is none."""
    if not server.settings.demo_sign_in or not username:
        return None
    found = await auth_registry.find_account_by_username(server.db, accounts.normal(username))
    return None if found is None or found[0].disabled or found[0].second_factor else found[0]


async def enter(server: AuthorizationServer, entering: Account, cookies: Mapping[str, str]) -> str:
    """Start a session, the former one of this browser ends; gives the Set-Cookie header."""
    await sessions.end(server.db, server.settings, cookies)
    return sessions.set_cookie(
        server.settings, await sessions.create(server.db, server.settings, entering, server.clock())
    )


async def hinted(
    server: AuthorizationServer, given: Mapping[str, Sequence[str]], session: Session | None
) -> Account | None:
    """Find who has to be signed in for this authorization request: nobody when they are already."""
    wanted = await account(server, next(iter(given.get("login_hint", ())), ""))
    already = session is not None and wanted is not None and session.account.account_id == wanted.account_id
    return None if already else wanted


def allowed(request: Request, person: Account) -> Request:
    """Consent is part of what a demo does not ask."""
    return replace(request, consented=True, decided_by=person.account_id)
