"""Local accounts: signing in by name and password, slowed down after failures, silent about which names exist."""

from anyio import to_thread

from fhir_server.auth import opaque, passwords, tokens, totp
from fhir_server.store import auth_grants, auth_registry, auth_sessions
from fhir_server.store.auth_values import Account
from fhir_server.store.database import Contention, Database

FREE_FAILURES = 5
FIRST_LOCK_SECONDS = 15.0
LONGEST_LOCK_SECONDS = 300.0
SHORTEST_PASSWORD = 12


class Locked(Exception):
    """Too many failures in a row for this name, whether it exists or not."""


class Unsuitable(Exception):
    """A new password that is not taken; says why."""


async def authenticate(db: Database, username: str, password: str, now: float) -> Account | None:
    """Check name and password.  Raises Locked.

    After five failures in a row a name is locked for 15 s, doubling up to five minutes; while locked no password is
    looked at.  Unknown names, wrong passwords and disabled accounts all give None after the same work.  A person with a
    second step has signed in only after `second_step`: until then failures stay counted.
    """
    name = normal(username)
    failures = await _count(db, name, now)
    found = await auth_registry.find_account_by_username(db, name)
    matched = await passwords.matches(password, found[1] if found is not None else None)
    if found is None or not matched or found[0].disabled:
        return None
    await (_forgive(db, name, failures - 1) if _has_second_step(found[0]) else _clear(db, name, now))
    return found[0]


async def second_step(db: Database, account: Account, code: str, now: float) -> bool:
    """Check the code of the second step; wrong ones count as wrong passwords do.  Raises Locked."""
    name = await count_code(db, account, now)
    if not await totp.check(db, account, code, now):
        return False
    await _clear(db, name, now)
    return True


async def count_code(db: Database, account: Account, now: float) -> str:
    """Count a code of the second step as wrong before it is looked at; gives the name it counts for.  Raises Locked."""
    name = account.username or account.account_id
    await _count(db, name, now)
    return name


async def right_code(db: Database, name: str, now: float) -> None:
    """Forget the failures of who has given the right code."""
    await _clear(db, name, now)


def check_suitable(password: str, username: str | None) -> None:
    """Raise Unsuitable for a password that is not taken."""
    if len(password) < SHORTEST_PASSWORD:
        raise Unsuitable(f"A password has {SHORTEST_PASSWORD} characters or more.")
    if username and username in password.casefold():
        raise Unsuitable("The user name may not be part of the password.")


async def set_password(db: Database, account: Account, password: str) -> None:
    """Give a person a new password.  Raises Unsuitable."""
    check_suitable(password, account.username)
    hashed = await to_thread.run_sync(passwords.make, password)
    async with db.transaction() as transaction:
        await auth_registry.put_password(transaction, account.account_id, hashed)


async def sign_out_everywhere(db: Database, account_id: str, now: float) -> None:
    """End every session of a person and every access that the person gave, in one transaction."""
    async with db.transaction() as transaction:
        await auth_sessions.remove_sessions_of(transaction, account_id)
        await auth_grants.revoke_person(transaction, account_id, now)
    tokens.forget(db)


def normal(username: str) -> str:
    """Write a username as it is stored: case and outer blanks do not matter."""
    return username.strip().casefold()


def _has_second_step(account: Account) -> bool:
    return account.second_factor or account.email_codes


async def _count(db: Database, name: str, now: float) -> int:
    """Count an attempt, and lock the name where it was one too many; gives how many there were in a row."""
    key = opaque.digest(name)
    try:
        async with db.transaction() as transaction:
            failures = await auth_sessions.count_attempt(transaction, key, now)
            if failures is not None and failures >= FREE_FAILURES:
                await auth_sessions.put_attempts(transaction, key, failures, now + _lock_seconds(failures))
    except Contention:
        raise Locked from None
    if failures is None:
        raise Locked
    return failures


def _lock_seconds(failures: int) -> float:
    return float(min(FIRST_LOCK_SECONDS * 2.0 ** min(failures - FREE_FAILURES, 10), LONGEST_LOCK_SECONDS))


async def _forgive(db: Database, name: str, failures: int) -> None:
    async with db.transaction() as transaction:
        await auth_sessions.put_attempts(transaction, opaque.digest(name), failures, 0.0)


async def _clear(db: Database, name: str, now: float) -> None:
    async with db.transaction() as transaction:
        await auth_sessions.clear_attempts(transaction, opaque.digest(name), now - LONGEST_LOCK_SECONDS)
