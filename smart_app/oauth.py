"""OAuth 2.0 and OpenID Connect as SMART App Launch 2.2 uses them, client side, asymmetric keys only.

https://hl7.org/fhir/smart-app-launch/app-launch.html
"""

import base64
import hashlib
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from konsil.oauth_client import ASSERTION_TYPE, ClientKey, client_assertion
from smart_app.errors import LaunchRefused, SignedOut, Unavailable
from smart_app.launches import Grant
from smart_app.settings import origin_of

ID_TOKEN_ALGORITHMS = ["RS256", "RS384", "ES256", "ES384"]
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105
ID_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105
CLOCK_SKEW_SECONDS = 120  # a hospital's clock may be so far from ours, either way

NAMED = ("authorization", "token", "revocation", "signing")

CLOCKS = (
    f"Up to {CLOCK_SKEW_SECONDS // 60} minutes are allowed. Have the clock set, then open the app "
    "again from the patient's chart."
)
TELL = "Open the app again from the patient's chart. If it happens again, tell your IT department."


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What a SMART server says of itself in .well-known/smart-configuration."""

    authorization: str
    token: str
    revocation: str = ""
    signing: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """A token answer: the grant, and the whole JSON for launch context and identity."""

    grant: Grant
    content: Mapping[str, Any]


def new_verifier() -> str:
    """A PKCE code_verifier of 256 bits.  RFC 7636 4.1"""
    return secrets.token_urlsafe(32)


def challenge(verifier: str) -> str:
    """Its S256 code_challenge.  RFC 7636 4.2"""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def authorization_url(endpoint: str, parameters: Mapping[str, str]) -> str:
    """The address a browser is sent to, for an authorization code."""
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(parameters)}"


class OAuthClient:
    """Discovery, token requests and id_token checks over one guarded HTTP client."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._keys: dict[str, tuple[float, KeySet]] = {}
        self._endpoints: dict[str, tuple[float, Endpoints]] = {}

    async def discover(self, fhir_base: str, origins: frozenset[str]) -> Endpoints:
        """Read a server's SMART configuration; endpoints outside `origins` are refused.  Kept for five minutes."""
        known = self._endpoints.get(fhir_base)
        if known and known[0] > time.monotonic():
            return known[1]
        content = await self._get(f"{fhir_base}/.well-known/smart-configuration")
        named = (str(content.get(f"{name}_endpoint", "")) for name in NAMED)
        found = Endpoints(*named)
        used = [found.authorization, found.token, *filter(None, [found.signing])]
        if not {origin_of(address) for address in used} <= origins:
            raise LaunchRefused("The hospital's server names sign-in addresses that were not agreed with it.")
        if "S256" not in content.get("code_challenge_methods_supported", []):
            raise LaunchRefused("The hospital's server does not support PKCE with S256.")
        self._endpoints[fhir_base] = (time.monotonic() + 300, found)
        return found

    async def token(self, key: ClientKey, form: Mapping[str, str]) -> Answer:
        """Ask a token endpoint, authenticated by private_key_jwt.  RFC 6749 5, RFC 7523"""
        proof = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": client_assertion(key)}
        try:
            headers = {"Accept": "application/json"}
            answer = await self._http.post(key.token_url, data={**form, **proof}, headers=headers)
        except httpx.HTTPError as error:
            raise Unavailable("The sign-in server does not answer.", "Try again in a moment.") from error
        content = _json(answer)
        if _is_trouble(answer, content):
            raise Unavailable(_trouble(answer), "Nothing was lost. Try again in a moment.")
        if answer.status_code != 200:
            raise LaunchRefused(_refusal(content), "Start again from the patient's chart.")
        return Answer(_grant(content), content)

    async def revoke(self, key: ClientKey, address: str, token: str) -> None:
        """Give a token back.  RFC 7009 2.1; a server that does not answer is no reason to keep anybody waiting."""
        proof = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": client_assertion(key)}
        with suppress(httpx.HTTPError):
            await self._http.post(address, data={"token": token, **proof})

    async def signing(self, key: ClientKey, address: str, form: Mapping[str, str]) -> dict[str, Any]:
        """Ask our own server about the proof of who signs.  docs/signature.md

        Raises SignedOut when the person's token counts no more, Unavailable when nobody could say.
        """
        proof = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": client_assertion(key)}
        try:
            answer = await self._http.post(address, data={**form, **proof})
        except httpx.HTTPError as error:
            raise Unavailable(
                "The sign-in server does not answer.", "Nothing was lost. Try again in a moment."
            ) from error
        content = _json(answer)
        if answer.status_code == 401 and content.get("error") == "invalid_token":
            raise SignedOut("This sign-in has ended.", "Sign in again; your drafts are kept.")
        if answer.status_code != 200 or not content:
            raise Unavailable(_trouble(answer), "Nothing was lost. Try again in a moment.")
        return content

    async def id_token_claims(self, token: str, jwks_url: str, expected: Mapping[str, str]) -> dict[str, Any]:
        """Claims of an id_token after all checks: signature by the issuer's keys, iss, aud, exp, iat, sub, nonce.

        OpenID Connect Core 3.1.3.7.  Raises LaunchRefused.
        """
        decoded: jwt.Token | None = None
        try:
            decoded = await self._verified(token, jwks_url)
            rules = {name: {"essential": True, "value": value} for name, value in expected.items()}
            needed = {name: {"essential": True} for name in ("exp", "iat", "sub")}
            jwt.JWTClaimsRegistry(leeway=CLOCK_SKEW_SECONDS, **needed, **rules).validate(decoded.claims)  # type: ignore[arg-type]
        except (JoseError, ValueError) as error:
            raise _not_valid(error, decoded.claims if decoded else {}) from error
        return dict(decoded.claims)

    async def _verified(self, token: str, jwks_url: str) -> jwt.Token:
        """Decode with the issuer's keys; an unknown key makes them be fetched once more (rotation)."""
        try:
            return jwt.decode(token, await self._jwks(jwks_url), algorithms=ID_TOKEN_ALGORITHMS)
        except (JoseError, ValueError):
            return jwt.decode(token, await self._jwks(jwks_url, fresh=True), algorithms=ID_TOKEN_ALGORITHMS)

    async def _jwks(self, url: str, fresh: bool = False) -> KeySet:
        known = self._keys.get(url)
        age_limit = time.monotonic() - (5 if fresh else 3600)  # a forged token must not make us hammer the issuer
        if known and known[0] > age_limit:
            return known[1]
        keys = KeySet.import_key_set(await self._get(url))  # type: ignore[arg-type]
        self._keys[url] = (time.monotonic(), keys)
        return keys

    async def _get(self, url: str) -> dict[str, Any]:
        try:
            answer = await self._http.get(url, headers={"Accept": "application/json"})
        except httpx.HTTPError as error:
            raise Unavailable("The hospital's server does not answer.", "Try again in a moment.") from error
        if answer.status_code != 200 or not _is_json(answer):
            raise Unavailable(f"The hospital's server answered {answer.status_code} to a question about its sign-in.")
        return _json(answer)


