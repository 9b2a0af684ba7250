"""Rows of grants: launches, waiting requests, codes, tokens, assertions seen.

What works once is consumed by `UPDATE ... WHERE used_at IS NULL RETURNING`: of two that come at once one finds a row.
"""

from collections.abc import Mapping
from typing import Any, Literal

import orjson
from sqlalchemy import Table, delete, false, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from fhir_server.store.auth_joining_models import email_change, mail
from fhir_server.store.auth_models import (
    account,
    assertion,
    authorization,
    client,
    code,
    federated_sign_in,
    federation,
    launch,
    session,
    signing,
    step,
    token,
)
from fhir_server.store.auth_registry import Executor
from fhir_server.store.database import Contention, Database, Row, Transaction

Values = Mapping[str, Any]
OneTime = Literal["launch", "authorization", "code", "step", "federation"]

TABLES: dict[OneTime, tuple[Table, str]] = {
    "launch": (launch, "handle_hash"),
    "authorization": (authorization, "handle_hash"),
    "code": (code, "code_hash"),
    "step": (step, "handle_hash"),
    "federation": (federation, "state_hash"),
}

KEPT_SECONDS = 86_400
"""What has expired is kept this long, so that a replay is known as one."""


async def add(db: Transaction, kind: OneTime, row: Values) -> None:
    """Insert a launch, a waiting request or a code."""
    await db.execute(insert(TABLES[kind][0]).values(**row))


async def find(db: Executor, kind: OneTime, key: str) -> Row | None:
    """Look one up, used or not."""
    table, column = TABLES[kind]
    rows = await db.fetch(select(table).where(table.c[column] == key))
    return rows[0] if rows else None


async def consume(db: Transaction, kind: OneTime, key: str, now: float) -> Row | None:
    """Use one up; None when it is unknown, expired or was used before."""
    table, column = TABLES[kind]
    statement = update(table).where(table.c[column] == key, table.c.used_at.is_(None), table.c.expires_at > now)
    rows = await db.fetch(statement.values(used_at=now).returning(*table.c))
    return rows[0] if rows else None


async def change_authorization(db: Transaction, key: str, parameters: Mapping[str, Any]) -> None:
    """Replace what a waiting request knows."""
    text = orjson.dumps(dict(parameters)).decode()
    await db.execute(update(authorization).where(authorization.c.handle_hash == key).values(parameters_json=text))


async def add_token(db: Transaction, row: Values) -> None:
    """Insert a token."""
    await db.execute(insert(token).values(**row))


async def find_token(db: Executor, token_hash: str) -> Row | None:
    """Look a token up with the client and the account behind it, valid or not."""
    both = [
        table.c[name].label(f"{prefix}_{name}")
        for prefix, table in (("account", account), ("client", client))
        for name in ("roles_json", "organization")
    ]
    joined = token.join(client, token.c.client_id == client.c.client_id).outerjoin(
        account, token.c.account_id == account.c.account_id
    )
    off = (func.coalesce(account.c.disabled, false()) | client.c.disabled).label("disabled")
    statement = select(token, off, account.c.fhir_user, *both).select_from(joined)
    rows = await db.fetch(statement.where(token.c.token_hash == token_hash))
    return rows[0] if rows else None


async def consume_refresh(db: Transaction, token_hash: str, now: float) -> Row | None:
    """Use a refresh token up; None when it is unknown, expired, revoked or was used before."""
    statement = update(token).where(
        token.c.token_hash == token_hash,
        token.c.kind == "refresh",
        token.c.used_at.is_(None),
        token.c.revoked_at.is_(None),
        token.c.expires_at > now,
    )
    rows = await db.fetch(statement.values(used_at=now).returning(*token.c))
    return rows[0] if rows else None


async def revoke_grant(db: Transaction, grant_id: str, now: float) -> None:
    """Revoke every token that came of one grant."""
    statement = update(token).where(token.c.grant_id == grant_id, token.c.revoked_at.is_(None))
    await db.execute(statement.values(revoked_at=now))


async def revoke_person(db: Transaction, account_id: str, now: float) -> None:
    """Revoke every token that a person gave."""
    statement = update(token).where(token.c.account_id == account_id, token.c.revoked_at.is_(None))
    await db.execute(statement.values(revoked_at=now))


async def revoke_client(db: Transaction, client_id: str, now: float) -> None:
    """Revoke every token that a client was given."""
    statement = update(token).where(token.c.client_id == client_id, token.c.revoked_at.is_(None))
    await db.execute(statement.values(revoked_at=now))


async def revoke_tenant(db: Transaction, issuer: str, now: float) -> None:
    """Revoke every token of the people whom a tenant named."""
    people = select(account.c.account_id).where(account.c.issuer == issuer)
    statement = update(token).where(token.c.account_id.in_(people), token.c.revoked_at.is_(None))
    await db.execute(statement.values(revoked_at=now))


async def grants_of(db: Executor, account_id: str, now: float) -> list[Row]:
    """List the tokens of a person that may be used, with their clients' names, the newest first."""
    statement = select(token, client.c.name).join(client, token.c.client_id == client.c.client_id)
    usable = token.c.used_at.is_(None) & token.c.revoked_at.is_(None) & (token.c.expires_at > now)
    return list(
        await db.fetch(statement.where(token.c.account_id == account_id, usable).order_by(token.c.issued_at.desc()))
    )


async def revoke_token(db: Transaction, token_hash: str, now: float) -> None:
    """Revoke one token."""
    await db.execute(update(token).where(token.c.token_hash == token_hash).values(revoked_at=now))


async def first_use(db: Transaction, assertion_hash: str, expires_at: float) -> bool:
    """Note that a JWT was seen; False when it was seen before."""
    dialect = postgresql if db.dialect == "postgresql" else sqlite
    statement = dialect.insert(assertion).values(assertion_hash=assertion_hash, expires_at=expires_at)
    return bool(await db.fetch(statement.on_conflict_do_nothing().returning(assertion.c.assertion_hash)))


async def clear_away(db: Database, now: float) -> None:
    """Delete what ended long ago, a table at a time; what another process is clearing away too is left to it."""
    once = (launch, authorization, code, step, signing, federation, federated_sign_in)
    for table in (*once, token, session, assertion, email_change):
        kept = 0 if table is assertion else KEPT_SECONDS
        try:
            async with db.transaction() as transaction:
                await transaction.execute(delete(table).where(table.c.expires_at < now - kept))
        except Contention:
            continue
    try:
        async with db.transaction() as transaction:
            old = mail.c.created_at < now - KEPT_SECONDS
            await transaction.execute(delete(mail).where(mail.c.state == "done", old))
    except Contention:
        return
