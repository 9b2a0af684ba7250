"""The listener: who may associate, which contexts are accepted, which service answers.

PS3.8 9.3.4 (rejection), PS3.4 Annexes A (verification), B (storage), C (query and retrieve).  Every storage SOP class
and every transfer syntax is accepted, unknown ones too: what a peer can send, we can keep.
"""

import logging
import socketserver
import threading
import time
from typing import Any, Final

from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_GET, C_MOVE, C_STORE
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    PatientRootQueryRetrieveInformationModelFind,
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer
from sqlalchemy import delete, insert
from sqlalchemy.exc import SQLAlchemyError

from dicom_gateway.dimse.association import UNCOMPRESSED
from dicom_gateway.dimse.get import message_of
from dicom_gateway.dimse.query_scp import on_c_find
from dicom_gateway.dimse.retrieve_scp import serve_get, serve_move
from dicom_gateway.dimse.transport import adopt
from dicom_gateway.errors import IngestError
from dicom_gateway.gateway import Gateway
from dicom_gateway.index.models import association
from dicom_gateway.ingest import Incoming, Source
from dicom_gateway.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicom_gateway.peers import Peer, by_calling
from dicom_gateway.status import NOT_AUTHORIZED, PROCESSING_FAILURE, SUCCESS
from konsil.database import reader

logger = logging.getLogger(__name__)

QUERY_RETRIEVE: Final = (
    PatientRootQueryRetrieveInformationModelFind,
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)
REJECTED_PERMANENT, BY_SERVICE_USER = 1, 1
CALLING_AE_UNKNOWN, CALLED_AE_UNKNOWN = 3, 7
KEEP_ASSOCIATIONS_SECONDS: Final = 7 * 86400
IDLE_SECONDS: Final = 300
REPLAY_EVERY: Final = 50


class Serving(Association):
    """An association that a peer opened with us.  `peer` is None for whoever is not known: nothing is served."""

    listener: "Listener"
    peer: Peer | None
    stored: int

    def _serve_request(self, msg: Any, context_id: int) -> None:
        """Hand one request to its service; storage, C-GET and C-MOVE are ours, C-ECHO and C-FIND pynetdicom's."""
        context = self._accepted_cx.get(context_id)
        ours = isinstance(msg, C_STORE | C_GET | C_MOVE) and msg.is_valid_request
        if not ours or context is None:
            super()._serve_request(msg, context_id)
            return
        self._is_paused = True
        self.dimse.cancel_req = {}
        if isinstance(msg, C_STORE):
            self._store(msg, context)
        elif isinstance(msg, C_GET):
            serve_get(self, msg, context, self.listener.gateway)
        else:
            serve_move(self, msg, context, self.listener.gateway, self.peer)
        self._is_paused = False

    def _store(self, request: C_STORE, context: PresentationContext) -> None:
        status, comment = self.listener.on_c_store(self, request, context)
        answer: Any = C_STORE()
        answer.MessageID = request.MessageID
        answer.MessageIDBeingRespondedTo = request.MessageID
        answer.AffectedSOPClassUID = request.AffectedSOPClassUID
        answer.AffectedSOPInstanceUID = request.AffectedSOPInstanceUID
        answer.Status = status
        if comment:
            answer.ErrorComment = comment[:64]
        self.dimse.send_msg(answer, context.context_id or 1)


class _Handler(RequestHandler):
    """Makes our kind of association out of a connection."""

    def _create_association(self) -> Association:
        assoc = super()._create_association()
        adopt(assoc)
        assoc.__class__ = Serving  # pynetdicom names the class itself; ours only adds behaviour
        serving: Any = assoc
        serving.listener, serving.peer, serving.stored = self.server.listener, None, 0  # type: ignore[attr-defined]
        return assoc


class _Server(ThreadedAssociationServer):
    daemon_threads = True
    listener: "Listener"


