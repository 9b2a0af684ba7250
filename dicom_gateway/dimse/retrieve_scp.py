"""C-GET and C-MOVE as SCP.  PS3.4 C.4.2, C.4.3

Our own in place of pynetdicom's, which decodes and encodes every data set: objects go out byte for byte.
"""

import logging
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Final

from pydicom.dataset import Dataset
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_GET, C_MOVE
from pynetdicom.dsutils import decode, encode
from pynetdicom.presentation import PresentationContext
from sqlalchemy.exc import SQLAlchemyError

from dicom_gateway.attributes import MALFORMED
from dicom_gateway.audit.disclosure import application, calling, disclosure
from dicom_gateway.dimse.query_scp import INDEX_DOWN, UNDECODABLE, keys_of, level_of
from dicom_gateway.dimse.store import Originator, Sent, send_one, sending
from dicom_gateway.errors import PeerError, QueryRefused
from dicom_gateway.gateway import Gateway
from dicom_gateway.index.query import Located, Place, locate
from dicom_gateway.peers import Peer, all_peers
from dicom_gateway.status import (
    CANCEL,
    IDENTIFIER_MISMATCH,
    MOVE_DESTINATION_UNKNOWN,
    OUT_OF_RESOURCES_MATCHES,
    OUT_OF_RESOURCES_SUBOPERATIONS,
    PENDING,
    SUCCESS,
    WARNING_SUBOPERATIONS,
)
from konsil.database import reader

logger = logging.getLogger(__name__)

NOT_A_DESTINATION: Final = "have us register this destination as one of your host"
UNIQUE_KEYS = {
    "PATIENT": ("PatientID", "patient_id"),
    "STUDY": ("StudyInstanceUID", "study_instance_uid"),
    "SERIES": ("SeriesInstanceUID", "series_instance_uid"),
    "IMAGE": ("SOPInstanceUID", "sop_instance_uid"),
}


@dataclass
class _Counters:
    remaining: int
    failed: int = 0
    warning: int = 0
    completed: int = 0
    failed_uids: list[str] = field(default_factory=list)
    reason: str = ""

    def add(self, sent: Sent) -> None:
        self.remaining -= 1
        if not sent.stored:
            self.failed += 1
            self.failed_uids.append(sent.sop_instance_uid)
            self.reason = self.reason or _reason(sent)
        elif sent.status:
            self.warning += 1
        else:
            self.completed += 1

    @property
    def status(self) -> int:
        if not self.failed and not self.warning:
            return SUCCESS
        return WARNING_SUBOPERATIONS if self.completed or self.warning else OUT_OF_RESOURCES_SUBOPERATIONS


def _reason(sent: Sent) -> str:
    """Say to who asked what to do about an instance that did not go."""
    if sent.refused:
        return "its SOP class and stored syntax have to be accepted"
    if sent.lost:
        return "our archive lacks it, tell our administrators"
    return "see that the destination runs" if sent.status is None else f"the destination says {sent.status:04X}"


