"""What an administrator does from the command line beside provisioning, each act with its AuditEvent."""

import time
from collections.abc import Collection, Mapping
from typing import Any

from fhir_server.audit.event import ATTRIBUTES_CHANGED, CONFIGURATION_CHANGED, SECURITY, Happening, Origin
from fhir_server.audit.trail import Trail
from fhir_server.auth import accounts, records, signing, steps
from fhir_server.auth.server import issuer
from fhir_server.context import Node
from fhir_server.store import auth_grants, auth_registry, auth_sessions
from fhir_server.store.auth_values import Account
from fhir_server.store.database import Transaction


class UnknownAccount(Exception):
    """There is no active local account of this name."""


async def rotate_key(node: Node, *, at_once: bool = False) -> str:
    """Make a new signing key (`signing.rotate`); gives its kid."""
    kid = await signing.rotate(node.database, time.time(), at_once=at_once)
    await note(node, f"signing key {kid} made{', the former ones retired' if at_once else ''}")
    return kid


async def reset_link(node: Node, username: str) -> str:
    """Make the link with which a person sets a new password within a day, once.  Raises UnknownAccount."""
    account = await _account(node, username)
    link = await link_for(node, account.account_id)
    await note(node, f"link for a new password made for {account.username}", ATTRIBUTES_CHANGED)
    return link


async def link_for(node: Node, account_id: str) -> str:
    """Make the link for an account by its id; the caller notes it.  Raises UnknownAccount."""
    account = await auth_registry.find_account(node.database, account_id)
    if account is None:
        raise UnknownAccount(f"there is no account {account_id}")
    handle = await steps.begin(node.database, "reset", account, {}, time.time())
    return f"{issuer(node.settings)}/account/reset?step={handle}"


async def sign_out(node: Node, username: str) -> None:
    """End every session and every access of a person.  Raises UnknownAccount."""
    account = await _account(node, username)
    await accounts.sign_out_everywhere(node.database, account.account_id, time.time())
    await note(node, f"{account.username} signed out everywhere", ATTRIBUTES_CHANGED)


async def deactivate_others(node: Node, kind: auth_registry.Kind, named: Collection[str]) -> int:
    """Deactivate who is not named, and end what they had open; gives how many."""
    column, now = auth_registry.NAMED[kind][1], time.time()
    async with node.database.transaction() as transaction:
        rows = await auth_registry.deactivate_others(transaction, kind, named)
        for row in rows:
            await end(transaction, kind, {**row}, now)
    for row in rows:
        await note(node, f"{kind} {row[column]} deactivated", ATTRIBUTES_CHANGED)
    return len(rows)


async def end(transaction: Transaction, kind: auth_registry.Kind, row: Mapping[str, Any], now: float) -> None:
    """End what is open for good: who is active again later starts anew."""
    if kind == "account":
        await auth_sessions.remove_sessions_of(transaction, row["account_id"])
        await auth_grants.revoke_person(transaction, row["account_id"], now)
    elif kind == "tenant":
        await auth_grants.revoke_tenant(transaction, row["issuer"], now)
    else:
        await auth_grants.revoke_client(transaction, row["client_id"], now)


async def note(node: Node, what: str, code: str = CONFIGURATION_CHANGED) -> None:
    """Put an administrator's act down, at once.  DICOM 110113"""
    origin = Origin(records.registrar(None), "command line", issuer(node.settings))
    happening = Happening(code, time.time_ns() // 1000, problem=what, kind=SECURITY)
    await node.journal.add(Trail(origin).noted(happening), at_once=True)


async def _account(node: Node, username: str) -> Account:
    account = await auth_registry.find_local_account(node.database, accounts.normal(username))
    if account is None or account.disabled:
        raise UnknownAccount(f"there is no active account {username}")
    return account
