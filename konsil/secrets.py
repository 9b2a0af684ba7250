"""Secrets at rest: sealed with AES-256-GCM under the master key, which comes from the environment alone."""

import base64
import binascii
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MASTER_KEY_VARIABLE = "KONSIL_MASTER_KEY"
_VERSION = b"\x01"
_NONCE_BYTES = 12


class SecretsError(Exception):
    """The master key is missing or malformed, or a sealed value was made with another key or changed."""


def new_master_key() -> str:
    """Make a master key as KONSIL_MASTER_KEY wants it: 32 random bytes in base64."""
    return base64.b64encode(os.urandom(32)).decode()


def require_master_key() -> None:
    """Raise SecretsError without a usable master key."""
    _master_key()


def seal(plain: bytes) -> bytes:
    """Encrypt and authenticate.  Raises SecretsError without a usable master key."""
    nonce = os.urandom(_NONCE_BYTES)
    return _VERSION + nonce + AESGCM(_master_key()).encrypt(nonce, plain, _VERSION)


def open_(sealed: bytes) -> bytes:
    """Undo `seal`.  Raises SecretsError when the key or the bytes are not the right ones."""
    if sealed[:1] != _VERSION:
        raise SecretsError("not a sealed value")
    nonce, body = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
    try:
        return AESGCM(_master_key()).decrypt(nonce, body, _VERSION)
    except (InvalidTag, ValueError) as error:
        raise SecretsError("sealed with another key, or changed") from error


def _master_key() -> bytes:
    try:
        key = base64.b64decode(os.environ.get(MASTER_KEY_VARIABLE, ""), validate=True)
    except binascii.Error as error:
        raise SecretsError(f"{MASTER_KEY_VARIABLE} is not base64") from error
    if len(key) != 32:
        raise SecretsError(f"{MASTER_KEY_VARIABLE} must be 32 bytes in base64")
    return key
