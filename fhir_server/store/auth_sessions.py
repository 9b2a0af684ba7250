"""Rows of signing in: browser sessions, failed attempts, the server's own signing keys."""

from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from fhir_server.store.auth_models import attempt, session, signing_key
from fhir_server.store.database import Database, Row, Transaction

Executor = Database | Transaction


async def add_session(db: Transaction, token_hash: str, account_id: str, now: float, expires_at: float) -> None:
    """Insert a session."""
    row = {"token_hash": token_hash, "account_id": account_id, "signed_in_at": now, "seen_at": now}
    await db.execute(insert(session).values(**row, expires_at=expires_at))


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


async def find_attempts(db: Executor, username_hash: str) -> tuple[int, float]:
    """Count failures in a row of a username, known or not, and say until when it is locked."""
    rows = await db.fetch(select(attempt).where(attempt.c.username_hash == username_hash))
    return (rows[0]["failures"], rows[0]["locked_until"]) if rows else (0, 0.0)


async def put_attempts(db: Transaction, username_hash: str, failures: int, locked_until: float) -> None:
    """Note failures in a row."""
    dialect = postgresql if db.dialect == "postgresql" else sqlite
    values = {"failures": failures, "locked_until": locked_until}
    statement = dialect.insert(attempt).values(username_hash=username_hash, **values)
    await db.execute(statement.on_conflict_do_update(index_elements=["username_hash"], set_=values))


async def clear_attempts(db: Transaction, username_hash: str, before: float) -> None:
    """Forget the failures of a username, and all whose lock ended before a time."""
    await db.execute(
        delete(attempt).where((attempt.c.username_hash == username_hash) | (attempt.c.locked_until < before))
    )


async def signing_keys(db: Executor) -> list[dict[str, Any]]:
    """List the signing keys that are not retired, newest first: kid, public (JWK), sealed."""
    statement = select(signing_key).where(signing_key.c.retired_at.is_(None))
    rows = await db.fetch(statement.order_by(signing_key.c.created_at.desc(), signing_key.c.kid))
    return [
        {"kid": row["kid"], "public": orjson.loads(row["public_json"]), "sealed": bytes(row["sealed"])} for row in rows
    ]


async def add_signing_key(db: Transaction, public: Mapping[str, Any], sealed: bytes, now: float) -> None:
    """Insert a signing key."""
    row = {"kid": public["kid"], "public_json": orjson.dumps(dict(public)).decode(), "sealed": sealed}
    await db.execute(insert(signing_key).values(**row, created_at=now))
