"""Sending a person to the identity provider.  OpenID Connect Core 3.1.2.1, RFC 7636, RFC 9700 2.1

`state` is of one browser and works once; nonce and code verifier are derived from it and the browser's cookie, so the
database holds nothing that completes a sign-in.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from urllib.parse import urlencode

import orjson

from fhir_server.auth import opaque
from fhir_server.auth.authorize import Request
from fhir_server.auth.federation.discovery import Failed
from fhir_server.auth.server import AuthorizationServer
from fhir_server.store import auth_grants
from fhir_server.store.auth_providers import IdentityProvider

WAIT_SECONDS = 900


@dataclass(frozen=True, slots=True)
class Trip:
    """What is remembered of who was sent away: for which waiting request, and how old a sign-in may be."""

    waiting: str = ""
    fresh_since: float | None = None


@dataclass(frozen=True, slots=True)
class Secrets:
    """What only this browser's attempt has."""

    nonce: str
    code_verifier: str


def secrets_of(browser: str, state: str) -> Secrets:
    """Derive nonce and code verifier of an attempt from the browser's secret."""
    return Secrets(_derive(browser, "nonce", state), _derive(browser, "code_verifier", state))


async def authorization_url(
    server: AuthorizationServer, provider: IdentityProvider, waiting: str, asked: Request | None, browser: str
) -> str:
    """Write the address to send a browser to, and remember it was sent.  Raises Failed."""
    metadata = await server.providers.find(provider, server.clock())
    state = opaque.make()
    trip = Trip(waiting, asked.fresh_since if asked is not None else None)
    await _remember(server, provider, state, browser, trip)
    attempt = secrets_of(browser, state)
    parameters = dict(provider.parameters) | {
        "response_type": "code",
        "client_id": provider.client_id,
        "redirect_uri": redirect_uri(server, provider),
        "scope": " ".join(provider.scopes),
        "state": state,
        "nonce": attempt.nonce,
        "code_challenge": _challenge(attempt.code_verifier),
        "code_challenge_method": "S256",
    }
    parameters |= {"acr_values": " ".join(provider.acr)} if provider.acr else {}
    parameters |= _passed_on(asked, server.clock()) if asked is not None else {}
    return with_query(metadata.authorization_endpoint, parameters)


async def _remember(
    server: AuthorizationServer, provider: IdentityProvider, state: str, browser: str, trip: Trip
) -> None:
    """Keep what the way back will be checked against."""
    row = {
        "state_hash": opaque.digest(state),
        "provider": provider.name,
        "browser_hash": opaque.digest(browser),
        "parameters_json": orjson.dumps(asdict(trip)).decode(),
        "expires_at": server.clock() + WAIT_SECONDS,
    }
    async with server.db.transaction() as transaction:
        await auth_grants.add(transaction, "federation", row)


async def returned(server: AuthorizationServer, provider: IdentityProvider, state: str, browser: str) -> Trip:
    """Take up who comes back, once.  Raises Failed for a state that is not of this browser and provider, or too old."""
    key = opaque.digest(state)
    row = await auth_grants.find(server.db, "federation", key)
    own = row is not None and hmac.compare_digest(str(row["browser_hash"]), opaque.digest(browser))
    if row is None or not own or row["provider"] != provider.name:
        raise Failed("state of another browser, or unknown", "answered a sign-in that was not begun here", 400)
    async with server.db.transaction() as transaction:
        if await auth_grants.consume(transaction, "federation", key, server.clock()) is None:
            raise Failed("state used before, or expired", "answered a sign-in that is over", 400)
    return Trip(**orjson.loads(row["parameters_json"]))


def redirect_uri(server: AuthorizationServer, provider: IdentityProvider) -> str:
    """Write where a provider sends people back: an address for each, so that none is mixed up.  RFC 9700 4.4"""
    return server.url(f"login/with/{provider.name}/callback")


def with_query(url: str, parameters: Mapping[str, str]) -> str:
    """Add parameters to an address."""
    return f"{url}{'&' if '?' in url else '?'}{urlencode(parameters)}"


def _passed_on(asked: Request, now: float) -> dict[str, str]:
    """What the application asked of the sign-in is asked of the provider: who, and how fresh."""
    prompts = (asked.prompt or "").split()
    found = {"login_hint": asked.login_hint} if asked.login_hint else {}
    found |= {"prompt": "login"} if "login" in prompts else {}
    return found | ({"max_age": str(max(0, int(now - asked.fresh_since)))} if asked.fresh_since is not None else {})


def _derive(browser: str, purpose: str, state: str) -> str:
    mac = hmac.new(browser.encode(), f"{purpose}\n{state}".encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


def _challenge(code_verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(code_verifier.encode()).digest()).rstrip(b"=").decode()
