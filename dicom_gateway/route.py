"""Sending released studies on to other systems, by C-STORE, visible and repeatable.

A destination has an id domain: without an id of that domain in the objects nothing is sent, and the record says why.
What a destination confirmed is noted at once, so a killed sender goes on where it stopped. What goes where is for
`routing` to say; what waits for one destination goes in the order in which it was planned.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from dicom_gateway import commitment, hours
from dicom_gateway.archive import Archive
from dicom_gateway.audit.forwarded import Forwarded, beginning, forwarded
from dicom_gateway.dimse.store import Sent, sending
from dicom_gateway.errors import NotFound, PeerError
from dicom_gateway.gateway import Gateway
from dicom_gateway.index.exchange import forwarded_instance, forwarding
from dicom_gateway.index.models import outbox, patient, study
from dicom_gateway.index.query import Located, Place, locate
from dicom_gateway.peers import Peer, by_name
from dicom_gateway.retrieval.state import sentences
from dicom_gateway.routing import register
from dicom_gateway.routing.entry import Rule
from dicom_gateway.routing.outgoing import Change, changed
from konsil.database import reader
from konsil.outbox import Again, Failed, Job, NewJob, Retry, enqueue

BATCH = 200
COPIES = 20
"""How many copies that a rule has changed lie on disk at a time."""
ATTEMPTS = 100
"""After these, a day at the longest pause, a sending is failed until somebody sends it again."""
LONGEST_WAIT_SECONDS = 600.0
PAUSE_SECONDS = 5.0
"""After so long between two instances the lease of the job is renewed."""
Handler = Callable[[Job], Any]


def handlers(gateway: Gateway) -> dict[str, Handler]:
    """The handlers of forwarding."""
    return {"forward": partial(forward, gateway)}


def plan_one(connection: Connection, uid: str, peer: Peer, rule: str | None = None) -> None:
    """Note for one destination that a study is to go there, or why it is not.

    `rule`: the one it follows, empty for none; None: as it was planned before.
    """
    owner = select(patient.c.issuer).join(study, study.c.patient_id == patient.c.id)
    issuer = connection.execute(owner.where(study.c.study_instance_uid == uid)).scalar()
    total = len(locate(connection, Place(uid)))
    state = standing(peer, withheld=peer.id_domain not in {"", issuer}) | {"total": total}
    note(connection, uid, peer, state if rule is None else state | {"rule": rule})


def standing(peer: Peer, *, withheld: bool) -> dict[str, Any]:
    """What a record of a destination says at first."""
    cause = f"The study has no patient id of {peer.id_domain}." if withheld else None
    remedy = "Give the patient an id of that domain, then send the study again." if withheld else None
    return {"state": "withheld" if withheld else "due", "cause": cause, "remedy": remedy}


def note(connection: Connection, uid: str, peer: Peer, values: dict[str, Any]) -> None:
    """One destination's record; a study that is sent again starts a new round."""
    state = values | {"updated_at": time.time()}
    build = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(forwarding)
    row = build.values({"study_instance_uid": uid, "peer": peer.name, "sent": 0, **state})
    row = row.on_conflict_do_update(index_elements=["study_instance_uid", "peer"], set_=state)
    forwarding_id = connection.execute(row.returning(forwarding.c.id)).scalar_one()
    if state["state"] == "due":
        key = f"forward:{forwarding_id}:{time.time_ns()}"
        former = (outbox.c.kind == "forward") & outbox.c.dedupe_key.like(f"forward:{forwarding_id}:%")
        connection.execute(update(outbox).where(former, outbox.c.state == "failed").values(state="done"))
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
        rule = register.by_name(connection, row["rule"]) if row["rule"] else None
    told = Forwarded(row, peer, job.id)
    if not left:
        finish(gateway, forwarding_id, peer)
        forwarded(gateway, told)
        return None
    if wait := closed(gateway, forwarding_id, peer):
        return Again(wait)
    beginning(gateway, told, len(left))
    try:
        refused = send_as(gateway, (peer, rule), forwarding_id, left, job)
    except PeerError as error:
        raise given_up_or_later(gateway, forwarding_id, peer, (error.cause, job.attempts)) from error
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


