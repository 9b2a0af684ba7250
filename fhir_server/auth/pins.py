"""The signing PIN: digits that a person knows, asked for at each signature, where there is no authenticator at hand.

It opens nothing by itself: it counts only beside a token of the same person.  An attempt counts as a failure before it
is looked at; after five in a row the PIN is locked until its person sets a new one with the password (and the code of
the second step), signs in anew for a signature, or an administrator's link makes a new start.
"""

from anyio import to_thread

from fhir_server.auth import passwords
from fhir_server.auth.accounts import Locked, Unsuitable
from fhir_server.store import auth_signing
from fhir_server.store.auth_values import Account
from fhir_server.store.database import Database

SHORTEST, LONGEST = 6, 12
MOST_FAILURES = 5
RUNS = ("01234567890123456789", "98765432109876543210")
COMMON = frozenset({"112233", "223344", "123321", "147258", "159753", "789456", "142536", "147852", "258369", "159357"})


def check_suitable(pin: str) -> None:
    """Refuse what others guess first.  Raises Unsuitable."""
    if not (pin.isascii() and pin.isdigit() and SHORTEST <= len(pin) <= LONGEST):
        raise Unsuitable(f"A PIN has {SHORTEST} to {LONGEST} digits.")
    repeats = any(pin == (pin[:width] * len(pin))[: len(pin)] for width in (1, 2, 3))
    if repeats or pin in COMMON or any(pin in run for run in RUNS):
        raise Unsuitable("This PIN is one of those that others guess first.")


async def set_pin(db: Database, account: Account, pin: str) -> None:
    """Give a person a new PIN; a lock ends.  Raises Unsuitable."""
    check_suitable(pin)
    hashed = await to_thread.run_sync(passwords.make, pin)
    async with db.transaction() as transaction:
        await auth_signing.put_pin(transaction, account.account_id, hashed)


async def keep(db: Database, account: Account, pin: str) -> None:
    """Set a provisioned PIN, unless it is the one that is set.  Raises Unsuitable."""
    held = await auth_signing.find_pin(db, account.account_id)
    if held is None or not await passwords.matches(pin, held):
        await set_pin(db, account, pin)


async def remove(db: Database, account: Account) -> None:
    """Take the PIN away."""
    async with db.transaction() as transaction:
        await auth_signing.put_pin(transaction, account.account_id, None)


async def check(db: Database, account: Account, pin: str) -> bool:
    """Check a PIN.  Raises Locked, when there is none too."""
    async with db.transaction() as transaction:
        counted = await auth_signing.count_pin(transaction, account.account_id, MOST_FAILURES)
    if counted is None:
        raise Locked
    if not await passwords.matches(pin, counted["pin_hash"]):
        return False
    await forgive(db, account)
    return True


async def forgive(db: Database, account: Account) -> None:
    """End a lock: the person has proved herself."""
    async with db.transaction() as transaction:
        await auth_signing.forgive_pin(transaction, account.account_id)


def is_locked(account: Account) -> bool:
    """Whether the PIN is locked."""
    return account.pin and account.pin_failures >= MOST_FAILURES
