"""Keys of the pretend installation: made once, kept in its folder."""

import base64
import json
import secrets
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey, RSAKey

Jwk = dict[str, Any]
Keys = dict[str, Any]
CLIENTS = (
    "app",
    "app-system",
    "gateway",
    "interface-engine",
    "epic-backend",
    "oracle-backend",
    "epic-script",
    "oracle-script",
)


def load_or_make(path: Path) -> dict[str, Any]:
    """The master key (base64) under `master`, and a private JWK for each client; only its owner may read the file."""
    if path.exists():
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return kept
    made: dict[str, Any] = {"master": base64.b64encode(secrets.token_bytes(32)).decode()}
    for name in CLIENTS:
        made[name] = private_key(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps(made, indent=1), encoding="utf-8")
    return made


def private_key(name: str) -> Jwk:
    """A signing key with its `kid`: RS384 for the Oracle-like tenant's client, ES384 for all others."""
    kid = f"{name}-1"
    if name == "oracle-backend":
        key = RSAKey.generate_key(3072, {"kid": kid, "use": "sig", "alg": "RS384"}, private=True)
        return dict(key.as_dict(private=True))
    return dict(
        ECKey.generate_key("P-384", {"kid": kid, "use": "sig", "alg": "ES384"}, private=True).as_dict(private=True)
    )


def public_set(*keys: Jwk) -> dict[str, list[Jwk]]:
    """The JWKS with the public halves."""
    secret = {"d", "p", "q", "dp", "dq", "qi", "oth"}
    return {"keys": [{name: value for name, value in key.items() if name not in secret} for key in keys]}
