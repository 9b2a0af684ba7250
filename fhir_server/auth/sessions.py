"""Browser sessions: an opaque cookie that also works inside the EHR's frame.

The cookie is `__Host-<cookie_name>-session; Secure; HttpOnly; SameSite=None; Partitioned`: the launch passes through
another site's address inside a frame, and `__Host-` binds it to this host.  Cookies ignore ports, so `cookie_name`
differs by program.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fhir_server.auth import opaque
from fhir_server.settings import Settings
from fhir_server.store import auth_registry, auth_sessions
from fhir_server.store.auth_providers import FederatedSignIn, add_sign_in
from fhir_server.store.auth_values import Account
from fhir_server.store.database import Database

TOUCH_SECONDS = 60
ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=None; Partitioned"


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in person in one browser."""

    account: Account
    signed_in_at: float


def cookie_name(settings: Settings) -> str:
    """Name the session cookie of this server."""
    return f"__Host-{settings.cookie_name}-session"


def set_cookie(settings: Settings, token: str) -> str:
    """Write the Set-Cookie header; the session ends with the browser, or earlier on the server."""
    return f"{cookie_name(settings)}={token}; {ATTRIBUTES}"


def clear_cookie(settings: Settings) -> str:
    """Write the Set-Cookie header that takes the cookie away."""
    return f"{cookie_name(settings)}=; Max-Age=0; {ATTRIBUTES}"


async def create(
    db: Database, settings: Settings, account: Account, now: float, federated: FederatedSignIn | None = None
) -> str:
    """Sign a person in and give the cookie's value; `federated` where an identity provider says who it is."""
    token = opaque.make()
    key, until = opaque.digest(token), now + settings.session_seconds
    signed_in_at = federated.signed_in_at if federated is not None else now
    async with db.transaction() as transaction:
        await auth_sessions.add_session(transaction, key, account.account_id, (signed_in_at, now, until))
        if federated is not None:
            longest = max(settings.session_seconds, settings.refresh_token_seconds)
            await add_sign_in(transaction, key, account.account_id, federated, now + longest)
    return token


async def lookup(db: Database, settings: Settings, cookies: Mapping[str, str], now: float) -> Session | None:
    """Find out who is signed in; None when nobody is, or was idle too long, or may no longer sign in."""
    token = cookies.get(cookie_name(settings))
    row = await auth_sessions.find_session(db, opaque.digest(token)) if token else None
    if row is None or row["expires_at"] <= now:
        return None
    account = await auth_registry.find_account(db, row["account_id"])
    if account is None or account.disabled or row["seen_at"] + idle_seconds(settings, account) <= now:
        return None
    if row["seen_at"] + TOUCH_SECONDS < now:
        async with db.transaction() as transaction:
            await auth_sessions.touch_session(transaction, row["token_hash"], now)
    return Session(account, row["signed_in_at"])


def idle_seconds(settings: Settings, account: Account) -> float:
    """How long a session of this person may be unused: the shortest time of the person's roles."""
    by_role = settings.session_idle_seconds_by_role
    return min([settings.session_idle_seconds, *(by_role[role] for role in account.roles if role in by_role)])


async def end(db: Database, settings: Settings, cookies: Mapping[str, str]) -> None:
    """Sign out."""
    token = cookies.get(cookie_name(settings))
    if token:
        async with db.transaction() as transaction:
            await auth_sessions.remove_session(transaction, opaque.digest(token))
