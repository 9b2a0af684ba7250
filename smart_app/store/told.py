"""What a command changed of a hospital, as a row of the outbox: an AuditEvent that our server is told."""

from typing import Any
from uuid import uuid4

from sqlalchemy import Engine

from konsil.outbox import NewJob, enqueue
from smart_app.store.models import outbox

AUDIT = "audit"
Event = dict[str, Any]


def put_down(engine: Engine, event: Event) -> None:
    """Have the worker tell it, however long our server is away."""
    event_id = str(uuid4())
    job = NewJob(AUDIT, {"event": event | {"id": event_id}}, f"{AUDIT}:{event_id}")
    with engine.begin() as connection:
        connection.execute(enqueue(outbox, engine.dialect.name, job))
