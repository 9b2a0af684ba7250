"""The listener: who may associate, and who serves the association.

PS3.8 9.3.4 (rejection), PS3.4 Annexes A (verification), B (storage), C (query and retrieve).  Every storage SOP class
and every transfer syntax is accepted, unknown ones too: what a peer can send, we can keep.  What only verifies and
stores is served here, by `dimse.upper_layer`; an association that proposes to query or retrieve is given to pynetdicom.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any, Final
from uuid import uuid4

from pynetdicom import evt
from sqlalchemy import delete, insert
from sqlalchemy.exc import SQLAlchemyError

from dicom_gateway.audit.rejections import Rejections
from dicom_gateway.dimse.get import Message
from dicom_gateway.dimse.handed_over import HandedOver, Serving, handed_over, offered
from dicom_gateway.dimse.quota import Quota, has_too_many
from dicom_gateway.dimse.tls import acceptor_context, shown
from dicom_gateway.dimse.upper_layer import pdu
from dicom_gateway.dimse.upper_layer.association import LONGEST_PDU, Association
from dicom_gateway.dimse.upper_layer.command import Command
from dicom_gateway.dimse.upper_layer.connection import Closed, Connection
from dicom_gateway.dimse.upper_layer.door import Door
from dicom_gateway.dimse.upper_layer.negotiation import extended, is_ours, negotiate
from dicom_gateway.dimse.upper_layer.pdu import AssociateRequest, Malformed, read_request
from dicom_gateway.errors import IngestError
from dicom_gateway.gateway import Gateway
from dicom_gateway.index.models import association
from dicom_gateway.ingest import Source
from dicom_gateway.peers import Peer, by_calling
from dicom_gateway.reception import Reception
from dicom_gateway.settings import Settings
from dicom_gateway.status import SUCCESS
from konsil.database import reader

logger = logging.getLogger(__name__)

PERMANENT, TRANSIENT = 1, 2
BY_USER, BY_ACSE, BY_PRESENTATION = 1, 2, 3
APPLICATION_CONTEXT_UNKNOWN, CALLING_AE_UNKNOWN, CALLED_AE_UNKNOWN = 2, 3, 7
PROTOCOL_VERSION_UNKNOWN, TEMPORARY_CONGESTION, LOCAL_LIMIT_EXCEEDED = 2, 1, 2
TOO_OFTEN: Final = "too-often"
REASONS: Final = {"called-unknown": CALLED_AE_UNKNOWN}
REQUEST_SECONDS: Final = 30.0
LONGEST_REQUEST: Final = 1 << 20
UNASSOCIATED: Final = 64
KEEP_ASSOCIATIONS_SECONDS: Final = 7 * 86400
REPLAY_EVERY: Final = 50


class Rejected(Exception):
    """An association that is not accepted: result, source and reason of its A-ASSOCIATE-RJ.  PS3.8 9.3.4"""

    def __init__(self, result: int, source: int, reason: int) -> None:
        super().__init__(f"{result} {source} {reason}")
        self.pdu = pdu.reject(result, source, reason)


@dataclass
class Arriving:
    """One instance on its way from an association of ours."""

    listener: "Listener"
    reception: Reception
    peer: Peer

    def write(self, chunk: memoryview) -> None:
        """Take the next bytes."""
        self.reception.write(chunk)

    def drop(self) -> None:
        """The association has ended in the middle."""
        self.reception.drop()

    def keep(self) -> tuple[int, str]:
        """Keep one SOP Instance, byte for byte as sent.  PS3.4 B.2.2

        Success means that the data set and its journal record are durable; indexing comes later and cannot fail the
        peer.  Gives (PS3.4 Table B.2-1) 0000 stored, or already held; A700 out of resources; A900 SOP Class or
        Instance differs; C000 cannot understand; and a comment.
        """
        try:
            self.reception.accept()
        except IngestError as error:
            logger.warning("C-STORE refused: %s", error, extra={"peer": self.peer.name})
            return error.status, f"{error}: {error.remedy}" if error.remedy else str(error)
        self.listener.note_stored()
        return SUCCESS, ""


def _outcome(peer: Peer | None, called_is_ours: bool, certificate: frozenset[str] | None) -> str:
    """How an association request ends, as it is kept for diagnosis."""
    if not called_is_ours:
        return "called-unknown"
    if peer is None:
        return "calling-unknown"
    if peer.shows(certificate):
        return "accepted"
    return "without-tls" if certificate is None else "certificate-unknown"


def _source(peer: Peer, calling: str, address: str) -> Source:
    """What comes by one association, under a name of our own."""
    return Source(peer.name, calling, address, association=uuid4().hex)


def _tls(settings: Settings) -> SSLContext:
    """The listener's context.  Raises OSError."""
    files = (settings.tls_certificate_file, settings.tls_key_file, settings.tls_ca_file)
    certificate_file, key_file, ca_file = (file for file in files if file is not None)
    return acceptor_context(certificate_file, key_file, ca_file)


