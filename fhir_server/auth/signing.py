"""The server's own signing keys: RS256, sealed in the database under the master key, published as a JWK Set."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from anyio import to_thread
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, RSAKey

from fhir_server.store import auth_sessions
from fhir_server.store.audit import alone
from fhir_server.store.database import Database
from konsil.secrets import open_, require_master_key, seal

LEAD_SECONDS = 600.0
"""A new key is published this long before it signs: twice as long as others may keep the key set (Cache-Control)."""
TAIL_SECONDS = 4_200.0
"""A key that signs no more stays published this long: the life of an id_token and ten minutes."""
ALGORITHM = "RS256"
"""OpenID Connect wants it of every provider, and SMART's conformance tests check it."""
BITS = 2048
FIRST_KEY = 0x6175746801


async def jwks(db: Database, now: float) -> dict[str, Any]:
    """Give the public keys: the one that signs, those to come, and former ones until their tokens ended.  RFC 7517 5"""
    keys = await _keys(db, now)
    successors = [None, *keys]
    published = [
        key["public"]
        for key, newer in zip(keys, successors, strict=False)
        if newer is None or now < newer["created_at"] + LEAD_SECONDS + TAIL_SECONDS
    ]
    return {"keys": published}


async def sign(db: Database, claims: Mapping[str, Any], now: float) -> str:
    """Sign a JWT with the newest key that was published long enough; the oldest where none was."""
    keys = await _keys(db, now)
    signs = next((key for key in keys if key["created_at"] + LEAD_SECONDS <= now), keys[-1])
    return await to_thread.run_sync(_sign, signs["kid"], signs["sealed"], dict(claims))


async def check(db: Database, token: str) -> dict[str, Any] | None:
    """The claims of a JWT that one of the server's keys has signed, also a retired one; None for any other."""
    held = await auth_sessions.signing_keys(db, retired=True)
    keys = KeySet.import_key_set({"keys": [key["public"] for key in held]})
    try:
        return dict(jwt.decode(token, keys, algorithms=[ALGORITHM]).claims)
    except (JoseError, ValueError):
        return None


async def rotate(db: Database, now: float, *, at_once: bool = False) -> str:
    """Make a new key, published now and signing ten minutes later; the older ones stay published.  Gives its kid.

    `at_once`, when a key has leaked: the others are retired, what they signed is refused from now on.
    Raises SecretsError without a usable master key, before it has worked for one that cannot be kept.
    """
    public, sealed = await _made()
    async with db.transaction() as transaction:
        if at_once:
            await auth_sessions.retire_signing_keys(transaction, now)
        await auth_sessions.add_signing_key(transaction, public, sealed, now)
    return str(public["kid"])


async def _keys(db: Database, now: float) -> list[dict[str, Any]]:
    """All that there are; of several who find none, one makes the first."""
    keys = await auth_sessions.signing_keys(db)
    if keys:
        return keys
    public, sealed = await _made()
    async with db.transaction() as transaction:
        await alone(transaction, FIRST_KEY)
        if not await auth_sessions.signing_keys(transaction):
            await auth_sessions.add_signing_key(transaction, public, sealed, now)
    return await auth_sessions.signing_keys(db)


async def _made() -> tuple[dict[str, Any], bytes]:
    """A new key: the public half, and the private one sealed."""
    require_master_key()
    private = await to_thread.run_sync(_generate)
    return dict(private.as_dict(private=False)), seal(private.as_pem(private=True))


def _generate() -> RSAKey:
    key = RSAKey.generate_key(BITS, {"use": "sig", "alg": ALGORITHM})
    key.ensure_kid()
    return key


def _sign(kid: str, sealed: bytes, claims: dict[str, Any]) -> str:
    return jwt.encode({"alg": ALGORITHM, "kid": kid}, claims, _private(sealed), algorithms=[ALGORITHM])


@lru_cache(maxsize=8)
def _private(sealed: bytes) -> RSAKey:
    return RSAKey.import_key(open_(sealed))
