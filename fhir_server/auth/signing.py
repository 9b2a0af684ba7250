"""The server's own signing keys: RS256, sealed in the database under the master key, published as a JWK Set."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from anyio import to_thread
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, RSAKey

from fhir_server.store import auth_sessions
from fhir_server.store.database import Database
from konsil.secrets import open_, seal

ALGORITHM = "RS256"
"""OpenID Connect wants it of every provider, and SMART's conformance tests check it."""
BITS = 2048


async def jwks(db: Database, now: float) -> dict[str, Any]:
    """Give the public keys; the first is made when there is none.  RFC 7517 5"""
    return {"keys": [key["public"] for key in await _keys(db, now)]}


async def sign(db: Database, claims: Mapping[str, Any], now: float) -> str:
    """Sign a JWT with the newest key."""
    newest = (await _keys(db, now))[0]
    return await to_thread.run_sync(_sign, newest["kid"], newest["sealed"], dict(claims))


async def check(db: Database, token: str) -> dict[str, Any] | None:
    """The claims of a JWT that one of the server's keys has signed, None for any other."""
    keys = KeySet.import_key_set({"keys": [key["public"] for key in await auth_sessions.signing_keys(db)]})
    try:
        return dict(jwt.decode(token, keys, algorithms=[ALGORITHM]).claims)
    except (JoseError, ValueError):
        return None


async def rotate(db: Database, now: float) -> str:
    """Make a new key that signs from now on; the older ones stay published.  Gives its kid."""
    private = await to_thread.run_sync(_generate)
    public = private.as_dict(private=False)
    async with db.transaction() as transaction:
        await auth_sessions.add_signing_key(transaction, public, seal(private.as_pem(private=True)), now)
    return str(public["kid"])


async def _keys(db: Database, now: float) -> list[dict[str, Any]]:
    keys = await auth_sessions.signing_keys(db)
    if not keys:
        await rotate(db, now)
        keys = await auth_sessions.signing_keys(db)
    return keys


def _generate() -> RSAKey:
    key = RSAKey.generate_key(BITS, {"use": "sig", "alg": ALGORITHM})
    key.ensure_kid()
    return key


def _sign(kid: str, sealed: bytes, claims: dict[str, Any]) -> str:
    return jwt.encode({"alg": ALGORITHM, "kid": kid}, claims, _private(sealed), algorithms=[ALGORITHM])


@lru_cache(maxsize=8)
def _private(sealed: bytes) -> RSAKey:
    return RSAKey.import_key(open_(sealed))
