"""What came in, told once for each association and study when nothing more comes.

Reception is not slowed: the journal holds who sent each instance, durably, before the sender is answered; the counts
are made from it in the transaction that takes it into the index, so each instance counts once, whatever ends in
between.
"""

import time
from collections import Counter
from collections.abc import Iterable

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from dicom_gateway.index.arrivals import Arrival
from dicom_gateway.index.models import outbox, reception
from dicom_gateway.settings import Settings
from konsil.outbox import NewJob, enqueue

KIND = "audit-received"
QUIET_SECONDS = 5.0
Came = tuple[str, str, str, str, str]
"""Association, study, peer, calling AE title, address."""


def is_told(settings: Settings) -> bool:
    """Whether there is a FHIR server to tell; an archive's audit is its operator's."""
    return settings.mode == "gateway" and settings.fhir_base_url is not None


def count(connection: Connection, arrivals: Iterable[Came]) -> None:
    """Note what has come, in the transaction of the index."""
    build = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(reception)
    for (group, study, peer, calling, address), number in Counter(arrivals).items():
        row = {"association": group, "study_instance_uid": study, "instances": number, "last_at": time.time()}
        row |= {"peer": peer, "calling_ae_title": calling, "address": address, "told": 0}
        more = {"instances": reception.c.instances + number, "last_at": time.time()}
        insert = build.values(row).on_conflict_do_update(
            index_elements=["association", "study_instance_uid"], set_=more
        )
        told = connection.execute(insert.returning(reception.c.told)).scalar_one()
        payload = {"association": group, "study_instance_uid": study}
        job = NewJob(KIND, payload, f"{KIND}:{group}:{study}:{told}", due_at=time.time() + QUIET_SECONDS)
        connection.execute(enqueue(outbox, connection.dialect.name, job))


def came(arrival: Arrival, study_instance_uid: str) -> Came:
    """Where an arrival counts: its association, else the retrieval or the import that brought it."""
    group = arrival.association or arrival.retrieval or arrival.peer or "unknown"
    return group, study_instance_uid, arrival.peer, arrival.calling_ae_title, arrival.address
