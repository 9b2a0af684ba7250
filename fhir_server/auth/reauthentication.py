"""Who signs proves herself anew, for this one signature.  docs/signature.md

A signing transaction is bound to person, client, resource and the SHA-256 of what is to be signed; it lives five
minutes and is used up with the signature (`fhir_server.rules.opinion`).  The person proves herself by her signing PIN
or the code of her authenticator, which the client hands on, or by signing in anew in a window of its own at this
server, bound to the same transaction.
"""

from dataclasses import dataclass
from typing import Any, Literal

from fhir_server.auth import accounts, authorize, opaque, pins
from fhir_server.auth.accounts import Locked
from fhir_server.auth.server import AuthorizationServer
from fhir_server.auth.sessions import Session
from fhir_server.store import auth_registry, auth_signing
from fhir_server.store.auth_values import Account
from fhir_server.store.database import Row

SECONDS = 300
OVER = "This signature was given, or has waited too long. Go back to the report."
PIN, CODE = ("pin",), ("otp",)
Method = Literal["pin", "code"]


@dataclass(frozen=True, slots=True)
class Content:
    """What is to be signed: `Type/id`, the SHA-256 of its canonical bytes, and its name in words."""

    resource: str
    sha256: str
    title: str


@dataclass(frozen=True, slots=True)
class Wrong:
    """A proof that does not hold: which, whether there is no further attempt now, and how many are left of a PIN."""

    method: Method
    locked: bool
    left: int | None = None


def methods(account: Account) -> list[str]:
    """By what a person can prove herself without leaving the page.  RFC 8176"""
    return [*(PIN if account.pin and not pins.is_locked(account) else ()), *(CODE if account.second_factor else ())]


async def begin(server: AuthorizationServer, account: Account, client_id: str, content: Content) -> str:
    """Begin a transaction; gives its handle, which the client keeps to itself."""
    handle, now = opaque.make(), server.clock()
    row = {
        "handle_hash": opaque.digest(handle),
        "account_id": account.account_id,
        "client_id": client_id,
        "resource": content.resource,
        "sha256": content.sha256,
        "title": content.title,
        "created_at": now,
        "expires_at": now + SECONDS,
    }
    async with server.db.transaction() as transaction:
        await auth_signing.add(transaction, row)
    return handle


async def window(server: AuthorizationServer, client_id: str, handle: str) -> str:
    """Make the address of the window in which the person signs in anew.  OpenID Connect Core 3.1.2.1 `prompt=login`"""
    now = server.clock()
    request = authorize.Request(client_id, "", "", "", prompt="login", fresh_since=now, signing=opaque.digest(handle))
    return server.url(f"oauth/continue?request={await authorize.keep(server, request)}")


async def prove(server: AuthorizationServer, account: Account, handle: str, given: tuple[Method, str]) -> Wrong | None:
    """Take PIN or code for a transaction; None when it holds."""
    method, secret = given
    try:
        if method == "pin":
            right = await pins.check(server.db, account, secret)
        else:
            right = await accounts.second_step(server.db, account, secret, server.clock())
    except Locked:
        return Wrong(method, locked=True)
    if not right:
        return await _wrong(server, account, method)
    await _proved(server, opaque.digest(handle), PIN if method == "pin" else CODE, server.clock())
    return None


async def _wrong(server: AuthorizationServer, account: Account, method: Method) -> Wrong:
    if method == "code":
        return Wrong(method, locked=False)
    now = await auth_registry.find_account(server.db, account.account_id)
    left = max(0, pins.MOST_FAILURES - now.pin_failures) if now is not None else 0
    return Wrong(method, locked=not left, left=left)


async def asked(server: AuthorizationServer, key: str | None) -> tuple[Row, Account]:
    """Find the transaction and the person whom a window is about.  Raises Untrusted when it is over."""
    row = await auth_signing.find(server.db, key or "")
    account = await auth_registry.find_account(server.db, row["account_id"]) if row is not None else None
    over = row is None or row["amr"] is not None or row["expires_at"] <= server.clock()
    if row is None or account is None or over or account.disabled:
        raise authorize.Untrusted(OVER)
    return row, account


async def by_window(server: AuthorizationServer, key: str, session: Session) -> None:
    """Prove by a sign-in that is newer than the transaction; a locked PIN is open again.  Raises Untrusted."""
    row, account = await asked(server, key)
    if not is_signer(row, session):
        raise authorize.Untrusted("Sign in again as the person who signs.")
    if not await _proved(server, key, how(account), session.signed_in_at):
        raise authorize.Untrusted(OVER)
    await pins.forgive(server.db, account)


def is_signer(row: Row, session: Session | None) -> bool:
    """Whether a session is that person's, begun for this signature."""
    own = session is not None and session.account.account_id == row["account_id"]
    return session is not None and own and session.signed_in_at >= row["created_at"]


def how(account: Account) -> tuple[str, ...]:
    """By what a person signs in.  RFC 8176 2; `fed`: at another house, which says itself how."""
    if account.username is None:
        return ("fed",)
    return ("pwd", "otp", "mfa") if account.second_factor else ("pwd",)


async def state(server: AuthorizationServer, client_id: str, handle: str) -> dict[str, Any]:
    """Say where a transaction of this client stands."""
    row = await auth_signing.find(server.db, opaque.digest(handle))
    if row is None or row["client_id"] != client_id or row["used_at"] or row["expires_at"] <= server.clock():
        return {"status": "expired"}
    if row["amr"] is None:
        return {"status": "waiting"}
    return {"status": "proved", "amr": row["amr"].split(), "auth_time": int(row["auth_time"])}


async def _proved(server: AuthorizationServer, key: str, amr: tuple[str, ...], auth_time: float) -> bool:
    async with server.db.transaction() as transaction:
        return await auth_signing.prove(transaction, key, " ".join(amr), auth_time, server.clock())
