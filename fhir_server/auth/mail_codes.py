"""Codes by e-mail as the second step of signing in: six digits, ten minutes, five tries, kept as a hash.

A code is hashed together with its page's handle, which the database does not have: its million values are of no use to
who steals one.
"""

import hmac
import secrets
from collections.abc import Mapping
from typing import Any

import orjson

from fhir_server.auth import mail, opaque, steps
from fhir_server.auth.mail import Letter
from fhir_server.auth.server import AuthorizationServer
from fhir_server.auth.steps import Step
from fhir_server.store import auth_grants, auth_joining
from fhir_server.store.auth_values import Account


def new_code() -> str:
    """Make one."""
    return f"{secrets.randbelow(1_000_000):06d}"


def hashed(handle: str, code: str) -> str:
    """Hash a code for its page."""
    return opaque.digest(f"{handle} {''.join(code.split())}")


def letter(server: AuthorizationServer, address: str, code: str) -> Letter:
    """Write the mail with a code."""
    until = server.clock() + steps.SECONDS["mailed"]
    return Letter(address, "code", {"name": server.settings.product_name, "code": code}, until)


async def begin(server: AuthorizationServer, account: Account, data: Mapping[str, Any]) -> str | None:
    """Send a code to who knows the password; gives the page's handle, None where the address had too many mails."""
    address = account.email or ""
    if not await mail.may_post(server.db, address, server.clock()):
        return None
    handle, code, now = opaque.make(), new_code(), server.clock()
    kept = dict(data) | {"code": hashed(handle, code)}
    row = {
        "handle_hash": opaque.digest(handle),
        "purpose": "mailed",
        "account_id": account.account_id,
        "data_json": orjson.dumps(kept).decode(),
        "expires_at": now + steps.SECONDS["mailed"],
    }
    async with server.db.transaction() as transaction:
        await auth_grants.add(transaction, "step", row)
        await mail.post(transaction, letter(server, address, code))
    return handle


async def check(server: AuthorizationServer, step: Step, code: str) -> bool | None:
    """Check a code; None when the page's five tries are used up: then its code is of no use any more."""
    key = opaque.digest(step.handle)
    async with server.db.transaction() as transaction:
        left = await auth_joining.count_step_guess(transaction, key)
    if not left:
        return None
    return hmac.compare_digest(str(step.data["code"]), hashed(step.handle, code))
