"""Sending released studies on to other systems, by C-STORE, visible and repeatable.

A destination has an id domain: without an id of that domain in the objects nothing is sent, and the record says why.
What a destination confirmed is noted at once, so a killed sender goes on where it stopped.
"""

import time
from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice
from typing import Any

from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from dicom_gateway import commitment
from dicom_gateway.audit.forwarded import Forwarded, beginning, forwarded
from dicom_gateway.dimse.store import Sent, sending
from dicom_gateway.errors import NotFound, PeerError
from dicom_gateway.gateway import Gateway
from dicom_gateway.index.exchange import forwarded_instance, forwarding
from dicom_gateway.index.models import outbox, patient, study
from dicom_gateway.index.query import Located, Place, locate
from dicom_gateway.peers import Peer, all_peers, by_name
from dicom_gateway.retrieval.state import sentences
from konsil.database import reader
from konsil.outbox import Again, Failed, Job, NewJob, Retry, enqueue

BATCH = 200
Handler = Callable[[Job], Any]


def handlers(gateway: Gateway) -> dict[str, Handler]:
    """The handlers of forwarding."""
    return {"forward-study": partial(plan, gateway), "forward": partial(forward, gateway)}


def plan(gateway: Gateway, job: Job) -> None:
    """Note for each destination that a study is to go there, or why it is not."""
    uid = str(job.payload["study_instance_uid"])
    with gateway.engine.begin() as connection:
        for peer in all_peers(connection):
            if peer.forward:
                plan_one(connection, uid, peer)


def plan_one(connection: Connection, uid: str, peer: Peer) -> None:
    """Note for one destination that a study is to go there, or why it is not."""
    owner = select(patient.c.issuer).join(study, study.c.patient_id == patient.c.id)
    issuer = connection.execute(owner.where(study.c.study_instance_uid == uid)).scalar()
    total = len(locate(connection, Place(uid)))
    note(connection, uid, peer, withheld=peer.id_domain not in {"", issuer}, total=total)


def note(connection: Connection, uid: str, peer: Peer, *, withheld: bool, total: int) -> None:
    """One destination's record; a study that is sent again starts a new round."""
    cause = f"The study has no patient id of {peer.id_domain}." if withheld else None
    remedy = "Give the patient an id of that domain, then send the study again." if withheld else None
    state = {
        "state": "withheld" if withheld else "due",
        "total": total,
        "cause": cause,
        "remedy": remedy,
        "updated_at": time.time(),
    }
    build = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(forwarding)
    row = build.values({"study_instance_uid": uid, "peer": peer.name, "sent": 0, **state})
    row = row.on_conflict_do_update(index_elements=["study_instance_uid", "peer"], set_=state)
    forwarding_id = connection.execute(row.returning(forwarding.c.id)).scalar_one()
    if not withheld:
        key = f"forward:{forwarding_id}:{time.time_ns()}"
        job = NewJob("forward", {"forwarding_id": forwarding_id}, key, f"forward:{peer.name}")
        connection.execute(enqueue(outbox, connection.dialect.name, job))


def forward(gateway: Gateway, job: Job) -> Again | None:
    """Send what a destination has not confirmed yet, some hundred instances at a time.

    Raises Retry when the destination does not answer, Failed when it refuses objects; both stand in the record.
    """
    forwarding_id = int(job.payload["forwarding_id"])
    with reader(gateway.engine).begin() as connection:
        row = connection.execute(select(forwarding).where(forwarding.c.id == forwarding_id)).mappings().one()
        if row["state"] == "cancelled":
            return None
        try:
            peer = by_name(connection, row["peer"])
        except NotFound as error:
            raise Failed("the destination is no longer registered") from error
        left = remaining(connection, forwarding_id, row["study_instance_uid"])
    told = Forwarded(row, peer, job.id)
    if not left:
        finish(gateway, forwarding_id, peer)
        forwarded(gateway, told)
        return None
    beginning(gateway, told, len(left))
    try:
        refused = send_some(gateway, peer, forwarding_id, left[:BATCH], job)
    except PeerError as error:
        explain(gateway, forwarding_id, peer, error.cause)
        raise Retry(f"{peer.name}: {error.cause}") from error
    if refused:
        change(
            gateway,
            forwarding_id,
            state="failed",
            cause=f"{peer.title} refused {len(refused)} objects: {refused[0].reason}.",
            remedy="Have it accept such objects, then send the study again: only what it lacks is sent.",
        )
        forwarded(gateway, told, f"{len(refused)} objects refused")
        raise Failed(f"{peer.name} refused {len(refused)} objects")
    return Again()