class Listener:
    """Our AE as SCP, with the thread that takes the journal into archive and index while peers send."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self._due = threading.Event()
        self._ended = threading.Event()
        self._server: _Server | None = None
        self._threads: list[threading.Thread] = []

    @property
    def port(self) -> int:
        """The port that the listener is bound to."""
        if self._server is None:
            raise RuntimeError("the listener has not been started")
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Bind and serve on threads of our own.  Raises OSError when the address is taken."""
        settings = self.gateway.settings
        self._prune()
        address = (settings.dimse_host, settings.dimse_port)
        server: Any = self._entity().make_server(
            address,
            ae_title=settings.ae_title,
            server_class=_Server,
            evt_handlers=self._handlers(),
            request_handler=_Handler,
        )
        self._server = server
        server.listener = self
        for target in (server.serve_forever, self._replay_forever):
            thread = threading.Thread(target=target, daemon=True, name=f"dimse-{target.__name__}")
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Stop accepting, end open associations, take in what the journal still holds."""
        self._ended.set()
        self._due.set()
        if self._server is not None:
            for assoc in self._server.active_associations:
                if assoc.is_established:  # one that is being rejected or released ends by itself
                    assoc.abort()
            socketserver.TCPServer.shutdown(self._server)
            self._server.server_close()
        for thread in self._threads:
            thread.join(timeout=5)

    def _entity(self) -> AE:
        settings = self.gateway.settings
        ae = AE(ae_title=settings.ae_title)
        ae.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
        ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        ae.maximum_associations = settings.maximum_associations
        ae.maximum_pdu_size = settings.maximum_pdu_bytes
        ae.network_timeout = IDLE_SECONDS
        services = (Verification, *(QUERY_RETRIEVE if settings.answers_queries else ()))
        ae.supported_contexts = [build_context(service, list(UNCOMPRESSED)) for service in services]
        return ae

    def _handlers(self) -> list[Any]:
        handlers: list[Any] = [
            (evt.EVT_REQUESTED, self._on_requested),
            (evt.EVT_C_ECHO, self._on_c_echo),
            (evt.EVT_RELEASED, self._on_end),
            (evt.EVT_ABORTED, self._on_end),
            (evt.EVT_CONN_CLOSE, self._on_end),
        ]
        if self.gateway.settings.answers_queries:
            handlers.append((evt.EVT_C_FIND, on_c_find, [self.gateway]))
        return handlers

    def _on_requested(self, event: evt.Event) -> None:
        """Reject whoever is not known here: PS3.8 9.3.4, result 1, source 1, reason 7 (called) or 3 (calling)."""
        assoc: Any = event.assoc
        primitive = assoc.requestor.primitive
        calling, called = primitive.calling_ae_title.strip(), primitive.called_ae_title.strip()
        address = assoc.requestor.address
        try:
            with reader(self.gateway.engine).connect() as connection:
                peer = by_calling(connection, calling, address)
            ours = {self.gateway.settings.ae_title, *([peer.our_ae_title] if peer else [])}
            reason = CALLED_AE_UNKNOWN if called not in ours else CALLING_AE_UNKNOWN if peer is None else 0
            self._note(assoc, (calling, called, address), peer, reason)
        except SQLAlchemyError:
            logger.exception("association refused: the index does not answer")
            peer, reason = None, CALLING_AE_UNKNOWN
        if reason:
            assoc.acse.send_reject(REJECTED_PERMANENT, BY_SERVICE_USER, reason)
            assoc.kill()
        else:
            assoc.peer = peer

    def _note(self, assoc: Association, titles: tuple[str, str, str], peer: Peer | None, reason: int) -> None:
        outcome = {0: "accepted", CALLING_AE_UNKNOWN: "calling-unknown", CALLED_AE_UNKNOWN: "called-unknown"}[reason]
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

    def _on_c_echo(self, event: evt.Event) -> int:
        return SUCCESS if event.assoc.peer is not None else NOT_AUTHORIZED  # type: ignore[attr-defined]

    def on_c_store(self, assoc: Serving, request: C_STORE, context: PresentationContext) -> tuple[int, str]:
        """Keep one SOP Instance, byte for byte as sent.  PS3.4 B.2.2

        Success means that the data set and its journal record are durable; indexing comes later and cannot fail the
        peer.  Gives (PS3.4 Table B.2-1) 0000 stored, or already held; A700 out of resources; A900 SOP Class or
        Instance differs; C000 cannot understand; 0124 not authorized; and a comment.
        """
        if assoc.peer is None:
            return NOT_AUTHORIZED, "unknown peer"
        if request.DataSet is None or not context.transfer_syntax:
            return PROCESSING_FAILURE, "no data set"
        message = message_of(request, context.transfer_syntax[0])
        uids = (message.sop_class_uid, message.sop_instance_uid, message.transfer_syntax_uid)
        source = Source(assoc.peer.name, assoc.requestor.ae_title.strip(), assoc.requestor.address)
        try:
            self.gateway.ingest.accept(Incoming.from_message(uids, message.data_set, source))
        except IngestError as error:
            logger.warning("C-STORE refused: %s", error, extra={"peer": assoc.peer.name})
            return error.status, str(error)
        assoc.stored += 1
        if assoc.stored % REPLAY_EVERY == 0:
            self._due.set()
        return SUCCESS, ""

    def _on_end(self, event: evt.Event) -> None:
        if getattr(event.assoc, "stored", 0):
            self._due.set()

    def _replay_forever(self) -> None:
        """Take the journal in when an association has ended, each few instances, and every few seconds besides."""
        while not self._ended.is_set():
            self._due.wait(timeout=5)
            self._due.clear()
            try:
                self.gateway.ingest.replay()
            except (OSError, SQLAlchemyError):
                logger.exception("the journal could not be taken in; it is kept and tried again")

    def _prune(self) -> None:
        old = association.c.started_at < time.time() - KEEP_ASSOCIATIONS_SECONDS
        with self.gateway.engine.begin() as connection:
            connection.execute(delete(association).where(old))
