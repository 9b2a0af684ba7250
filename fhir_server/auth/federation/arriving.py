"""From the provider's answer to claims that are believed.  OpenID Connect Core 3.1.2.5 to 3.1.3.8, RFC 9207"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus
from uuid import uuid4

from fhir_server.auth import signing
from fhir_server.auth.federation import leaving
from fhir_server.auth.federation.discovery import Failed, Metadata, get_json, post_form
from fhir_server.auth.federation.leaving import Secrets, Trip
from fhir_server.auth.jose import Expected, Rejected, peek, verify
from fhir_server.auth.server import AuthorizationServer
from fhir_server.store.auth_providers import IdentityProvider
from konsil.oauth_client import ASSERTION_TYPE
from konsil.secrets import open_

CLOCK_SKEW_SECONDS = 120  # hospitals' clocks are not ours
OLDEST_SECONDS = 600
ASSERTION_SECONDS = 120
LONGEST_SUBJECT = 255
DECLINED = {
    "access_denied": "did not let you in, or you cancelled",
    "login_required": "did not sign you in",
    "interaction_required": "did not sign you in",
    "account_selection_required": "did not sign you in",
    "consent_required": "did not sign you in",
    "temporarily_unavailable": "does not answer at the moment",
    "server_error": "does not answer at the moment",
}


@dataclass(frozen=True, slots=True)
class Arrived:
    """Somebody whom the provider signed in: claims that were checked, and the id_token that says so."""

    claims: Mapping[str, Any]
    id_token: str = field(repr=False)

    @property
    def subject(self) -> str:
        """The claim `sub`."""
        return str(self.claims["sub"])

    def signed_in_at(self, trip: Trip, now: float) -> float:
        """When the person proved who they are, by the provider's word, never later than now."""
        auth_time = self.claims.get("auth_time")
        said = min(float(auth_time), now) if isinstance(auth_time, int) else now
        return max(said, trip.fresh_since or 0.0)


async def arrive(
    server: AuthorizationServer, provider: IdentityProvider, given: Mapping[str, str], trip: Trip, secrets: Secrets
) -> Arrived:
    """Turn an authorization response into claims.  Raises Failed."""
    metadata = await server.providers.find(provider, server.clock())
    code = _code(provider, metadata, given)
    answer = await _redeem(server, provider, metadata, code, secrets)
    id_token, access_token = answer.get("id_token"), answer.get("access_token")
    if not isinstance(id_token, str):
        raise Failed("no id_token")
    try:
        claims = await _verified(server, provider, metadata, id_token)
        _check(provider, claims, secrets.nonce, trip)
        if claims.get("at_hash") is not None:
            _check_at_hash(id_token, claims["at_hash"], access_token)
    except Rejected as rejected:
        raise Failed(f"id_token refused: {rejected.reason}") from rejected
    if provider.userinfo:
        claims = await _userinfo(provider, metadata, claims, access_token) | claims
    return Arrived(claims, id_token)


def _code(provider: IdentityProvider, metadata: Metadata, given: Mapping[str, str]) -> str:
    """Take the code out of the answer of the right provider.  RFC 9207 2.4, RFC 6749 4.1.2.1"""
    if given.get("iss", provider.issuer) != provider.issuer or (metadata.names_issuer and "iss" not in given):
        raise Failed("the answer is that of another issuer", status=400)
    if "error" in given:
        known = given["error"] if given["error"] in DECLINED else "another error"
        raise Failed(f"declined: {known}", DECLINED.get(given["error"], "could not sign you in"), 403)
    if not given.get("code"):
        raise Failed("no code", status=400)
    return given["code"]


async def _redeem(
    server: AuthorizationServer, provider: IdentityProvider, metadata: Metadata, code: str, secrets: Secrets
) -> dict[str, Any]:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": leaving.redirect_uri(server, provider),
        "code_verifier": secrets.code_verifier,
    }
    proof, headers = await _proof(server, provider, metadata)
    answer = await post_form(provider, metadata.token_endpoint, form | proof, headers)
    if not isinstance(answer, dict):
        raise Failed("a token answer that cannot be read")
    return answer