def closed(gateway: Gateway, forwarding_id: int, peer: Peer) -> float:
    """How long to wait until the destination may be sent to, 0 when it may; the record says so."""
    here = datetime.now(ZoneInfo(gateway.settings.time_zone))
    wait = hours.seconds_until(peer.hours, here)
    if wait:
        cause, remedy = f"{peer.title} is sent to at {', '.join(peer.hours)} only.", "It goes by itself then."
        change(gateway, forwarding_id, state="due", cause=cause, remedy=remedy)
    return min(wait, LONGEST_WAIT_SECONDS)


def given_up_or_later(gateway: Gateway, forwarding_id: int, peer: Peer, why: tuple[str, int]) -> Retry | Failed:
    """Note why a destination could not be sent to: it is tried again, each time later, or given up in the end."""
    cause, attempts = why
    explain(gateway, forwarding_id, peer, cause)
    if attempts < ATTEMPTS:
        return Retry(f"{peer.name}: {cause}")
    change(gateway, forwarding_id, state="failed")
    return Failed(f"{peer.name}: {cause}, after {attempts} attempts")


def send_as(
    gateway: Gateway, to: tuple[Peer, Rule | None], forwarding_id: int, items: list[Located], job: Job
) -> list[Sent]:
    """Send the next instances, as a rule wants them; gives what was refused.  Raises PeerError, OSError."""
    peer, rule = to
    with ExitStack() as stack:
        archive, copies = gateway.archive, items[:BATCH]
        if rule is not None and rule.changes:
            moment = datetime.now(ZoneInfo(gateway.settings.time_zone))
            how = Change(rule, moment, gateway.settings.ae_title)
            archive, copies = stack.enter_context(changed(archive, items[:COPIES], how))
        return send_some(gateway, (peer, archive), forwarding_id, copies, job)


def remaining(connection: Connection, forwarding_id: int, uid: str) -> list[Located]:
    """Released instances in versions that the destination has not confirmed."""
    sent = select(forwarded_instance.c.version_id).where(forwarded_instance.c.forwarding_id == forwarding_id)
    known = frozenset(connection.execute(sent).scalars())
    return [item for item in locate(connection, Place(uid)) if item.version_id not in known]


def send_some(
    gateway: Gateway, to: tuple[Peer, Archive], forwarding_id: int, items: list[Located], job: Job
) -> list[Sent]:
    """Send over one association; confirmations are noted in tens, and a cancelled sending ends with the ten at hand.

    Gives what was refused.  Raises PeerError.
    """
    peer, archive = to
    change(gateway, forwarding_id, state="sending")
    refused: list[Sent] = []
    answered = zip(items, sending(archive, peer, items, None), strict=False)
    outcomes = paced(answered, peer.kilobytes_per_second, job.renew)
    while group := list(islice(outcomes, 10)):
        confirm(gateway, forwarding_id, [item for item, outcome in group if outcome.stored])
        refused += [outcome for _, outcome in group if not outcome.stored]
        job.renew()
        if cancelled(gateway, forwarding_id):
            break
    return refused


def paced(
    outcomes: Iterable[tuple[Located, Sent]], kilobytes_per_second: int, renew: Callable[[], None]
) -> Iterator[tuple[Located, Sent]]:
    """The same, so slowly that no more than that goes out on average; 0: as fast as they come."""
    began, sent = time.monotonic(), 0
    for item, outcome in outcomes:
        yield item, outcome
        sent += item.size
        ends = began + sent / (kilobytes_per_second * 1000) if kilobytes_per_second else 0
        while (left := ends - time.monotonic()) > 0:
            time.sleep(min(left, PAUSE_SECONDS))
            renew()


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
