"""Sending the studies of a case to a reader's own workstation because the reader asks; the sending itself is `route`.

Each time somebody asks is written down with person, case and moment, and never changed.
"""

import time
from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from dicom_gateway import route
from dicom_gateway.index.exchange import forwarded_instance, forwarding, forwarding_request
from dicom_gateway.index.models import outbox
from dicom_gateway.peers import Peer

UNDER_WAY = frozenset({"due", "sending"})


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks (`Practitioner/id`) for which case (`Task/id`)."""

    person: str
    case: str


def ask(connection: Connection, study_instance_uid: str, peer: Peer, asking: Asking) -> None:
    """Start sending a study, in the caller's transaction.

    One under way goes on, at once if it was waiting for the destination; one that failed or was cancelled goes on where
    it stopped; one that was sent is sent anew, since the workstation may have deleted it.
    """
    known = find(connection, study_instance_uid, peer.name)
    if known is not None and known["state"] == "sent":
        forget(connection, known["id"])
    if known is None or known["state"] not in UNDER_WAY:
        route.plan_one(connection, study_instance_uid, peer, "")
    found = known or find(connection, study_instance_uid, peer.name)
    assert found is not None  # noqa: S101 - planned just now
    told = {"case_reference": asking.case, "asked_by": asking.person, "asked_at": time.time()}
    connection.execute(insert(forwarding_request).values(forwarding_id=found["id"], **told))
    hurry(connection, peer.name)


def cancel(connection: Connection, row: RowMapping) -> None:
    """Stop a sending, in the caller's transaction; what arrived at the workstation stays there."""
    if row["state"] in UNDER_WAY:
        values = {"state": "cancelled", "cause": None, "remedy": None, "updated_at": time.time()}
        connection.execute(update(forwarding).where(forwarding.c.id == row["id"]).values(values))
        hurry(connection, row["peer"])


def find(connection: Connection, study_instance_uid: str, peer: str) -> RowMapping | None:
    """How a study stands with a destination; None when it was never to go there."""
    of_study = forwarding.c.study_instance_uid == study_instance_uid, forwarding.c.peer == peer
    return connection.execute(select(forwarding).where(*of_study)).mappings().one_or_none()


def forget(connection: Connection, forwarding_id: int) -> None:
    """Forget what the destination confirmed."""
    connection.execute(delete(forwarded_instance).where(forwarded_instance.c.forwarding_id == forwarding_id))
    connection.execute(update(forwarding).where(forwarding.c.id == forwarding_id).values(sent=0))


def hurry(connection: Connection, peer: str) -> None:
    """Try now what waits for a destination: somebody stands in front of it."""
    waiting = outbox.c.order_key == f"forward:{peer}", outbox.c.state == "due"
    connection.execute(update(outbox).where(*waiting).values(next_attempt_at=time.time()))


def askers(connection: Connection) -> dict[int, RowMapping]:
    """Who asked last for each sending, by its id."""
    rows = connection.execute(select(forwarding_request).order_by(forwarding_request.c.id)).mappings()
    return {row["forwarding_id"]: row for row in rows}
