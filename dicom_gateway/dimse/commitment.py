"""Storage commitment as SCU and SCP: N-ACTION and N-EVENT-REPORT of the Push Model.  PS3.4 Annex J

A report comes on the association of its request or on a later one that the other side opens; both are taken.  Ours goes
out on a later one, so that it may be tried again.
"""

import threading
from collections.abc import Sequence
from typing import Final

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)
from sqlalchemy.exc import SQLAlchemyError

from dicom_gateway import commitment
from dicom_gateway.attributes import UNREADABLE, text
from dicom_gateway.commitment import Item, Report
from dicom_gateway.dimse.association import UNCOMPRESSED, Proposal, associate
from dicom_gateway.errors import PeerError
from dicom_gateway.gateway import Gateway
from dicom_gateway.peers import Peer
from dicom_gateway.status import (
    INVALID_ARGUMENT,
    NO_SUCH_ACTION,
    NO_SUCH_EVENT_TYPE,
    PROCESSING_FAILURE,
    SUCCESS,
    Cause,
)

PUSH_MODEL: Final = str(StorageCommitmentPushModel)
REQUEST, SUCCEEDED, FAILURES_EXIST = 1, 1, 2
SAME_ASSOCIATION_SECONDS: Final = 3.0


def ask(gateway: Gateway, peer: Peer, transaction_uid: str, items: Sequence[Item]) -> None:
    """Ask a peer to commit itself to instances, and wait a moment for its report.  PS3.4 J.3.2  Raises PeerError."""
    reported = threading.Event()

    def on_report(event: evt.Event) -> tuple[int, Dataset | None]:
        answer = on_n_event_report(event, gateway, peer.name)
        if answer[0] == SUCCESS:
            reported.set()
        return answer

    wanted = Dataset()
    wanted.TransactionUID = transaction_uid
    wanted.ReferencedSOPSequence = [reference(item) for item in items]
    handlers = [(evt.EVT_N_EVENT_REPORT, on_report)]
    with associate(peer, Proposal([(PUSH_MODEL, UNCOMPRESSED)], handlers=handlers, silence_seconds=60)) as assoc:
        answer, _ = assoc.send_n_action(wanted, REQUEST, PUSH_MODEL, StorageCommitmentPushModelInstance)
        if "Status" not in answer:
            raise PeerError(Cause.NO_ANSWER)
        if answer.Status != SUCCESS:
            raise PeerError(Cause.COMMITMENT_REFUSED)
        reported.wait(SAME_ASSOCIATION_SECONDS)


def report(peer: Peer, found: Report) -> None:
    """Tell a peer, on an association of our own, what we keep.  PS3.4 J.3.3  Raises PeerError."""
    told = Dataset()
    told.TransactionUID = found.transaction_uid
    if found.kept:
        told.ReferencedSOPSequence = [reference(item) for item in found.kept]
    if found.failed:
        told.FailedSOPSequence = [reference((failed[0], failed[1]), failed[2]) for failed in found.failed]
    event = FAILURES_EXIST if found.failed else SUCCEEDED
    with associate(peer, Proposal([(PUSH_MODEL, UNCOMPRESSED)], as_scp=[PUSH_MODEL], silence_seconds=60)) as assoc:
        answer, _ = assoc.send_n_event_report(told, event, PUSH_MODEL, StorageCommitmentPushModelInstance)
        if answer.get("Status") != SUCCESS:
            raise PeerError(Cause.NO_ANSWER)


def reference(item: Item, reason: int | None = None) -> Dataset:
    """An item of a Referenced or Failed SOP Sequence."""
    ds = Dataset()
    ds.ReferencedSOPClassUID, ds.ReferencedSOPInstanceUID = item
    if reason is not None:
        ds.FailureReason = reason
    return ds


def items_of(ds: Dataset, keyword: str) -> list[Item]:
    """The references in a sequence."""
    return [
        (text(item, "ReferencedSOPClassUID"), text(item, "ReferencedSOPInstanceUID")) for item in ds.get(keyword) or []
    ]


def on_n_action(event: evt.Event, gateway: Gateway) -> tuple[int, Dataset | None]:
    """Take a request down; the report follows on an association of ours.  PS3.4 J.3.2

    Gives 0000 taken down, durably; 0123 another action; 0115 no transaction or no instances; 0110 not written.
    """
    if event.action_type != REQUEST:
        return NO_SUCH_ACTION, None
    try:
        wanted = event.action_information
        transaction_uid, items = text(wanted, "TransactionUID"), items_of(wanted, "ReferencedSOPSequence")
    except UNREADABLE:
        return INVALID_ARGUMENT, None
    if not transaction_uid or not items:
        return INVALID_ARGUMENT, None
    peer: Peer = event.assoc.peer  # type: ignore[attr-defined]
    try:
        commitment.take_down(gateway.engine, peer.name, transaction_uid, items)
    except SQLAlchemyError:
        return PROCESSING_FAILURE, None
    return SUCCESS, None


def on_n_event_report(event: evt.Event, gateway: Gateway, peer: str) -> tuple[int, Dataset | None]:
    """Keep what a destination says of a request of ours.  PS3.4 J.3.3

    Gives 0000 kept, or known already; 0113 another event; 0115 a transaction that we did not ask of this peer;
    0110 not written.
    """
    if event.event_type not in {SUCCEEDED, FAILURES_EXIST}:
        return NO_SUCH_EVENT_TYPE, None
    try:
        told = event.event_information
        transaction_uid, kept = text(told, "TransactionUID"), items_of(told, "ReferencedSOPSequence")
        failed = [
            (*item, int(ds.get("FailureReason", PROCESSING_FAILURE)))
            for item, ds in zip(items_of(told, "FailedSOPSequence"), told.get("FailedSOPSequence") or [], strict=True)
        ]
    except UNREADABLE:
        return INVALID_ARGUMENT, None
    try:
        known = commitment.settle(gateway.engine, peer, Report(transaction_uid, kept, failed))
    except SQLAlchemyError:
        return PROCESSING_FAILURE, None
    return (SUCCESS if known else INVALID_ARGUMENT), None
