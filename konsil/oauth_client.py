"""SMART Backend Services, client side.  https://hl7.org/fhir/smart-app-launch/backend-services.html"""

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey, import_key

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS = 300
_RENEW_BEFORE_SECONDS = 60
_ALGORITHMS = {"EC": "ES384", "RSA": "RS384"}


class TokenRefused(httpx.HTTPError):
    """The token endpoint gave no token; `status` and `error` (RFC 6749 5.2) say why."""

    def __init__(self, status: int, error: str) -> None:
        """Keep the status and the registered error word; the description may hold anything and is left out."""
        super().__init__(f"token endpoint answered {status} {error}")
        self.status = status
        self.error = error


@dataclass(frozen=True)
class ClientKey:
    """How a client proves itself at one token endpoint: its id, and a private JWK with `kid` (P-384 or RSA)."""

    client_id: str
    key_jwk: Mapping[str, Any] = field(repr=False)
    token_url: str


def client_assertion(key: ClientKey) -> str:
    """Sign a fresh authentication JWT for the token endpoint.  RFC 7523 3; ES384 or RS384, five minutes, single use."""
    private = import_key(dict(key.key_jwk))
    if not isinstance(private, ECKey | RSAKey):
        raise TypeError("client keys are EC or RSA")
    header = {"alg": _ALGORITHMS[private.key_type], "kid": key.key_jwk["kid"]}
    now = int(time.time())
    claims = {"iss": key.client_id, "sub": key.client_id, "aud": key.token_url, "jti": str(uuid.uuid4())}
    return jwt.encode(
        header, {**claims, "iat": now, "exp": now + ASSERTION_SECONDS}, private, algorithms=[header["alg"]]
    )


class BackendToken:
    """A client-credentials token, fetched when first needed and kept until a minute before it ends.

    Threads share one; only one of them fetches at a time.
    """

    def __init__(self, client: httpx.Client, key: ClientKey, scope: str) -> None:
        """Keep the means; nothing is sent before `header`."""
        self._client = client
        self._key = key
        self._scope = scope
        self._lock = Lock()
        self._token = ""
        self._good_until = 0.0

    def header(self) -> dict[str, str]:
        """The Authorization header.  Raises TokenRefused, and what httpx raises."""
        with self._lock:
            if time.monotonic() >= self._good_until:
                self._fetch()
            return {"Authorization": f"Bearer {self._token}"}

    def forget(self) -> None:
        """Drop the token, after a 401: the server may have revoked it."""
        with self._lock:
            self._good_until = 0.0

    def _fetch(self) -> None:
        form = {
            "grant_type": "client_credentials",
            "scope": self._scope,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": client_assertion(self._key),
        }
        answer = self._client.post(self._key.token_url, data=form, headers={"Accept": "application/json"})
        if answer.status_code != httpx.codes.OK:
            raise TokenRefused(answer.status_code, _error_word(answer))
        try:
            body = answer.json()
            self._token = str(body["access_token"])
            self._good_until = time.monotonic() + float(body.get("expires_in", 0)) - _RENEW_BEFORE_SECONDS
        except (ValueError, KeyError, TypeError) as error:
            raise TokenRefused(answer.status_code, "an answer that cannot be read") from error


class Introspection:
    """Asks what a token is, as a resource server.  RFC 7662 2; SMART token-introspection.html"""

    def __init__(self, client: httpx.Client, key: ClientKey, fhir_base: str) -> None:
        """Keep the means; the endpoint is looked up when first needed."""
        self._client = client
        self._key = key
        self._base = fhir_base
        self._endpoint = ""

    def describe(self, token: str) -> Mapping[str, Any]:
        """What the server says of a token: `active` false and nothing else when it is none.  Raises httpx.HTTPError."""
        if not self._endpoint:
            found = self._client.get(f"{self._base}/.well-known/smart-configuration")
            found.raise_for_status()
            self._endpoint = str(found.json()["introspection_endpoint"])
        form = {
            "token": token,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": client_assertion(self._key),
        }
        answer = self._client.post(self._endpoint, data=form, headers={"Accept": "application/json"})
        answer.raise_for_status()
        body = answer.json()
        return body if isinstance(body, dict) else {}

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _error_word(answer: httpx.Response) -> str:
    if not answer.headers.get("content-type", "").startswith("application/json"):
        return "unknown"
    body = answer.json()
    return str(body.get("error", "unknown")) if isinstance(body, dict) else "unknown"
