"""Signed opaque cursors: where the next page starts, good for the search it was made for only."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from typing import Any

import orjson

from fhir_server.errors import Invalid

SIGNATURE_BYTES = 16


def seal(key: bytes, purpose: str, values: Sequence[Any]) -> str:
    """Make the cursor of a page for one search (`purpose` is its address and parameters)."""
    payload = orjson.dumps(list(values))
    return base64.urlsafe_b64encode(_signature(key, purpose, payload) + payload).decode().rstrip("=")


def unseal(key: bytes, purpose: str, cursor: str) -> list[Any]:
    """The values again. Raises Invalid for a cursor of another search or one that was tampered with."""
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except (binascii.Error, ValueError):
        raise Invalid("The cursor is damaged.") from None
    signature, payload = raw[:SIGNATURE_BYTES], raw[SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, _signature(key, purpose, payload)):
        raise Invalid("The cursor does not belong to this search.")
    values: list[Any] = orjson.loads(payload)
    return values


def _signature(key: bytes, purpose: str, payload: bytes) -> bytes:
    return hmac.digest(key, hashlib.sha256(purpose.encode()).digest() + payload, "sha256")[:SIGNATURE_BYTES]
