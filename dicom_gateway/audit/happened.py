"""What happened to imaging, put down as rows of the outbox.  DICOM PS3.15 A.5.3

A row is written in the transaction of its cause, or before what it tells of is answered; it waits while the FHIR server
is away.  One row tells of an association, a question or a study, never of each instance.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID, uuid4, uuid5

from sqlalchemy import Connection

from dicom_gateway.audit.received import is_told
from dicom_gateway.gateway import Gateway
from dicom_gateway.index.models import outbox
from dicom_gateway.settings import Settings
from konsil.outbox import NewJob, enqueue

KIND = "audit"
BEGINNING, ACCESSED, TRANSFERRED, QUERY, ALERT = "110102", "110103", "110104", "110112", "110113"
NODE_AUTHENTICATION, ATTRIBUTES_CHANGED = "110126", "110137"
IMPORT = "110107"
SUCCESS, MINOR, SERIOUS = "0", "4", "8"
NAMESPACE = UUID("5f8f0f2c-7d0f-5d1c-9d55-6d1c6a3c7e10")
MOST_STUDIES = 500


@dataclass(frozen=True, slots=True)
class Agent:
    """Who took part: a person (`reference`), a program or an application entity.

    `part`: source or destination of the data, empty for neither.  `asked`: whether it began.
    """

    identifier: str
    reference: str = ""
    ae_title: str = ""
    address: str = ""
    title: str = ""
    roles: tuple[str, ...] = ()
    part: str = ""
    asked: bool = False


@dataclass(frozen=True, slots=True)
class Happened:
    """One thing that happened.  PS3.15 Table A.5.1-1

    `code`: the event id; `studies`: how many instances of each, None where that says nothing; `patience_seconds`: how
    long to wait for the studies to be published, so that the event can name the patient,
    unless `patient` does.  `thing`: what of the gateway's own was changed, `details`: how, by member.
    """

    code: str
    action: str
    agents: tuple[Agent, ...]
    studies: Mapping[str, int | None] = field(default_factory=dict)
    subtype: str = ""
    outcome: str = SUCCESS
    problem: str = ""
    query: str = ""
    patient: str = ""
    case: str = ""
    patience_seconds: float = 0
    thing: str = ""
    details: tuple[tuple[str, str], ...] = ()


def note(connection: Connection, happened: Happened, key: str = "") -> None:
    """Put it down in the caller's transaction; under a key only once."""
    event_id = str(uuid5(NAMESPACE, key) if key else uuid4())
    payload: dict[str, Any] = {"id": event_id, "at": time.time(), **asdict(happened)}
    payload["studies"] = dict(list(happened.studies.items())[:MOST_STUDIES])
    job = NewJob(KIND, payload, f"{KIND}:{event_id}")
    connection.execute(enqueue(outbox, connection.dialect.name, job))


def put_down(gateway: Gateway, happened: Happened, key: str = "") -> None:
    """Put it down now, durably.  Raises SQLAlchemyError: then what it tells of does not happen."""
    if is_told(gateway.settings):
        with gateway.engine.begin() as connection:
            note(connection, happened, key)


def ourselves(settings: Settings, part: str) -> Agent:
    """This gateway."""
    return Agent(settings.base_url, ae_title=settings.ae_title, part=part)
