"""The signature on a report: a JWS over the SHA-256 of its canonical bytes.  docs/signature.md"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
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


@dataclass(frozen=True)
class Proof:
    """How and when a signer proved who they are.  RFC 8176, OpenID Connect Core 2 `auth_time`"""

    amr: tuple[str, ...]
    auth_time: int


@dataclass(frozen=True)
class Signer:
    """Who signs (`Practitioner/id`), when, with which SOP Instance UIDs at hand (case model, rule 7).

    `proof` is empty at a server that asks for none.
    """

    practitioner: str
    when: datetime
    instances: Sequence[str]
    proof: Proof | None = None


def digest(report: Mapping[str, Any]) -> str:
    """SHA-256, in hex, of the canonical bytes."""
    return hashlib.sha256(canonical(report)).hexdigest()


def sign(report: Mapping[str, Any], signer: Signer, key: ECKey | RSAKey) -> str:
    """A compact JWS (RFC 7515) by `key`."""
    payload: dict[str, Any] = {
        "sub": signer.practitioner,
        "iat": int(signer.when.timestamp()),
        "resource": f"{report['resourceType']}/{report['id']}",
        "sha256": digest(report),
        "instances": sorted(signer.instances),
    }
    payload |= asdict(signer.proof) if signer.proof else {}
    algorithm = "ES384" if isinstance(key, ECKey) else "RS384"
    header = {"alg": algorithm, "kid": key.kid, "typ": "JWT"}
    return jws.serialize_compact(header, json.dumps(payload, separators=(",", ":")), key, algorithms=ALGORITHMS)


def as_fhir(compact: str, signer: Signer) -> dict[str, Any]:
    """The R4 Signature element that carries the JWS.  https://hl7.org/fhir/R4/datatypes.html#Signature"""
    return {
        "type": [
            {
                "system": "urn:iso-astm:E1762-95:2013",
                "code": "1.2.840.10065.1.12.1.1",
                "display": "Author's Signature",
            }
        ],
        "when": signer.when.isoformat(timespec="seconds"),
        "who": {"reference": signer.practitioner},
        "sigFormat": "application/jose",
        "data": base64.b64encode(compact.encode()).decode(),
    }
