"""Signed JWTs of others, checked.  RFC 7515, RFC 7519; joserfc does the cryptography, only named algorithms pass."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
from anyio import Lock
from joserfc import jws, jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from konsil.http_client import guarded_async_client

LEEWAY_SECONDS = 10
CACHE_SECONDS = 300.0
RETRY_SECONDS = 10.0
FAILURE_SECONDS = 2.0
JWKS_BYTES = 256_000

Fetch = Callable[[str], Awaitable[Mapping[str, Any]]]


class Rejected(Exception):
    """A JWT that must not be believed.  `reason` holds nothing of its content."""

    def __init__(self, reason: str) -> None:
        """Keep the reason."""
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Expected:
    """What a JWT must say.  `longest_seconds` limits how far off `exp` may be, `leeway_seconds` the clocks."""

    issuer: str
    audiences: frozenset[str]
    algorithms: frozenset[str]
    longest_seconds: float | None = None
    leeway_seconds: int = LEEWAY_SECONDS


def peek(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read header and claims without believing them, to find out whose keys to check with.  Raises Rejected."""
    try:
        signature = jws.extract_compact(token.encode())
        claims = orjson.loads(signature.payload or b"")
    except (JoseError, ValueError) as error:
        raise Rejected("not a signed JWT") from error
    if not isinstance(claims, dict):
        raise Rejected("not a signed JWT")
    return dict(signature.headers()), claims


def verify(token: str, keys: KeySet, expected: Expected, now: float) -> dict[str, Any]:
    """Check signature, issuer, audience and times.  Raises Rejected.

    `alg` must be one of the expected, `kid` must be there; `exp` is required, `nbf` and `iat` must not lie ahead.
    """
    algorithms = sorted(expected.algorithms)
    registry = jws.JWSRegistry(algorithms=algorithms, strict_check_header=False)
    try:
        decoded = jwt.decode(token, keys, algorithms=algorithms, registry=registry)
        options: dict[str, Any] = {"iss": {"essential": True, "value": expected.issuer}, "exp": {"essential": True}}
        options["aud"] = {"essential": True, "values": sorted(expected.audiences)}
        jwt.JWTClaimsRegistry(now=int(now), leeway=expected.leeway_seconds, **options).validate(decoded.claims)
    except (JoseError, ValueError) as error:
        raise Rejected(getattr(error, "error", "") or "malformed") from error
    if not decoded.header.get("kid"):
        raise Rejected("missing kid")
    if expected.longest_seconds is not None and decoded.claims["exp"] > now + expected.longest_seconds + LEEWAY_SECONDS:
        raise Rejected("exp too far off")
    return dict(decoded.claims)


def key_set(jwks: Mapping[str, Any]) -> KeySet:
    """Read a JWK Set.  Raises Rejected."""
    try:
        return KeySet.import_key_set({"keys": list(jwks["keys"])})
    except (JoseError, KeyError, TypeError, ValueError) as error:
        raise Rejected("unusable key set") from error


async def fetch_jwks(url: str) -> Mapping[str, Any]:
    """Get a JWK Set from its registered address, no redirect followed, 256 kB read at most.  Raises Rejected."""
    body = bytearray()
    async with guarded_async_client([url]) as client:
        try:
            async with client.stream("GET", url, headers={"Accept": "application/json"}) as answer:
                async for piece in answer.raise_for_status().aiter_bytes():
                    body += piece
                    if len(body) > JWKS_BYTES:
                        raise Rejected("unusable key set")
            found = orjson.loads(body)
        except (httpx.HTTPError, ValueError) as error:
            raise Rejected("key set not available") from error
    if not isinstance(found, dict):
        raise Rejected("unusable key set")
    return found


@dataclass
class KeySource:
    """Key sets by value or by address; those by address are kept for five minutes, an unknown `kid` looks again.

    An address is asked at most every ten seconds for an unknown `kid`, every two after a failure, by one request at a
    time: nobody can make this server call another one in a row.
    """

    fetch: Fetch = fetch_jwks
    _kept: dict[str, tuple[float, KeySet]] = field(default_factory=dict)
    _failed: dict[str, float] = field(default_factory=dict)
    _turns: defaultdict[str, Lock] = field(default_factory=lambda: defaultdict(Lock))

    async def find(self, jwks: Mapping[str, Any] | None, url: str | None, kid: object, now: float) -> KeySet:
        """Get the key set that is to hold `kid`.  Raises Rejected, also when it holds no such key."""
        keys = key_set(jwks) if jwks is not None else await self._by_address(url, kid, now)
        if not isinstance(kid, str) or not _holds(keys, kid):
            raise Rejected("unknown kid")
        return keys

    async def _by_address(self, url: str | None, kid: object, now: float) -> KeySet:
        if url is None:
            raise Rejected("no keys registered")
        async with self._turns[url]:
            fetched_at, keys = self._kept.get(url, (float("-inf"), None))
            age = now - fetched_at
            if keys is None or age > CACHE_SECONDS or (age > RETRY_SECONDS and not _holds(keys, kid)):
                keys = await self._fetched(url, now)
        return keys

    async def _fetched(self, url: str, now: float) -> KeySet:
        if now - self._failed.get(url, float("-inf")) < FAILURE_SECONDS:
            raise Rejected("key set not available")
        try:
            keys = key_set(await self.fetch(url))
        except Rejected:
            self._failed[url] = now
            raise
        self._kept[url] = (now, keys)
        return keys


def _holds(keys: KeySet, kid: object) -> bool:
    try:
        return isinstance(kid, str) and keys.get_by_kid(kid) is not None
    except InvalidKeyIdError:
        return False