def _not_valid(error: Exception, claims: Mapping[str, Any]) -> LaunchRefused:
    """Why a proof of identity does not hold; a clock that is wrong is named, since nobody would look there."""
    ahead = _seconds(claims.get("iat")) - time.time()
    if ahead > CLOCK_SKEW_SECONDS:
        return LaunchRefused(f"The hospital's clock is {_minutes(ahead)} ahead of ours.", CLOCKS)
    past = time.time() - _seconds(claims.get("exp"))
    if claims.get("exp") and past > CLOCK_SKEW_SECONDS:
        return LaunchRefused(
            f"The hospital's proof of who you are ended {_minutes(past)} ago: its clock or ours is wrong.", CLOCKS
        )
    return LaunchRefused(f"The hospital's proof of who you are is not valid ({type(error).__name__}).", TELL)


def _seconds(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _minutes(seconds: float) -> str:
    number = round(seconds / 60)
    return f"{number} minute{'' if number == 1 else 's'}"


def _is_json(answer: httpx.Response) -> bool:
    return "json" in answer.headers.get("content-type", "")


def _json(answer: httpx.Response) -> dict[str, Any]:
    """The answer's JSON object; empty when it is none."""
    try:
        content = answer.json() if _is_json(answer) else {}
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _is_trouble(answer: httpx.Response, content: Mapping[str, Any]) -> bool:
    """Whether the server did not decide: busy, failed, or said something that is no token answer."""
    status = answer.status_code
    return status == 429 or status >= 500 or (status == 200 and not content.get("access_token"))


def _trouble(answer: httpx.Response) -> str:
    status = answer.status_code
    if status == 429:
        return "The sign-in server asks for patience."
    return "The sign-in server's answer cannot be read." if status == 200 else f"The sign-in server failed ({status})."


def _grant(content: Mapping[str, Any]) -> Grant:
    return Grant(
        access_token=str(content["access_token"]),
        expires_at=time.time() + float(content.get("expires_in", 300)),
        refresh_token=content.get("refresh_token"),
        scope=str(content.get("scope", "")),
    )


def _refusal(content: Mapping[str, Any]) -> str:
    word = str(content.get("error", "no reason given"))
    words = {
        "invalid_grant": "The sign-in was too old or had been used already.",
        "invalid_client": "The sign-in server does not know this application.",
        "invalid_scope": "The sign-in server does not grant what this application needs.",
    }
    return words.get(word, f"The sign-in server refused: {word}.")
