"""The signature on a report: a JWS over the SHA-256 of its canonical bytes.  docs/signature.md"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

ALGORITHMS = ["ES384", "RS384"]


def canonical(resource: Mapping[str, Any]) -> bytes:
    """The bytes that are signed: JSON without `meta`, keys sorted, no white space, UTF-8.

    The server keeps numbers as they were written, so a resource that is signed holds no decimals with trailing zeros.
    """
    body = {key: value for key, value in resource.items() if key != "meta"}
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sign(report: Mapping[str, Any], signer: str, key: ECKey | RSAKey, signed: tuple[int, Sequence[str]]) -> str:
    """A compact JWS (RFC 7515) by `key` for `signer` (`Practitioner/id`).

    `signed` is the time in epoch seconds and the SOP Instance UIDs that were available then (case model, rule 7).
    """
    issued_at, instances = signed
    payload = {
        "sub": signer,
        "iat": issued_at,
        "resource": f"{report['resourceType']}/{report['id']}",
        "sha256": hashlib.sha256(canonical(report)).hexdigest(),
        "instances": sorted(instances),
    }
    algorithm = "ES384" if isinstance(key, ECKey) else "RS384"
    header = {"alg": algorithm, "kid": key.kid, "typ": "JWT"}
    return jws.serialize_compact(header, json.dumps(payload, separators=(",", ":")), key, algorithms=ALGORITHMS)


def as_fhir(compact: str, signer: str, when: str) -> dict[str, Any]:
    """The R4 Signature element that carries the JWS.  https://hl7.org/fhir/R4/datatypes.html#Signature"""
    return {
        "type": [
            {
                "system": "urn:iso-astm:E1762-95:2013",
                "code": "1.2.840.10065.1.12.1.1",
                "display": "Author's Signature",
            }
        ],
        "when": when,
        "who": {"reference": signer},
        "sigFormat": "application/jose",
        "data": base64.b64encode(compact.encode()).decode(),
    }