class Listener:
    """Our AE as SCP, with the thread that takes the journal into archive and index while peers send.

    `replay`: what that thread calls, by default `Ingest.replay` here.
    """

    def __init__(self, gateway: Gateway, replay: Callable[[], object] | None = None) -> None:
        self.gateway = gateway
        self._replay = replay or gateway.ingest.replay
        self._due = threading.Event()
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._stored = 0
        self._associations: dict[Association, str] = {}
        self._quota = Quota()
        self._rejections = Rejections(gateway.settings)
        self._door = Door(self._serve, gateway.settings.maximum_associations + UNASSOCIATED)
        self._handed_over: HandedOver | None = None
        self._offered = offered(gateway)
        self._port: int | None = None
        self._tls_port: int | None = None
        self._replaying = threading.Thread(target=self._replay_forever, daemon=True, name="dimse-replay")

    @property
    def port(self) -> int:
        """The port that the listener is bound to."""
        if self._port is None:
            raise RuntimeError("the listener has not been started")
        return self._port

    @property
    def tls_port(self) -> int:
        """The port that the listener with TLS is bound to."""
        if self._tls_port is None:
            raise RuntimeError("no listener with TLS has been started")
        return self._tls_port

    def start(self) -> None:
        """Bind and serve on threads of our own.  Raises OSError when the address is taken."""
        settings = self.gateway.settings
        self._prune()
        self.gateway.archive.sweep()
        address = (settings.dimse_host, settings.dimse_port)
        self._handed_over = handed_over(self.gateway, address, self._store_whole, self._on_end)
        if settings.dimse_plain:
            self._port = self._door.open(*address)
        if settings.dimse_tls_port is not None:
            self._tls_port = self._door.open(settings.dimse_host, settings.dimse_tls_port, _tls(settings))
        self._replaying.start()

    def stop(self) -> None:
        """Stop accepting, end open associations, take in what the journal still holds."""
        self._ended.set()
        self._due.set()
        with self._lock:
            for assoc in self._associations:
                assoc.ending = True
        if self._handed_over is not None:
            self._handed_over.stop()
        self._door.close()
        self._replaying.join(timeout=5)

    def _serve(self, connection: Connection, address: str) -> None:
        """Serve one connection: its request, then the association.  Raises Closed."""
        connection.wait_at_most(REQUEST_SECONDS, REQUEST_SECONDS)
        try:
            request, encoded = self._request(connection)
            peer = self._admit(request, address, shown(connection.socket))
            if is_ours(request, self._offered):
                self._associate(connection, request, _source(peer, request.calling, address), peer)
            else:
                self._hand_over(connection, encoded, peer)
        except Rejected as rejected:
            connection.send(rejected.pdu)
        except Malformed as error:
            connection.send(pdu.abort(pdu.BY_PROVIDER, error.reason))
        if not connection.given_up:
            connection.finish()

    def _request(self, connection: Connection) -> tuple[AssociateRequest, bytes]:
        """Read the A-ASSOCIATE-RQ that every association begins with.  PS3.8 9.3.2  Raises Malformed, Rejected."""
        header = connection.read(pdu.HEADER.size)
        kind, length = pdu.HEADER.unpack(header)
        if kind == pdu.ABORT:
            raise Closed("aborted before it began")
        if kind != pdu.ASSOCIATE_RQ:
            raise Malformed(pdu.UNEXPECTED_PDU if kind in range(1, 8) else pdu.UNRECOGNIZED_PDU)
        if length > LONGEST_REQUEST:
            raise Malformed(pdu.INVALID_PARAMETER)
        body = connection.read(length)
        request = read_request(body)
        if not request.version & 1:
            raise Rejected(PERMANENT, BY_ACSE, PROTOCOL_VERSION_UNKNOWN)
        if request.application_context != pdu.APPLICATION_CONTEXT_NAME:
            raise Rejected(PERMANENT, BY_USER, APPLICATION_CONTEXT_UNKNOWN)
        return request, header + body

    def _admit(self, request: AssociateRequest, address: str, certificate: frozenset[str] | None) -> Peer:
        """Find who calls; Rejected whoever is not known here: reason 7 (called) or 3 (calling), and for now who calls
        more often than the peer's settings let it: source 3, reason 1.  PS3.8 9.3.4

        A peer with TLS is known by its certificate besides; `certificate` is None on a connection without.
        """
        try:
            with reader(self.gateway.engine).connect() as connection:
                peer = by_calling(connection, request.calling, address)
            ours = {self.gateway.settings.ae_title, *([peer.our_ae_title] if peer else [])}
            outcome = _outcome(peer, request.called in ours, certificate)
            if peer is not None and outcome == "accepted" and self._quota.begins_too_often(peer):
                outcome = TOO_OFTEN
            self._note((request.calling, request.called, address), peer, outcome)
        except SQLAlchemyError:
            logger.exception("association refused: the index does not answer")
            peer, outcome = None, "calling-unknown"
        if outcome == TOO_OFTEN:
            raise Rejected(TRANSIENT, BY_PRESENTATION, TEMPORARY_CONGESTION)
        if peer is None or outcome != "accepted":
            raise Rejected(PERMANENT, BY_USER, REASONS.get(outcome, CALLING_AE_UNKNOWN))
        return peer

    def _note(self, titles: tuple[str, str, str], peer: Peer | None, outcome: str) -> None:
        row = {
            "calling_ae_title": titles[0],
            "called_ae_title": titles[1],
            "address": titles[2],
            "peer": peer.name if peer else "",
            "outcome": outcome,
            "started_at": time.time(),
        }
        with self.gateway.engine.begin() as connection:
            connection.execute(insert(association).values(row))
            if outcome != "accepted":
                self._rejections.note(connection, titles, outcome)

    def _check_room(self, peer: Peer) -> None:
        """Raises Rejected when as many associations are open as may be, all or this peer's.  Call it with the lock."""
        others: list[Any] = self._handed_over.active_associations if self._handed_over else []
        open_now = [*self._associations.values(), *(each.peer.name for each in others)]
        if len(open_now) >= self.gateway.settings.maximum_associations or has_too_many(peer, open_now):
            raise Rejected(TRANSIENT, BY_PRESENTATION, LOCAL_LIMIT_EXCEEDED)

    def _associate(self, connection: Connection, request: AssociateRequest, source: Source, peer: Peer) -> None:
        """Accept and serve an association that verifies and stores."""

        def begin(command: Command, transfer_syntax_uid: str) -> Arriving:
            uids = (command.sop_class_uid, command.sop_instance_uid, transfer_syntax_uid)
            return Arriving(self, Reception(self.gateway.ingest, uids, source), peer)

        contexts = negotiate(request)
        assoc = Association(connection, contexts, request.maximum_length, begin)
        with self._lock:
            self._check_room(peer)
            self._associations[assoc] = peer.name
        try:
            longest = self.gateway.settings.maximum_pdu_bytes or LONGEST_PDU
            connection.send(pdu.accept(request, contexts, extended(request), longest))
            assoc.serve()
        finally:
            with self._lock:
                self._associations.pop(assoc, None)
            self._due.set()

    def _hand_over(self, connection: Connection, encoded: bytes, peer: Peer) -> None:
        """Let pynetdicom serve an association, from its request on."""
        with self._lock:
            self._check_room(peer)
            if self._handed_over is not None:
                rest = connection.give_up()
                address = connection.socket.getpeername()
                self._handed_over.take_over(connection.socket, address, encoded + rest, peer)

    def _store_whole(self, message: Message, assoc: Serving) -> tuple[int, str]:
        """Keep one SOP Instance from an association of pynetdicom's, otherwise as `Arriving.keep`."""
        uids = (message.sop_class_uid, message.sop_instance_uid, message.transfer_syntax_uid)
        source = Source(
            assoc.peer.name, assoc.requestor.ae_title.strip(), assoc.requestor.address, association=assoc.name_of_ours
        )
        reception = Reception(self.gateway.ingest, uids, source)
        reception.write(message.data_set)
        assoc.stored += 1
        return Arriving(self, reception, assoc.peer).keep()

    def note_stored(self) -> None:
        """Something is in the journal; each few instances it is taken in."""
        self._stored += 1
        if self._stored % REPLAY_EVERY == 0:
            self._due.set()

    def _on_end(self, event: evt.Event) -> None:
        if getattr(event.assoc, "stored", 0):
            self._due.set()

    def _replay_forever(self) -> None:
        """Take the journal in when an association has ended, each few instances, and every few seconds besides."""
        while not self._ended.is_set():
            self._due.wait(timeout=5)
            self._due.clear()
            try:
                self._replay()
            except (OSError, SQLAlchemyError):
                logger.exception("the journal could not be taken in; it is kept and tried again")

    def _prune(self) -> None:
        old = association.c.started_at < time.time() - KEEP_ASSOCIATIONS_SECONDS
        with self.gateway.engine.begin() as connection:
            connection.execute(delete(association).where(old))
