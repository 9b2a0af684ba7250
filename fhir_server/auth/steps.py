"""What a person has begun and goes on with under an opaque handle: a second step, an enrolment, a new password."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from fhir_server.auth import opaque
from fhir_server.auth.server import AuthorizationServer
from fhir_server.store import auth_grants, auth_registry
from fhir_server.store.auth_values import Account
from fhir_server.store.database import Database

Purpose = Literal["code", "enrol", "reset", "mailed", "forgotten", "leave"]
SECONDS: dict[Purpose, float] = {
    "code": 300,
    "enrol": 900,
    "reset": 86_400,
    "mailed": 600,
    "forgotten": 3600,
    "leave": 900,
}


@dataclass(frozen=True, slots=True)
class Step:
    """One that is under way."""

    handle: str
    account: Account
    data: Mapping[str, Any]


async def begin(db: Database, purpose: Purpose, account: Account, data: Mapping[str, Any], now: float) -> str:
    """Keep what was begun; gives the handle, which works once."""
    handle = opaque.make()
    row = {
        "handle_hash": opaque.digest(handle),
        "purpose": purpose,
        "account_id": account.account_id,
        "data_json": orjson.dumps(dict(data)).decode(),
        "expires_at": now + SECONDS[purpose],
    }
    async with db.transaction() as transaction:
        await auth_grants.add(transaction, "step", row)
    return handle


async def find(server: AuthorizationServer, purpose: Purpose, handle: str) -> Step | None:
    """Take it up again; None when it is unknown, used, too old, or its person may no longer sign in."""
    row = await auth_grants.find(server.db, "step", opaque.digest(handle))
    if row is None or row["purpose"] != purpose or row["used_at"] is not None or row["expires_at"] <= server.clock():
        return None
    account = await auth_registry.find_account(server.db, row["account_id"])
    if account is None or account.disabled:
        return None
    return Step(handle, account, orjson.loads(row["data_json"]))


async def finish(server: AuthorizationServer, step: Step) -> bool:
    """Use the handle up; False when somebody was faster."""
    async with server.db.transaction() as transaction:
        key = opaque.digest(step.handle)
        return await auth_grants.consume(transaction, "step", key, server.clock()) is not None