class _Answers:
    """Sends the responses of one C-GET or C-MOVE."""

    def __init__(self, assoc: Association, request: C_GET | C_MOVE, context: PresentationContext) -> None:
        self.assoc = assoc
        self.request = request
        self.ended = False
        self._context = context

    def identifier(self) -> Dataset:
        syntax = self._context.transfer_syntax[0]
        stream = self.request.Identifier or BytesIO()
        try:
            return decode(stream, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
        except MALFORMED as error:
            raise QueryRefused(UNDECODABLE) from error

    def cancelled(self) -> bool:
        return self.request.MessageID in self.assoc.dimse.cancel_req

    def send(self, status: int, counters: _Counters | None = None, comment: str = "") -> None:
        self.ended = status != PENDING
        answer: Any = type(self.request)()
        answer.MessageID = self.request.MessageID
        answer.MessageIDBeingRespondedTo = self.request.MessageID
        answer.AffectedSOPClassUID = self.request.AffectedSOPClassUID
        answer.Status = status
        if comment:
            answer.ErrorComment = comment[:64]
        if counters is not None:
            self._count(answer, counters)
        self.assoc.dimse.send_msg(answer, self._context.context_id or 1)

    def _count(self, answer: Any, counters: _Counters) -> None:
        answer.NumberOfFailedSuboperations = counters.failed
        answer.NumberOfWarningSuboperations = counters.warning
        answer.NumberOfCompletedSuboperations = counters.completed
        if answer.Status in {PENDING, CANCEL}:
            answer.NumberOfRemainingSuboperations = counters.remaining
        if answer.Status not in {PENDING, SUCCESS}:
            ds = Dataset()
            ds.FailedSOPInstanceUIDList = counters.failed_uids
            syntax = self._context.transfer_syntax[0]
            encoded = encode(ds, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
            answer.Identifier = BytesIO(encoded or b"")


@contextmanager
def _index_needed(answers: _Answers) -> Iterator[None]:
    """Refuse with A701 when the index cannot say what there is, or the disclosure cannot be put down."""
    try:
        yield
    except SQLAlchemyError:
        logger.exception("C-GET or C-MOVE: the index does not answer")
        if not answers.ended:
            answers.send(OUT_OF_RESOURCES_MATCHES, comment=INDEX_DOWN)


def serve_get(assoc: Association, request: C_GET, context: PresentationContext, gateway: Gateway, caller: Peer) -> None:
    """Send what is asked for on the same association.  PS3.4 C.4.3.3

    Final status 0000 all sent, B000 some failed, A702 all failed, A900 identifier refused, FE00 cancelled, A701 when
    the index does not answer.
    """
    answers = _Answers(assoc, request, context)
    with _index_needed(answers):
        _get(answers, gateway, caller)


def _get(answers: _Answers, gateway: Gateway, caller: Peer) -> None:
    try:
        found = _wanted(answers, gateway)
    except QueryRefused as error:
        answers.send(IDENTIFIER_MISMATCH, comment=str(error))
        return
    sent = (
        send_one(answers.assoc, gateway.archive, item, number % 65535 + 1)
        for number, item in enumerate(found, int(answers.request.MessageID or 0))
    )
    with disclosure(gateway, found, (calling(answers.assoc, caller), None)) as told:
        told.add(_run(answers, sent, len(found)))


def serve_move(
    assoc: Association, request: C_MOVE, context: PresentationContext, gateway: Gateway, caller: Peer | None
) -> None:
    """Send what is asked for to one of the caller's own AE titles.  PS3.4 C.4.2.3

    Final status as for C-GET, and A801 when the destination is not the caller's own.
    """
    answers = _Answers(assoc, request, context)
    with _index_needed(answers):
        destination = _destination(gateway, caller, str(request.MoveDestination or "").strip())
        _move(answers, gateway, caller, destination)


def _move(answers: _Answers, gateway: Gateway, caller: Peer | None, destination: Peer | None) -> None:
    if destination is None:
        answers.send(MOVE_DESTINATION_UNKNOWN, comment=NOT_A_DESTINATION)
        return
    try:
        found = _wanted(answers, gateway)
    except QueryRefused as error:
        answers.send(IDENTIFIER_MISMATCH, comment=str(error))
        return
    originator = Originator(caller.ae_title if caller else "", int(answers.request.MessageID or 0))
    ends = calling(answers.assoc, caller), application(destination)
    with (
        disclosure(gateway, found, ends) as told,
        closing(_sending(gateway, destination, found, originator)) as sent,
    ):
        told.add(_run(answers, sent, len(found)))


def _sending(gateway: Gateway, destination: Peer, found: list[Located], originator: Originator) -> Generator[Sent]:
    """Send one by one; what an association that breaks off leaves over has failed."""
    left = {item.sop_instance_uid for item in found}
    try:
        for sent in sending(gateway.archive, destination, found, originator):
            left.discard(sent.sop_instance_uid)
            yield sent
    except PeerError:
        for uid in sorted(left):
            yield Sent(uid, None)


def _run(answers: _Answers, results: Iterable[Sent], total: int) -> _Counters:
    counters = _Counters(total)
    for sent in results:
        counters.add(sent)
        if not answers.assoc.is_established:
            return counters
        if answers.cancelled():
            answers.send(CANCEL, counters)
            return counters
        if counters.remaining:
            answers.send(PENDING, counters)
    comment = f"{counters.failed} failed: {counters.reason}" if counters.failed else ""
    answers.send(counters.status, counters, comment)
    return counters


def _destination(gateway: Gateway, caller: Peer | None, ae_title: str) -> Peer | None:
    """One of the caller's own AE titles: the same record, or another of the same host."""
    if caller is None:
        return None
    with reader(gateway.engine).connect() as connection:
        known = [peer for peer in all_peers(connection) if peer.ae_title == ae_title]
    return next((peer for peer in known if peer.host == caller.host or ae_title in caller.ae_titles), None)


def _wanted(answers: _Answers, gateway: Gateway) -> list[Located]:
    """Find the instances that an identifier names by its unique keys.  PS3.4 C.4.2.2.1  Raises QueryRefused."""
    identifier = answers.identifier()
    level = level_of(identifier, str(answers.request.AffectedSOPClassUID))
    keys = keys_of(identifier)
    if not keys.get(UNIQUE_KEYS[level][0]):
        raise QueryRefused(f"{UNIQUE_KEYS[level][0]} is missing")
    place = {field: keys[keyword] for keyword, field in UNIQUE_KEYS.values() if keys.get(keyword)}
    with reader(gateway.engine).connect() as connection:
        return locate(connection, Place(**place))