async def _proof(
    server: AuthorizationServer, provider: IdentityProvider, metadata: Metadata
) -> tuple[dict[str, str], dict[str, str]]:
    """Prove which client asks: form fields and headers.  OpenID Connect Core 9

    By secret, in the header if the provider takes that (RFC 6749 2.3.1).  Without secret by `private_key_jwt`, signed
    with the server's own published key, for the issuer alone: an assertion for one provider is no use at another.
    """
    if provider.secret_sealed is None:
        return await _assertion(server, provider), {}
    secret = open_(provider.secret_sealed).decode()
    if "client_secret_basic" not in metadata.token_endpoint_auth_methods:
        return {"client_id": provider.client_id, "client_secret": secret}, {}
    pair = f"{quote_plus(provider.client_id)}:{quote_plus(secret)}"
    return {}, {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


async def _assertion(server: AuthorizationServer, provider: IdentityProvider) -> dict[str, str]:
    now = int(server.clock())
    claims = {"iss": provider.client_id, "sub": provider.client_id, "aud": provider.issuer, "jti": str(uuid4())}
    times = {"iat": now, "exp": now + ASSERTION_SECONDS}
    signed = await signing.sign(server.db, claims | times, now)
    return {"client_id": provider.client_id, "client_assertion_type": ASSERTION_TYPE, "client_assertion": signed}


async def verified(server: AuthorizationServer, provider: IdentityProvider, token: str) -> dict[str, Any]:
    """Check a JWT of a provider: signature, algorithm, issuer, audience, times.  Raises Failed, Rejected."""
    return await _verified(server, provider, await server.providers.find(provider, server.clock()), token)


async def _verified(
    server: AuthorizationServer, provider: IdentityProvider, metadata: Metadata, token: str
) -> dict[str, Any]:
    now = server.clock()
    header, _ = peek(token)
    if header.get("alg") not in provider.algorithms:
        raise Rejected("alg is not one of those agreed")
    keys = await server.keys.find(None, metadata.jwks_uri, header.get("kid"), now)
    audience = frozenset({provider.client_id})
    expected = Expected(provider.issuer, audience, provider.algorithms, leeway_seconds=CLOCK_SKEW_SECONDS)
    claims = verify(token, keys, expected, now)
    if claims["aud"] not in (provider.client_id, [provider.client_id]):
        raise Rejected("aud names others too")
    issued_at = claims.get("iat")
    if not isinstance(issued_at, int) or issued_at < now - OLDEST_SECONDS - CLOCK_SKEW_SECONDS:
        raise Rejected("missing or old iat")
    return claims


def _check(provider: IdentityProvider, claims: Mapping[str, Any], nonce: str, trip: Trip) -> None:
    """Check what an id_token alone says.  OpenID Connect Core 3.1.3.7.  Raises Rejected, Failed."""
    if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        raise Rejected("nonce is not that of this sign-in")
    if claims.get("azp", provider.client_id) != provider.client_id:
        raise Rejected("azp is not this client")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_SUBJECT:
        raise Rejected("missing sub")
    _check_freshness(claims, trip)
    _check_second_factor(provider, claims)


def _check_freshness(claims: Mapping[str, Any], trip: Trip) -> None:
    """Who had to sign in anew did so.  OpenID Connect Core 3.1.3.7 (13)"""
    if trip.fresh_since is None:
        return
    auth_time = claims.get("auth_time")
    if not isinstance(auth_time, int) or auth_time < trip.fresh_since - CLOCK_SKEW_SECONDS:
        raise Failed("auth_time is too old", "did not ask you to sign in again, as was wanted", 403)


def _check_second_factor(provider: IdentityProvider, claims: Mapping[str, Any]) -> None:
    """The sign-in was as strong as agreed.  OpenID Connect Core 2 (`acr`), RFC 8176 (`amr`)"""
    methods = claims.get("amr")
    used = {each for each in methods if isinstance(each, str)} if isinstance(methods, list) else set()
    strong = not provider.acr or claims.get("acr") in provider.acr
    if not strong or (provider.amr and not used & set(provider.amr)):
        raise Failed("acr or amr is not as agreed", "did not ask for the second step that is needed here", 403)


def _check_at_hash(id_token: str, at_hash: object, access_token: object) -> None:
    """The access token belongs to the id_token.  OpenID Connect Core 3.1.3.8"""
    bits = str(peek(id_token)[0]["alg"])[-3:]
    digest = hashlib.new(f"sha{bits}", str(access_token).encode()).digest()
    half = base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=")
    if not isinstance(access_token, str) or not hmac.compare_digest(half, str(at_hash).encode()):
        raise Rejected("at_hash is not that of the access token")


async def _userinfo(
    provider: IdentityProvider, metadata: Metadata, claims: Mapping[str, Any], access_token: object
) -> dict[str, Any]:
    """Read further claims, of the same subject alone.  OpenID Connect Core 5.3.2"""
    if not metadata.userinfo_endpoint or not isinstance(access_token, str):
        raise Failed("no userinfo")
    found = await get_json(provider, metadata.userinfo_endpoint, access_token)
    if not isinstance(found, dict) or found.get("sub") != claims["sub"]:
        raise Failed("userinfo of another subject")
    return found
