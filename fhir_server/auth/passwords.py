"""Passwords, hashed by argon2id off the event loop, two at a time: each takes 64 MiB and tens of milliseconds."""

from functools import cache
from threading import BoundedSemaphore

from anyio import to_thread
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

LONGEST = 1024
HASHER = PasswordHasher()
AT_ONCE = BoundedSemaphore(2)


def make(password: str) -> str:
    """Hash a new password."""
    with AT_ONCE:
        return HASHER.hash(password)


async def matches(password: str, password_hash: str | None) -> bool:
    """Check a password.  Without a hash a decoy is checked, so that an unknown name takes as long as a known one."""
    return await to_thread.run_sync(_matches, password[:LONGEST], password_hash)


def _matches(password: str, password_hash: str | None) -> bool:
    wanted = password_hash if password_hash is not None else _decoy()
    with AT_ONCE:
        try:
            return HASHER.verify(wanted, password) and password_hash is not None
        except (VerificationError, InvalidHashError):
            return False


@cache
def _decoy() -> str:
    return HASHER.hash("decoy")
