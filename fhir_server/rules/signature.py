"""The signature of a report: a JWS over the SHA-256 of its canonical bytes.  docs/signature.md, RFC 7515

Pure: what is verified, by which key and against which resource all come in as arguments.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import import_key

from fhir_server.wire import canonical

ALGORITHMS = ("ES384", "RS384")
MAX_JWS_LENGTH = 1_000_000


class BadSignature(Exception):
    """The signature does not hold; the text says why."""


def digest(resource: dict[str, Any]) -> str:
    """SHA-256, in hex, of the canonical bytes of a resource."""
    return hashlib.sha256(canonical(resource)).hexdigest()


def decode(data: str) -> str:
    """Read the compact JWS out of `Signature.data`.  Raises BadSignature."""
    try:
        return base64.b64decode(data, validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise BadSignature("Signature.data is not base64 of a compact JWS.") from error


def verify(compact: str, resource: dict[str, Any], signer: str, keys: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Check that `signer` (`Practitioner/x`) signed this very resource with one of the client's public keys.

    Returns what was signed: `instances` are the SOP Instance UIDs that were available then, `amr` and `auth_time` say
    how and when the signer proved who they are.  Raises BadSignature: unknown key, other algorithm than ES384 or RS384,
    signature that does not verify, or a payload that names another signer, resource or hash.
    """
    payload = _payload(compact, keys)
    expected = {
        "sub": signer,
        "resource": f"{resource['resourceType']}/{resource['id']}",
        "sha256": digest(resource),
    }
    for name, value in expected.items():
        if payload.get(name) != value:
            raise BadSignature(f"The signed {name} is not that of this report.")
    if not isinstance(payload.get("iat"), int) or not isinstance(payload.get("instances"), list):
        raise BadSignature("The signed payload lacks iat or instances.")
    return payload


def _payload(compact: str, keys: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Verify the JWS and parse what it carries."""
    if len(compact) > MAX_JWS_LENGTH:
        raise BadSignature("The JWS is too long.")
    try:
        header = jws.extract_compact(compact.encode()).headers()
        key = _key(header.get("kid"), keys)
        payload = json.loads(jws.deserialize_compact(compact, key, algorithms=list(ALGORITHMS)).payload)
    except (JoseError, ValueError) as error:
        raise BadSignature("The JWS does not verify.") from error
    if not isinstance(payload, dict):
        raise BadSignature("The signed payload is not a JSON object.")
    return payload


def _key(kid: object, keys: Sequence[Mapping[str, Any]]) -> Any:
    known = next((key for key in keys if kid is not None and key.get("kid") == kid), None)
    if known is None:
        raise BadSignature("The signing key is not one of the client's.")
    return import_key(dict(known))
