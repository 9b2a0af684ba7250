"""Rows of signing: what is about to be signed and how its signer proved herself, and the signing PIN."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import insert, select, update

from fhir_server.store.auth_models import account, signing
from fhir_server.store.auth_registry import Executor
from fhir_server.store.database import Row, Transaction


async def add(db: Transaction, row: Mapping[str, Any]) -> None:
    """Insert a signing transaction."""
    await db.execute(insert(signing).values(**row))


async def find(db: Executor, handle_hash: str) -> Row | None:
    """Look one up, whatever became of it."""
    rows = await db.fetch(select(signing).where(signing.c.handle_hash == handle_hash))
    return rows[0] if rows else None


async def prove(db: Transaction, handle_hash: str, amr: str, auth_time: float, now: float) -> bool:
    """Note how its person proved herself; False when that was done before, or it has expired."""
    waiting = (signing.c.handle_hash == handle_hash, signing.c.amr.is_(None), signing.c.expires_at > now)
    statement = update(signing).where(*waiting).values(amr=amr, auth_time=auth_time)
    return bool(await db.fetch(statement.returning(signing.c.handle_hash)))


async def use(db: Transaction, signer: tuple[str, str], resource: str, sha256: str, now: float) -> Row | None:
    """Use the proof up that a signer (account and client) gave for this very content; None when there is none."""
    account_id, client_id = signer
    proved = (signing.c.amr.is_not(None), signing.c.used_at.is_(None), signing.c.expires_at > now)
    about = (signing.c.account_id == account_id, signing.c.client_id == client_id, signing.c.resource == resource)
    statement = update(signing).where(signing.c.sha256 == sha256, *about, *proved).values(used_at=now)
    rows = await db.fetch(statement.returning(signing.c.amr, signing.c.auth_time))
    return max(rows, key=lambda row: float(row["auth_time"]), default=None)


async def put_pin(db: Transaction, account_id: str, pin_hash: str | None) -> None:
    """Replace a person's signing PIN, or (None) take it away; a lock ends with it."""
    statement = update(account).where(account.c.account_id == account_id)
    await db.execute(statement.values(pin_hash=pin_hash, pin_failures=0))


async def count_pin(db: Transaction, account_id: str, most: int) -> Row | None:
    """Count an attempt as a failure before it is looked at; None when there were too many, or there is no PIN."""
    open_ = (account.c.account_id == account_id, account.c.pin_hash.is_not(None), account.c.pin_failures < most)
    statement = update(account).where(*open_).values(pin_failures=account.c.pin_failures + 1)
    rows = await db.fetch(statement.returning(account.c.pin_hash, account.c.pin_failures))
    return rows[0] if rows else None


async def find_pin(db: Executor, account_id: str) -> str | None:
    """Look a person's PIN up, as its hash."""
    rows = await db.fetch(select(account.c.pin_hash).where(account.c.account_id == account_id))
    return rows[0]["pin_hash"] if rows else None


async def forgive_pin(db: Transaction, account_id: str) -> None:
    """Forget the failures: the person has proved herself."""
    await db.execute(update(account).where(account.c.account_id == account_id).values(pin_failures=0))
