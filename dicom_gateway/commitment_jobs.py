"""What the outbox does for storage commitments: asks, asks again, and reports."""

from collections.abc import Callable
from functools import partial
from json import loads
from typing import Any

from dicom_gateway import commitment
from dicom_gateway.dimse import commitment as push
from dicom_gateway.errors import NotFound, PeerError
from dicom_gateway.gateway import Gateway
from dicom_gateway.peers import Peer, by_name
from konsil.database import reader
from konsil.outbox import Failed, Job, Retry

PATIENCE_SECONDS = 3600.0
ATTEMPTS = 24


def handlers(gateway: Gateway) -> dict[str, Callable[[Job], Any]]:
    """The handlers of storage commitment."""
    return {commitment.ASK: partial(ask, gateway), commitment.REPORT: partial(tell, gateway)}


def ask(gateway: Gateway, job: Job) -> None:
    """Ask a destination, and once an hour again while it has not reported; after a day it counts as unanswered.

    Raises Retry, Failed.
    """
    uid = str(job.payload["transaction_uid"])
    row, peer = look(gateway, uid)
    if row["state"] != "asked":
        return
    if job.attempts > ATTEMPTS:
        with gateway.engine.begin() as connection:
            commitment.change(connection, uid, "unanswered")
        raise Failed(f"{peer.name} has not said whether it keeps what it took")
    try:
        push.ask(gateway, peer, uid, [(str(kind), str(each)) for kind, each in loads(str(row["items"]))])
    except PeerError as error:
        raise Retry(f"{peer.name}: {error.cause}") from error
    if look(gateway, uid)[0]["state"] == "asked":
        raise Retry(f"{peer.name} has not reported yet", PATIENCE_SECONDS)


def tell(gateway: Gateway, job: Job) -> None:
    """Report to a peer what we keep of what it asked; the journal has been taken in before.  Raises Retry, Failed."""
    uid = str(job.payload["transaction_uid"])
    row, peer = look(gateway, uid)
    if row["state"] != "due":
        return
    items = [(str(kind), str(each)) for kind, each in loads(str(row["items"]))]
    found = commitment.judge(gateway.engine, gateway.archive, uid, items)
    try:
        push.report(peer, found)
    except PeerError as error:
        raise Retry(f"{peer.name}: {error.cause}") from error
    with gateway.engine.begin() as connection:
        commitment.change(connection, uid, "reported", found.failed)


def look(gateway: Gateway, transaction_uid: str) -> tuple[dict[str, object], Peer]:
    """A transaction and its peer.  Raises Failed when either is gone."""
    with reader(gateway.engine).begin() as connection:
        row = commitment.known(connection, transaction_uid)
        if row is None:
            raise Failed("the request was replaced by a later one")
        try:
            return row, by_name(connection, str(row["peer"]))
        except NotFound as error:
            raise Failed("the peer is no longer registered") from error
