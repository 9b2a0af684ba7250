"""Local accounts: signing in by name and password, slowed down after failures, silent about which names exist."""

from fhir_server.auth import opaque, passwords
from fhir_server.store import auth_registry, auth_sessions
from fhir_server.store.auth_values import Account
from fhir_server.store.database import Database

FREE_FAILURES = 5
FIRST_LOCK_SECONDS = 15.0
LONGEST_LOCK_SECONDS = 300.0


class Locked(Exception):
    """Too many failures in a row for this name, whether it exists or not."""


async def authenticate(db: Database, username: str, password: str, now: float) -> Account | None:
    """Check name and password.  Raises Locked.

    After five failures in a row a name is locked for 15 s, doubling up to five minutes; while locked no password is
    looked at.  Unknown names, wrong passwords and disabled accounts all give None after the same work.
    """
    name = normal(username)
    key = opaque.digest(name)
    failures, locked_until = await auth_sessions.find_attempts(db, key)
    if locked_until > now:
        raise Locked
    found = await auth_registry.find_account_by_username(db, name)
    matched = await passwords.matches(password, found[1] if found is not None else None)
    if found is None or not matched or found[0].disabled:
        await _note_failure(db, key, failures + 1, now)
        return None
    if failures:
        async with db.transaction() as transaction:
            await auth_sessions.clear_attempts(transaction, key, now - LONGEST_LOCK_SECONDS)
    return found[0]


def normal(username: str) -> str:
    """Write a username as it is stored: case and outer blanks do not matter."""
    return username.strip().casefold()


async def _note_failure(db: Database, key: str, failures: int, now: float) -> None:
    over = failures - FREE_FAILURES
    seconds = min(FIRST_LOCK_SECONDS * 2.0 ** min(over, 10), LONGEST_LOCK_SECONDS) if over >= 0 else 0.0
    async with db.transaction() as transaction:
        await auth_sessions.put_attempts(transaction, key, failures, now + seconds)
