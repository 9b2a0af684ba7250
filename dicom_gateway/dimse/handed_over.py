"""Associations that propose more than verification and storage: pynetdicom's, from their A-ASSOCIATE-RQ on.

It has no port of its own: the listener has read the request, admitted the peer, and gives both away.
"""

import socket
from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import uuid4

from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_GET, C_MOVE, C_STORE
from pynetdicom.presentation import PresentationContext
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

from dicom_gateway.dimse.association import UNCOMPRESSED
from dicom_gateway.dimse.commitment import PUSH_MODEL, on_n_action, on_n_event_report
from dicom_gateway.dimse.get import Message, message_of
from dicom_gateway.dimse.query_scp import on_c_find
from dicom_gateway.dimse.retrieve_scp import serve_get, serve_move
from dicom_gateway.dimse.transport import adopt
from dicom_gateway.dimse.upper_layer.negotiation import STORAGE_CLASSES, STORAGE_LEVEL
from dicom_gateway.gateway import Gateway
from dicom_gateway.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicom_gateway.peers import Peer
from dicom_gateway.status import PROCESSING_FAILURE, SUCCESS

QUERY_RETRIEVE: Final = (
    PatientRootQueryRetrieveInformationModelFind,
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)
RELATIONAL: Final = 1
IDLE_SECONDS: Final = 300

Store = Callable[[Message, "Serving"], tuple[int, str]]


class Serving(Association):
    """An association of an admitted peer.  `ended` is called when it is over."""

    gateway: Gateway
    peer: Peer
    store: Store
    stored: int
    name_of_ours: str

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
            serve_get(self, msg, context, self.gateway, self.peer)
        else:
            serve_move(self, msg, context, self.gateway, self.peer)
        self._is_paused = False

    def _get_valid_context(
        self, ab_syntax: Any, tr_syntax: Any, role: str | None = None, *args: Any, **options: Any
    ) -> PresentationContext:
        """Find the context of an object that is sent as it is stored: its own syntax, private ones too.

        pynetdicom looks for one that it could convert to, which no private syntax survives.  Raises ValueError.
        """
        if not tr_syntax:
            return super()._get_valid_context(ab_syntax, tr_syntax, role, *args, **options)
        for context in self.accepted_contexts:
            if context.as_scu and (context.abstract_syntax, context.transfer_syntax) == (ab_syntax, [tr_syntax]):
                return context
        raise ValueError("no presentation context for this SOP class and transfer syntax")

    def _store(self, request: C_STORE, context: PresentationContext) -> None:
        status, comment = PROCESSING_FAILURE, "no data set"
        if request.DataSet is not None and context.transfer_syntax:
            status, comment = self.store(message_of(request, context.transfer_syntax[0]), self)
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

    server: "HandedOver"

    def _create_association(self) -> Association:
        assoc = super()._create_association()
        adopt(assoc, self.server.replayed)
        assoc.__class__ = Serving  # pynetdicom names the class itself; ours only adds behaviour
        serving: Any = assoc
        serving.gateway, serving.peer, serving.stored = self.server.gateway, self.server.peer, 0
        serving.store, serving.name_of_ours = self.server.store, uuid4().hex
        return assoc


class HandedOver(ThreadedAssociationServer):
    """pynetdicom's acceptor without a listening socket of its own."""

    gateway: Gateway
    store: Store
    replayed: bytes
    peer: Peer

    def server_bind(self) -> None:
        """Bind nothing."""

    def server_activate(self) -> None:
        """Listen to nothing."""

    def take_over(self, connected: socket.socket, address: tuple[str, int], replayed: bytes, peer: Peer) -> None:
        """Serve an admitted peer on threads of pynetdicom's; from one thread at a time."""
        self.replayed, self.peer = replayed, peer
        self.finish_request(connected, address)

    def stop(self) -> None:
        """End open associations."""
        for assoc in self.active_associations:
            if assoc.is_established:  # one that is being rejected or released ends by itself
                assoc.abort()


def extended(asked: Mapping[UID, bytes]) -> dict[UID, bytes]:
    """Answer extended negotiation: storage as ever, queries and retrievals relational.  PS3.4 B.3.1, C.5.1.1, C.5.2.1

    Combined date and time, fuzzy names, time zones, conversion of enhanced multi-frame images and the rest are turned
    down: an answer is as long as its question.
    """
    answers = {uid: STORAGE_LEVEL for uid in asked if uid in STORAGE_CLASSES}
    for uid in QUERY_RETRIEVE:
        if uid in asked:
            answers[uid] = (asked[uid][:1] == bytes((RELATIONAL,))).to_bytes() + bytes(max(0, len(asked[uid]) - 1))
    return answers


def offered(gateway: Gateway) -> tuple[str, ...]:
    """What only pynetdicom serves."""
    return (PUSH_MODEL, *(map(str, QUERY_RETRIEVE) if gateway.settings.answers_queries else ()))


def handed_over(
    gateway: Gateway, address: tuple[str, int], store: Store, ended: Callable[[evt.Event], None]
) -> HandedOver:
    """Make the acceptor; `address` is where the listener listens."""
    settings = gateway.settings
    ae = AE(ae_title=settings.ae_title)
    ae.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    ae.maximum_associations = settings.maximum_associations
    ae.maximum_pdu_size = settings.maximum_pdu_bytes
    ae.network_timeout = IDLE_SECONDS
    for uid in (Verification, *offered(gateway)):
        both = True if uid == PUSH_MODEL else None  # a destination reports to us in the role of the provider
        ae.add_supported_context(uid, list(UNCOMPRESSED), scu_role=both, scp_role=both)
    handlers: list[Any] = [(evt.EVT_C_ECHO, lambda _event: SUCCESS)]
    handlers += [(evt.EVT_SOP_EXTENDED, lambda event: extended(event.app_info))]
    handlers += [(evt.EVT_N_ACTION, on_n_action, [gateway])]
    handlers += [(evt.EVT_N_EVENT_REPORT, lambda event: on_n_event_report(event, gateway, event.assoc.peer.name))]
    handlers += [(event, ended) for event in (evt.EVT_RELEASED, evt.EVT_ABORTED, evt.EVT_CONN_CLOSE)]
    if settings.answers_queries:
        handlers.append((evt.EVT_C_FIND, on_c_find, [gateway]))
    server: Any = ae.make_server(address, server_class=HandedOver, evt_handlers=handlers, request_handler=_Handler)
    server.socket.close()
    server.gateway, server.store = gateway, store
    made: HandedOver = server
    return made
