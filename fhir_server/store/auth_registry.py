"""Rows of those who are known beforehand: clients, accounts, tenants."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal

import orjson
from sqlalchemy import Table, false, select, update
from sqlalchemy.dialects import postgresql, sqlite

from fhir_server.store.auth_models import account, client, tenant
from fhir_server.store.auth_values import Account, Client, Tenant
from fhir_server.store.database import Database, Row, Transaction

Executor = Database | Transaction


async def find_client(db: Executor, client_id: str) -> Client | None:
    """Look a client up by its id; one that was deactivated is not found."""
    rows = await db.fetch(select(client).where(client.c.client_id == client_id, client.c.disabled.is_(false())))
    return _client(rows[0]) if rows else None


def client_row(value: Client) -> dict[str, Any]:
    """Write a client as a row; it is active."""
    return {
        "client_id": value.client_id,
        "name": value.name,
        "type": value.type,
        "redirect_uris_json": _dump(value.redirect_uris),
        "jwks_json": _dump(value.jwks),
        "jwks_url": value.jwks_url,
        "secret_hash": value.secret_hash,
        "scope": " ".join(value.scopes),
        "launch_url": value.launch_url,
        "trusted": value.trusted,
        "may_exchange": value.may_exchange,
        "roles_json": _dump(sorted(value.roles)),
        "organization": value.organization,
        "disabled": False,
    }


async def client_keys(db: Executor, client_id: str) -> list[dict[str, Any]]:
    """List the public keys (JWK) registered with a client by value: signatures of its people are checked with them."""
    found = await find_client(db, client_id)
    return [dict(key) for key in (found.jwks or {}).get("keys", ())] if found is not None else []


async def find_account(db: Executor, account_id: str) -> Account | None:
    """Look an account up by its id."""
    rows = await db.fetch(select(account).where(account.c.account_id == account_id))
    return _account(rows[0]) if rows else None


async def find_account_by_identity(db: Executor, issuer: str, subject: str) -> Account | None:
    """Look up the account of a person whom a tenant named; the key is issuer and subject, never a name."""
    rows = await db.fetch(select(account).where(account.c.issuer == issuer, account.c.subject == subject))
    return _account(rows[0]) if rows else None


async def find_account_by_username(db: Executor, username: str) -> tuple[Account, str] | None:
    """Look up a local account with its password hash."""
    rows = await db.fetch(select(account).where(account.c.username == username, account.c.password_hash.is_not(None)))
    return (_account(rows[0]), rows[0]["password_hash"]) if rows else None


async def find_local_account(db: Executor, username: str) -> Account | None:
    """Look up a local account, with or without a password."""
    rows = await db.fetch(select(account).where(account.c.username == username))
    return _account(rows[0]) if rows else None


async def put_password(db: Transaction, account_id: str, password_hash: str) -> None:
    """Replace a password."""
    await db.execute(update(account).where(account.c.account_id == account_id).values(password_hash=password_hash))


async def find_totp(db: Executor, account_id: str) -> bytes | None:
    """Look up the sealed secret of a person's second step; None where there is none."""
    rows = await db.fetch(select(account.c.totp_sealed).where(account.c.account_id == account_id))
    return bytes(rows[0]["totp_sealed"]) if rows and rows[0]["totp_sealed"] is not None else None


async def put_totp(db: Transaction, account_id: str, sealed: bytes | None, step: int | None = None) -> None:
    """Replace the secret of a person's second step, or (None) take it away; `step` is the code used up."""
    values = {"totp_sealed": sealed, "totp_step": step}
    await db.execute(update(account).where(account.c.account_id == account_id).values(**values))


async def use_totp_step(db: Transaction, account_id: str, step: int) -> bool:
    """Use a time step up; False when it, or a later one, was used before.  RFC 6238 5.2"""
    unused = account.c.totp_step.is_(None) | (account.c.totp_step < step)
    statement = update(account).where(account.c.account_id == account_id, unused).values(totp_step=step)
    return bool(await db.fetch(statement.returning(account.c.account_id)))


async def put_local_account(db: Transaction, value: Account, password_hash: str | None) -> None:
    """Insert a local account or replace it; without a hash the password stays.  The key is the username."""
    row = account_row(value) | {"username": value.username}
    row |= {"password_hash": password_hash} if password_hash is not None else {}
    await upsert(db, account, row, ["username"], keep={"account_id"})