def finish(gateway: Gateway, forwarding_id: int, peer: Peer) -> None:
    """All is sent; a destination that offers it is asked to commit itself (PS3.4 J)."""
    change(gateway, forwarding_id, state="sent", cause=None, remedy=None)
    if "commit" in peer.can:
        with gateway.engine.begin() as connection:
            commitment.want(connection, forwarding_id, peer.name)


def remaining(connection: Connection, forwarding_id: int, uid: str) -> list[Located]:
    """Released instances in versions that the destination has not confirmed."""
    sent = select(forwarded_instance.c.version_id).where(forwarded_instance.c.forwarding_id == forwarding_id)
    known = frozenset(connection.execute(sent).scalars())
    return [item for item in locate(connection, Place(uid)) if item.version_id not in known]


def send_some(gateway: Gateway, peer: Peer, forwarding_id: int, items: list[Located], job: Job) -> list[Sent]:
    """Send over one association; confirmations are noted in tens, and a cancelled sending ends with the ten at hand.

    Gives what was refused.  Raises PeerError.
    """
    change(gateway, forwarding_id, state="sending")
    refused: list[Sent] = []
    outcomes = zip(items, sending(gateway.archive, peer, items, None), strict=False)
    while group := list(islice(outcomes, 10)):
        confirm(gateway, forwarding_id, [item for item, outcome in group if outcome.stored])
        refused += [outcome for _, outcome in group if not outcome.stored]
        job.renew()
        if cancelled(gateway, forwarding_id):
            break
    return refused


def cancelled(gateway: Gateway, forwarding_id: int) -> bool:
    """Whether somebody no longer wants it."""
    state = select(forwarding.c.state).where(forwarding.c.id == forwarding_id)
    with reader(gateway.engine).begin() as connection:
        return connection.execute(state).scalar() == "cancelled"


def confirm(gateway: Gateway, forwarding_id: int, items: Iterable[Located]) -> None:
    """Note what the destination has."""
    rows = [{"forwarding_id": forwarding_id, "version_id": item.version_id} for item in items]
    if not rows:
        return
    with gateway.engine.begin() as connection:
        connection.execute(insert(forwarded_instance), rows)
        count = select(func.count()).where(forwarded_instance.c.forwarding_id == forwarding_id)
        values = {"sent": connection.execute(count).scalar_one(), "updated_at": time.time()}
        changed = update(forwarding).where(forwarding.c.id == forwarding_id)
        connection.execute(changed.values(**values, cause=None, remedy=None))


def explain(gateway: Gateway, forwarding_id: int, peer: Peer, cause: str) -> None:
    """Note why it does not go on, in sentences."""
    names = {"title": peer.title, "host": peer.host, "port": peer.port, "our": peer.our_ae_title}
    told, remedy = sentences(cause, names)
    change(gateway, forwarding_id, state="due", cause=told, remedy=remedy)


def change(gateway: Gateway, forwarding_id: int, **values: object) -> None:
    """Change a record, unless somebody cancelled it meanwhile."""
    with gateway.engine.begin() as connection:
        changed = update(forwarding).where(forwarding.c.id == forwarding_id, forwarding.c.state != "cancelled")
        connection.execute(changed.values(updated_at=time.time(), **values))
