"""Who is the client at the token, introspection and revocation endpoints.  RFC 6749 2.3, RFC 7523

https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus

from authlib.oauth2.rfc6749 import InvalidClientError

from fhir_server.auth import opaque, passwords
from fhir_server.auth.jose import Expected, Rejected, peek, verify
from fhir_server.auth.server import AuthorizationServer
from fhir_server.store import auth_grants, auth_registry
from fhir_server.store.auth_values import Client

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS = frozenset({"RS384", "ES384"})
LONGEST_SECONDS = 300


async def authenticate(server: AuthorizationServer, form: Mapping[str, str], authorization: str | None) -> Client:
    """Find out which client speaks.  Raises InvalidClientError.

    By signed assertion (`private_key_jwt`), else by HTTP Basic, else by `client_id` alone for a public client.  A
    client that has keys must use them; a confidential client never passes by name alone.
    """
    if "client_assertion" in form or "client_assertion_type" in form:
        return await _by_assertion(server, form)
    if authorization is not None and authorization[:6].lower() == "basic ":
        return await _by_secret(server, authorization[6:])
    client = await auth_registry.find_client(server.db, form.get("client_id", ""))
    if client is None or client.type != "public":
        raise InvalidClientError("client authentication is missing")
    return client


async def _by_assertion(server: AuthorizationServer, form: Mapping[str, str]) -> Client:
    if form.get("client_assertion_type") != ASSERTION_TYPE:
        raise InvalidClientError("unknown client_assertion_type")
    try:
        client, claims = await _verify_assertion(server, form.get("client_assertion", ""))
    except Rejected as rejected:
        raise InvalidClientError(f"client assertion refused: {rejected.reason}") from rejected
    if form.get("client_id", client.client_id) != client.client_id:
        raise InvalidClientError("client_id is not that of the assertion")
    key = opaque.digest(f"{client.client_id}\n{claims['jti']}")
    async with server.db.transaction() as transaction:
        if not await auth_grants.first_use(transaction, key, claims["exp"] + LONGEST_SECONDS):
            raise InvalidClientError("client assertion refused: used before")
    return client


async def _verify_assertion(server: AuthorizationServer, assertion: str) -> tuple[Client, dict[str, Any]]:
    """Check one assertion: iss = sub = client_id, aud the token endpoint, exp within five minutes, a jti."""
    header, unverified = peek(assertion)
    if header.get("alg") not in ALGORITHMS:
        raise Rejected("alg must be RS384 or ES384")
    issuer = unverified.get("iss")
    client = await auth_registry.find_client(server.db, issuer) if isinstance(issuer, str) else None
    if client is None or not client.has_keys:
        raise Rejected("unknown client or key")
    keys = await server.keys.find(client.jwks, client.jwks_url, header.get("kid"), server.clock())
    audiences = frozenset({server.url("oauth/token")})
    claims = verify(assertion, keys, Expected(client.client_id, audiences, ALGORITHMS, LONGEST_SECONDS), server.clock())
    if claims.get("sub") != client.client_id:
        raise Rejected("sub is not the client")
    if not isinstance(claims.get("jti"), str) or not claims["jti"]:
        raise Rejected("missing jti")
    return client, claims


async def _by_secret(server: AuthorizationServer, credentials: str) -> Client:
    """Check HTTP Basic.  RFC 6749 2.3.1: both parts are form-encoded inside."""
    try:
        name, _, secret = base64.b64decode(credentials, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise InvalidClientError("malformed credentials", status_code=401) from error
    client = await auth_registry.find_client(server.db, unquote_plus(name))
    secret_hash = client.secret_hash if client is not None and not client.has_keys else None
    if not await passwords.matches(unquote_plus(secret), secret_hash) or client is None:
        raise InvalidClientError("client authentication failed", status_code=401)
    return client
