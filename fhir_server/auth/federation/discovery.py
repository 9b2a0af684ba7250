"""What an identity provider says of itself, read from its issuer and kept for an hour.  OpenID Connect Discovery 1.0

Nothing that it says leads to an origin that was not provisioned with it.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
from anyio import Lock

from fhir_server.store.auth_providers import IdentityProvider
from konsil.http_client import OriginRefused, guarded_async_client, origin

CACHE_SECONDS = 3_600.0
FAILURE_SECONDS = 2.0
ANSWER_BYTES = 256_000
NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")
OFFERED = ("userinfo_endpoint", "end_session_endpoint")

Key = tuple[str, tuple[str, ...]]


class Failed(Exception):
    """A sign-in that came to nothing.  `reason` is for the audit and holds nothing of a token.

    `words` are for the person, after the provider's title: "does not answer at the moment".
    """

    def __init__(self, reason: str, words: str = "sent an answer that cannot be trusted", status: int = 502) -> None:
        """Keep what to put down, what to say, and the status of the page."""
        super().__init__(reason)
        self.reason, self.words, self.status = reason, words, status


class Unreachable(Failed):
    """The provider gave no answer, or none that can be read."""

    def __init__(self, reason: str) -> None:
        """Keep the reason."""
        super().__init__(reason, "does not answer at the moment")


@dataclass(frozen=True, slots=True)
class Metadata:
    """The members of a provider's configuration that are used here.  OpenID Connect Discovery 3"""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""
    end_session_endpoint: str = ""
    token_endpoint_auth_methods: tuple[str, ...] = ("client_secret_basic",)
    names_issuer: bool = False


def origins_of(provider: IdentityProvider) -> frozenset[str]:
    """The origins that may be spoken to: the issuer's and those provisioned beside it."""
    return frozenset(origin(url) for url in (provider.issuer, *provider.origins))


def read(provider: IdentityProvider, document: object) -> Metadata:
    """Read a configuration.  Raises Failed when it is another issuer's or names addresses that were not agreed."""
    if not isinstance(document, dict) or document.get("issuer") != provider.issuer:
        raise Failed("the configuration is that of another issuer")
    allowed = origins_of(provider)
    wanted = [*NEEDED, *(name for name in OFFERED if document.get(name))]
    named = {name: _address(document, name, allowed) for name in wanted}
    methods = document.get("token_endpoint_auth_methods_supported")
    return Metadata(
        **named,
        token_endpoint_auth_methods=_texts(methods) or ("client_secret_basic",),
        names_issuer=document.get("authorization_response_iss_parameter_supported") is True,
    )


@dataclass
class MetadataSource:
    """Configurations by provider: kept for an hour, asked for again two seconds after a failure, by one at a time."""

    _kept: dict[Key, tuple[float, Metadata]] = field(default_factory=dict)
    _failed: dict[Key, float] = field(default_factory=dict)
    _turns: defaultdict[str, Lock] = field(default_factory=lambda: defaultdict(Lock))

    async def find(self, provider: IdentityProvider, now: float) -> Metadata:
        """Get a provider's configuration.  Raises Failed."""
        key = (provider.issuer, provider.origins)
        async with self._turns[provider.issuer]:
            fetched_at, kept = self._kept.get(key, (float("-inf"), None))
            if kept is not None and now - fetched_at < CACHE_SECONDS:
                return kept
            if now - self._failed.get(key, float("-inf")) < FAILURE_SECONDS:
                raise Unreachable("the configuration is not available")
            try:
                found = read(provider, await get_json(provider, _well_known(provider)))
            except Failed:
                self._failed[key] = now
                raise
            self._kept[key] = (now, found)
        return found


async def get_json(provider: IdentityProvider, url: str, bearer: str | None = None) -> object:
    """Get a JSON document from one of the provider's origins.  Raises Unreachable."""
    headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {bearer}"} if bearer else {})
    return await _json(provider, "GET", url, headers=headers)


async def post_form(
    provider: IdentityProvider, url: str, form: Mapping[str, str], headers: Mapping[str, str]
) -> object:
    """Send a form to one of the provider's origins.  Raises Unreachable, with the word of RFC 6749 5.2."""
    return await _json(provider, "POST", url, data=dict(form), headers={"Accept": "application/json", **headers})


async def _json(provider: IdentityProvider, method: str, url: str, **sent: Any) -> object:
    body = bytearray()
    async with guarded_async_client(origins_of(provider)) as client:
        try:
            async with client.stream(method, url, **sent) as answer:
                async for piece in answer.aiter_bytes():
                    body += piece
                    if len(body) > ANSWER_BYTES:
                        raise Unreachable("an answer that never ends")
        except (httpx.HTTPError, OriginRefused) as error:
            raise Unreachable(f"no answer: {type(error).__name__}") from error
    if answer.status_code != httpx.codes.OK:
        raise Unreachable(f"answered {answer.status_code} {_error_word(bytes(body))}".strip())
    try:
        return orjson.loads(body)
    except ValueError as error:
        raise Unreachable("an answer that is no JSON") from error


def _error_word(body: bytes) -> str:
    """The registered word alone: a description may hold anything."""
    try:
        found = orjson.loads(body)
    except ValueError:
        return ""
    word = found.get("error") if isinstance(found, dict) else None
    return word if isinstance(word, str) and word.replace("_", "").isalpha() and len(word) < 64 else ""


def _address(document: Mapping[str, Any], name: str, allowed: Collection[str]) -> str:
    url = document.get(name)
    try:
        if isinstance(url, str) and origin(url) in allowed:
            return url
    except (OriginRefused, httpx.InvalidURL):
        pass
    raise Failed(f"{name} is at an origin that was not provisioned")


def _texts(value: object) -> tuple[str, ...]:
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, Sequence) else ()


def _well_known(provider: IdentityProvider) -> str:
    return f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration"