async def put_tenant_account(db: Transaction, value: Account, issuer: str, subject: str) -> None:
    """Insert the account of a person whom a tenant named, or replace it."""
    row = account_row(value) | {"issuer": issuer, "subject": subject}
    await upsert(db, account, row, ["issuer", "subject"], keep={"account_id"})


async def find_tenant(db: Executor, issuer: str) -> Tenant | None:
    """Look up an allow-listed tenant by its issuer, exact to the character."""
    rows = await db.fetch(select(tenant).where(tenant.c.issuer == issuer, tenant.c.disabled.is_(false())))
    return _tenant(rows[0]) if rows else None


def tenant_row(value: Tenant) -> dict[str, Any]:
    """Write a tenant as a row; it is active."""
    return {
        "name": value.name,
        "issuer": value.issuer,
        "jwks_json": _dump(value.jwks),
        "jwks_url": value.jwks_url,
        "client_id": value.client_id,
        "organization": value.organization,
        "disabled": False,
    }


Kind = Literal["client", "tenant", "account"]
NAMED: dict[Kind, tuple[Table, str]] = {
    "client": (client, "client_id"),
    "tenant": (tenant, "name"),
    "account": (account, "username"),
}


async def deactivate_others(db: Transaction, kind: Kind, named: Collection[str]) -> list[Row]:
    """Deactivate what is active and not named (of accounts the local ones that an administrator named); gives the rows.

    Nothing is deleted.  Who came by a link stands in no file.
    """
    table, column = NAMED[kind]
    others = table.c[column].is_not(None) & table.c[column].not_in(list(named)) & table.c.disabled.is_(false())
    if table is account:
        others &= account.c.email.is_(None)
    return list(
        await db.fetch(
            update(table).where(others).values(disabled=True, version=table.c.version + 1).returning(*table.c)
        )
    )


async def upsert(
    db: Transaction, table: Table, row: Mapping[str, Any], key: list[str], keep: Iterable[str] = ()
) -> None:
    """Insert a row or, where there is one of this key, replace all but `keep` of it."""
    dialect = postgresql if db.dialect == "postgresql" else sqlite
    statement = dialect.insert(table).values(**row)
    changed = {name: statement.excluded[name] for name in row if name not in {*key, *keep}}
    await db.execute(statement.on_conflict_do_update(index_elements=key, set_=changed))


def _dump(value: object) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


def _load(text: str | None) -> Any:
    return None if text is None else orjson.loads(text)


def _client(row: Row) -> Client:
    return Client(
        client_id=row["client_id"],
        name=row["name"],
        type=row["type"],
        redirect_uris=tuple(_load(row["redirect_uris_json"])),
        jwks=_load(row["jwks_json"]),
        jwks_url=row["jwks_url"],
        secret_hash=row["secret_hash"],
        scopes=tuple(row["scope"].split()),
        launch_url=row["launch_url"],
        trusted=bool(row["trusted"]),
        may_exchange=bool(row["may_exchange"]),
        roles=frozenset(_load(row["roles_json"])),
        organization=row["organization"],
    )


def _account(row: Row) -> Account:
    return Account(
        account_id=row["account_id"],
        name=row["name"],
        roles=frozenset(_load(row["roles_json"])),
        organization=row["organization"],
        fhir_user=row["fhir_user"],
        username=row["username"],
        disabled=bool(row["disabled"]),
        second_factor=row["totp_sealed"] is not None,
        email=row["email"],
        email_codes=bool(row["email_codes"]),
        pin=row["pin_hash"] is not None,
        pin_failures=row["pin_failures"],
    )


def account_row(value: Account) -> dict[str, Any]:
    """Write an account as a row, without that by which it is found: username, or issuer and subject."""
    return {
        "account_id": value.account_id,
        "name": value.name,
        "roles_json": _dump(sorted(value.roles)),
        "organization": value.organization,
        "fhir_user": value.fhir_user,
        "disabled": value.disabled,
    }


def _tenant(row: Row) -> Tenant:
    return Tenant(
        name=row["name"],
        issuer=row["issuer"],
        client_id=row["client_id"],
        organization=row["organization"],
        jwks=_load(row["jwks_json"]),
        jwks_url=row["jwks_url"],
    )
