"""Opaque secrets: 256 random bits for the holder, their SHA-256 for the database."""

import hashlib
import secrets


def make() -> str:
    """Make a code, token or handle of 256 bits (43 URL-safe characters)."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """Hash a secret for storing and looking up; random input needs no salt and no stretching."""
    return hashlib.sha256(secret.encode()).hexdigest()
