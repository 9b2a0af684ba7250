"""A forgotten password, as the worker sees it: a link for who has an account, nothing for who has none.

The page answers everybody alike, at once; that an address is known shows in its own mailbox alone.
"""

import time

from sqlalchemy import insert, select
from sqlalchemy.engine import Engine

from fhir_server.auth import opaque
from fhir_server.auth.steps import SECONDS
from fhir_server.store.auth_models import account, step

KIND = "forgotten"


def values(engine: Engine, address: str, base: str, name: str) -> dict[str, str] | None:
    """Make the link of an account that belongs to this address; None where there is none."""
    handle = opaque.make()
    with engine.begin() as connection:
        known = select(account.c.account_id).where(account.c.email == address, account.c.disabled.is_(False))
        account_id = connection.execute(known).scalar()
        if account_id is None:
            return None
        row = {"handle_hash": opaque.digest(handle), "purpose": KIND, "account_id": account_id, "data_json": "{}"}
        connection.execute(insert(step).values(**row, expires_at=time.time() + SECONDS["forgotten"]))
    return {"name": name, "link": f"{base}/account/forgotten?step={handle}"}
