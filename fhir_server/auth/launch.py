"""EHR launch handles.  https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#launch-app-ehr-launch"""

import time

from fhir_server.auth import opaque
from fhir_server.store import auth_grants
from fhir_server.store.auth_values import LaunchContext
from fhir_server.store.database import Database, Row, Transaction

__all__ = ["LaunchContext", "consume", "create", "find"]

LIFE_SECONDS = 300


async def create(db: Database, account_id: str, client_id: str, context: LaunchContext) -> str:
    """Make the `launch` parameter for one app, one person and one context; it works once, within five minutes."""
    handle, now = opaque.make(), time.time()
    row = {
        "handle_hash": opaque.digest(handle),
        "account_id": account_id,
        "client_id": client_id,
        "context_json": context.to_json(),
        "expires_at": now + LIFE_SECONDS,
    }
    async with db.transaction() as transaction:
        await auth_grants.add(transaction, "launch", row)
    return handle


async def find(db: Database, handle: str, client_id: str, now: float) -> Row | None:
    """Look up a handle that this client may still use."""
    row = await auth_grants.find(db, "launch", opaque.digest(handle))
    if row is None or row["client_id"] != client_id or row["used_at"] is not None or row["expires_at"] <= now:
        return None
    return row


async def consume(transaction: Transaction, handle: str, now: float) -> Row | None:
    """Use the handle up; None when somebody was faster."""
    return await auth_grants.consume(transaction, "launch", opaque.digest(handle), now)
