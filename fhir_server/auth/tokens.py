"""Access and refresh tokens: opaque, 256 bits, kept as hashes; who stands behind one; taking them back."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary

import orjson

from fhir_server.auth import opaque
from fhir_server.caller import Caller
from fhir_server.errors import Unauthorized
from fhir_server.store import auth_grants
from fhir_server.store.auth_values import LaunchContext
from fhir_server.store.database import Database, Row, Transaction

CACHE_SECONDS = 5.0
"""Revocation bites within this time in every process, at once in the one that revokes."""
CACHED = 10_000
CHALLENGE = 'Bearer realm="fhir", error="invalid_token"'


@dataclass(frozen=True, slots=True)
class Grant:
    """What was granted: to which client, for whom (nobody: a backend client), with which scopes and context."""

    client_id: str
    account_id: str | None
    scopes: tuple[str, ...]
    context: LaunchContext = field(default_factory=LaunchContext)
    signed_in_at: float | None = None
    grant_id: str = field(default_factory=lambda: str(uuid4()))

    def narrowed(self, scopes: tuple[str, ...]) -> "Grant":
        """Give the same grant with fewer scopes."""
        return replace(self, scopes=scopes)


async def issue(transaction: Transaction, grant: Grant, kind: str, seconds: float, now: float) -> str:
    """Make a token of `kind` access or refresh."""
    token = opaque.make()
    row = {
        "token_hash": opaque.digest(token),
        "kind": kind,
        "grant_id": grant.grant_id,
        "client_id": grant.client_id,
        "account_id": grant.account_id,
        "scope": " ".join(grant.scopes),
        "context_json": grant.context.to_json(),
        "signed_in_at": grant.signed_in_at,
        "issued_at": now,
        "expires_at": now + seconds,
    }
    await auth_grants.add_token(transaction, row)
    return token


def read_grant(row: Row) -> Grant:
    """Read the grant of a token or a code."""
    context = LaunchContext.from_json(row["context_json"])
    scopes = tuple(row["scope"].split())
    return Grant(row["client_id"], row["account_id"], scopes, context, row["signed_in_at"], row["grant_id"])


async def resolve(db: Database, bearer: str) -> Caller:
    """Find out who asks.  RFC 6750 2.1; an answer is kept for at most five seconds.

    Raises Unauthorized when the token is unknown, expired, revoked, or its person may no longer sign in.
    """
    now = time.time()
    key = opaque.digest(bearer)
    cache = _caches.setdefault(db, {})
    kept = cache.get(key)
    if kept is not None and kept[0] > now:
        return kept[1]
    row = await auth_grants.find_token(db, key)
    if row is None or row["kind"] != "access" or not is_active(row, now):
        raise Unauthorized("The access token is unknown, expired or revoked.", CHALLENGE)
    caller = _caller(row)
    if len(cache) >= CACHED:
        cache.clear()
    cache[key] = (min(now + CACHE_SECONDS, row["expires_at"]), caller)
    return caller


def is_active(row: Row, now: float) -> bool:
    """Whether a token may be used now."""
    return row["expires_at"] > now and row["revoked_at"] is None and row["used_at"] is None and not row["disabled"]


def forget(db: Database) -> None:
    """Drop what this process keeps, after tokens were revoked or persons changed."""
    _caches.pop(db, None)


async def revoke(db: Database, row: Row, now: float) -> None:
    """Take back a token.  RFC 7009 2.1: with a refresh token goes everything that came of the same grant."""
    async with db.transaction() as transaction:
        if row["kind"] == "refresh":
            await auth_grants.revoke_grant(transaction, row["grant_id"], now)
        else:
            await auth_grants.revoke_token(transaction, row["token_hash"], now)
    forget(db)


async def revoke_grant(db: Database, grant_id: str, now: float) -> None:
    """Take back everything that came of one grant: a code or a refresh token was used twice."""
    async with db.transaction() as transaction:
        await auth_grants.revoke_grant(transaction, grant_id, now)
    forget(db)


def introspect(row: Row | None, issuer: str, now: float) -> Mapping[str, Any]:
    """Describe a token.  RFC 7662 2.2, SMART token-introspection.html; an inactive one only says that.

    `roles` is a member of our own (RFC 7662 2.2 allows it): what the person may do where no record decides.
    """
    if row is None or not is_active(row, now):
        return {"active": False}
    grant, caller = read_grant(row), _caller(row)
    answer: dict[str, Any] = {
        "active": True,
        "iss": issuer,
        "sub": caller.subject,
        "client_id": grant.client_id,
        "scope": row["scope"],
        "iat": int(row["issued_at"]),
        "exp": int(row["expires_at"]),
        "token_type": "Bearer",
        "roles": sorted(caller.roles),
    }
    if caller.fhir_user is not None:
        answer["fhirUser"] = f"{issuer}/fhir/{caller.fhir_user}"
    return answer | grant.context.members()


def _caller(row: Row) -> Caller:
    behind = "client" if row["account_id"] is None else "account"
    context = LaunchContext.from_json(row["context_json"])
    roles = frozenset(orjson.loads(row[f"{behind}_roles_json"]))
    as_proxy = context.related_person is not None
    return Caller(
        subject=row["account_id"] or row["client_id"],
        client_id=row["client_id"],
        fhir_user=context.related_person or row["fhir_user"],
        roles=roles & {"proxy"} if as_proxy else roles - {"proxy"},
        organization=row[f"{behind}_organization"],
        scopes=tuple(row["scope"].split()),
        patient=context.patient,
    )


_caches: WeakKeyDictionary[Database, dict[str, tuple[float, Caller]]] = WeakKeyDictionary()
