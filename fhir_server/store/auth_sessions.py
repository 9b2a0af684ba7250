"""Rows of signing in: browser sessions, failed attempts, the server's own signing keys."""

from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from fhir_server.store.auth_models import account, attempt, session, signing_key
from fhir_server.store.database import Database, Row, Transaction

Executor = Database | Transaction


async def add_session(db: Transaction, token_hash: str, account_id: str, times: tuple[float, float, float]) -> None:
    """Insert a session; `times`: when the person signed in, when it was seen last, when it ends."""
    row = dict(zip(("signed_in_at", "seen_at", "expires_at"), times, strict=True))
    await db.execute(insert(session).values(**row, token_hash=token_hash, account_id=account_id))
    await db.execute(update(account).where(account.c.account_id == account_id).values(signed_in_at=times[0]))


async def find_session(db: Executor, token_hash: str) -> Row | None:
    """Look a session up."""
    rows = await db.fetch(select(session).where(session.c.token_hash == token_hash))
    return rows[0] if rows else None


async def touch_session(db: Transaction, token_hash: str, now: float) -> None:
    """Note that the session was used."""
    await db.execute(update(session).where(session.c.token_hash == token_hash).values(seen_at=now))


async def remove_session(db: Transaction, token_hash: str) -> None:
    """End a session."""
    await db.execute(delete(session).where(session.c.token_hash == token_hash))


async def count_attempt(db: Transaction, username_hash: str, now: float) -> int | None:
    """Count an attempt as a failure before it is looked at, so that many at once count as many; None while locked."""
    dialect = postgresql if db.dialect == "postgresql" else sqlite
    statement = dialect.insert(attempt).values(username_hash=username_hash, failures=1, locked_until=0.0)
    counted = statement.on_conflict_do_update(
        index_elements=["username_hash"],
        set_={"failures": attempt.c.failures + 1},
        where=attempt.c.locked_until <= now,
    )
    rows = await db.fetch(counted.returning(attempt.c.failures))
    return int(rows[0]["failures"]) if rows else None


async def put_attempts(db: Transaction, username_hash: str, failures: int, locked_until: float) -> None:
    """Note failures in a row of a username that was counted before, and until when it is locked."""
    statement = update(attempt).where(attempt.c.username_hash == username_hash)
    await db.execute(statement.values(failures=failures, locked_until=locked_until))


async def clear_attempts(db: Transaction, username_hash: str, before: float) -> None:
    """Forget the failures of a username, and all whose lock ended before a time."""
    await db.execute(
        delete(attempt).where((attempt.c.username_hash == username_hash) | (attempt.c.locked_until < before))
    )


async def signing_keys(db: Executor, *, retired: bool = False) -> list[dict[str, Any]]:
    """List the signing keys, newest first: kid, public (JWK), sealed, created_at; without those that are retired."""
    statement = select(signing_key) if retired else select(signing_key).where(signing_key.c.retired_at.is_(None))
    rows = await db.fetch(statement.order_by(signing_key.c.created_at.desc(), signing_key.c.kid))
    return [
        {
            "kid": row["kid"],
            "public": orjson.loads(row["public_json"]),
            "sealed": bytes(row["sealed"]),
            "created_at": row["created_at"],
        }
        for row in rows
    ]


async def retire_signing_keys(db: Transaction, now: float) -> None:
    """Retire all signing keys."""
    await db.execute(update(signing_key).where(signing_key.c.retired_at.is_(None)).values(retired_at=now))


async def remove_sessions_of(db: Transaction, account_id: str) -> None:
    """End every session of a person."""
    await db.execute(delete(session).where(session.c.account_id == account_id))


async def add_signing_key(db: Transaction, public: Mapping[str, Any], sealed: bytes, now: float) -> None:
    """Insert a signing key."""
    row = {"kid": public["kid"], "public_json": orjson.dumps(dict(public)).decode(), "sealed": sealed}
    await db.execute(insert(signing_key).values(**row, created_at=now))
