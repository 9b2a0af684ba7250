"""Changes of hospitals as AuditEvents, and those of commands as rows of the outbox.  DICOM PS3.15 A.5.3.10, 110137"""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine

from konsil.outbox import NewJob, enqueue
from smart_app.store.models import outbox
from smart_app.store.register import Details

DCM = "http://dicom.nema.org/resources/ontology/DCM"
AUDIT = "audit"
Event = dict[str, Any]


def change_event(source: tuple[Event, str], name: str, what: str, details: Details) -> Event:
    """What somebody (`AuditEvent.agent.who`) changed of a hospital; `source`: who, and the address of this program."""
    who, server = source
    thing: Event = {"role": {"code": "13"}, "type": {"code": "2"}, "name": f"hospital {name}"}
    thing["role"]["system"] = "http://terminology.hl7.org/CodeSystem/object-role"
    thing["type"]["system"] = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
    if details:
        thing["detail"] = [{"type": member, "valueString": text} for member, text in details]
    return {
        "resourceType": "AuditEvent",
        "type": {"system": DCM, "code": "110113", "display": "Security Alert"},
        "subtype": [{"system": DCM, "code": "110137", "display": "User security Attributes Changed"}],
        "action": "E",
        "recorded": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "outcome": "0",
        "outcomeDesc": f"hospital {name} {what}",
        "agent": [{"who": who, "requestor": True}],
        "source": {"observer": {"identifier": {"value": server}}},
        "entity": [thing],
    }


def put_down(engine: Engine, event: Event) -> None:
    """Have the worker tell it, however long our server is away."""
    event_id = str(uuid4())
    job = NewJob(AUDIT, {"event": event | {"id": event_id}}, f"{AUDIT}:{event_id}")
    with engine.begin() as connection:
        connection.execute(enqueue(outbox, engine.dialect.name, job))
