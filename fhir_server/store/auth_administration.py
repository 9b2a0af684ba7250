"""Rows of clients, tenants and accounts as administrators see and change them: the deactivated ones too."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Select, func, insert, select, update

from fhir_server.store.auth_models import account, client, session, tenant, token
from fhir_server.store.auth_registry import Executor, Kind
from fhir_server.store.database import Transaction

Values = Mapping[str, Any]
KEYS = {"client": client.c.client_id, "tenant": tenant.c.name, "account": account.c.account_id}
ADMINISTRATOR = '%"administrator"%'


async def every(db: Executor, kind: Kind) -> list[Values]:
    """List all rows, by their keys."""
    return [{**row} for row in await db.fetch(select(KEYS[kind].table).order_by(KEYS[kind]))]


async def find(db: Executor, kind: Kind, key: str) -> Values | None:
    """Look one row up by its key."""
    rows = await db.fetch(select(KEYS[kind].table).where(KEYS[kind] == key))
    return {**rows[0]} if rows else None


async def find_named(db: Executor, kind: Kind, name: str) -> Values | None:
    """Look one row up as people name it: an account by its username."""
    column = account.c.username if kind == "account" else KEYS[kind]
    rows = await db.fetch(select(column.table).where(column == name))
    return {**rows[0]} if rows else None


async def is_taken(db: Executor, kind: Kind, column: str, value: str, but: str) -> bool:
    """Whether another row than `but` has this value."""
    table = KEYS[kind].table
    return bool(await db.fetch(select(KEYS[kind]).where(table.c[column] == value, KEYS[kind] != but)))


async def add(db: Transaction, kind: Kind, row: Mapping[str, Any]) -> None:
    """Insert a row."""
    await db.execute(insert(KEYS[kind].table).values(**row))


async def change(db: Transaction, kind: Kind, key: str, row: Mapping[str, Any], version: int) -> bool:
    """Replace columns of a row if it has this version; it has the next one then."""
    statement = update(KEYS[kind].table).where(KEYS[kind] == key, KEYS[kind].table.c.version == version)
    return bool(await db.fetch(statement.values(**row, version=version + 1).returning(KEYS[kind])))


async def active_administrators(db: Transaction) -> set[str]:
    """The accounts that may administer; nobody else changes them before this transaction ends."""
    active = account.c.disabled.is_(False) & account.c.roles_json.like(ADMINISTRATOR) & account.c.username.is_not(None)
    rows = await db.fetch(select(account.c.account_id).where(active).with_for_update())
    return {row["account_id"] for row in rows}


async def uses(db: Executor, kind: Kind, now: float) -> dict[str, dict[str, Any]]:
    """What each is used for, by key: grants open and last use of a client, of an account sessions too; of a tenant
    its people.
    """
    if kind == "tenant":
        people = select(account.c.issuer.label("key"), func.count().label("people")).group_by(account.c.issuer)
        named = {row["key"]: {"people": row["people"]} for row in await db.fetch(people)}
        rows = await db.fetch(select(tenant.c.name, tenant.c.issuer))
        return {row["name"]: named.get(row["issuer"], {"people": 0}) for row in rows}
    column = token.c.client_id if kind == "client" else token.c.account_id
    found = {row["key"]: {"grants": row["grants"]} for row in await db.fetch(_open(column, now))}
    last = select(column.label("key"), func.max(token.c.issued_at).label("used_at")).group_by(column)
    for row in await db.fetch(last):
        found.setdefault(row["key"], {"grants": 0})["used_at"] = row["used_at"]
    if kind == "account":
        open_sessions = select(session.c.account_id.label("key"), func.count().label("sessions"))
        for row in await db.fetch(open_sessions.where(session.c.expires_at > now).group_by(session.c.account_id)):
            found.setdefault(row["key"], {"grants": 0})["sessions"] = row["sessions"]
    return found


def _open(column: Any, now: float) -> Select[Any]:
    usable = token.c.used_at.is_(None) & token.c.revoked_at.is_(None) & (token.c.expires_at > now)
    grants = func.count(token.c.grant_id.distinct()).label("grants")
    return select(column.label("key"), grants).where(usable).group_by(column)
