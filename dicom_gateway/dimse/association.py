"""Associations that we open: contexts, and a named cause for every way they fail.  PS3.8 chapter 7"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any

from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import _config, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import build_context

from dicom_gateway.dimse.checkpoint import Checkpoint
from dicom_gateway.dimse.tls import requestor_context, shaken, shown
from dicom_gateway.dimse.transport import Entity
from dicom_gateway.errors import PeerError
from dicom_gateway.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicom_gateway.peers import Peer
from dicom_gateway.status import Cause

# Identifiers hold patient data: they are not logged.  Stored objects are sent as they lie in the archive.
_config.LOG_HANDLER_LEVEL = "none"
_config.LOG_REQUEST_IDENTIFIERS = False
_config.LOG_RESPONSE_IDENTIFIERS = False
_config.UNRESTRICTED_STORAGE_SERVICE = True
_config.STORE_SEND_CHUNKED_DATASET = True
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)

UNCOMPRESSED = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
CONNECT_SECONDS = 10.0
NEGOTIATE_SECONDS = 30.0
MAXIMUM_CONTEXTS = 128

Handlers = Sequence[tuple[Any, Callable[..., Any]]]


@dataclass(frozen=True, slots=True)
class Proposal:
    """What an association is opened for: (abstract syntax, transfer syntaxes) pairs, at most 128.

    `as_scp`: the SOP classes for which we play the SCP (C-GET).  `silence_seconds`: how long to wait for a message.
    """

    contexts: Sequence[tuple[str, Sequence[str]]]
    as_scp: Sequence[str] = ()
    handlers: Handlers = ()
    silence_seconds: float | None = 120
    maximum_pdu_bytes: int = 262_144


@dataclass
class _Trace:
    """How far an association got."""

    connected: bool = False

    def on_open(self, event: evt.Event) -> None:
        """Note that TCP connected."""
        self.connected = True


@contextmanager
def associate(peer: Peer, proposal: Proposal) -> Iterator[Association]:
    """Open an association with a peer, release it at the end and abort it on any error.  PS3.8 7.1

    Raises PeerError: peer-down, tls-failed, association-rejected, contexts-refused, association-aborted.
    """
    trace = _Trace()
    ae = Entity(ae_title=peer.our_ae_title)
    ae.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    ae.connection_timeout = CONNECT_SECONDS
    ae.acse_timeout = NEGOTIATE_SECONDS
    ae.dimse_timeout = proposal.silence_seconds
    ae.network_timeout = None
    context = tls_context(peer)
    assoc = ae.associate(
        peer.host,
        peer.port,
        contexts=[build_context(abstract, list(syntaxes)) for abstract, syntaxes in proposal.contexts],
        ae_title=peer.ae_title,
        max_pdu=proposal.maximum_pdu_bytes,
        ext_neg=[_role(uid) for uid in proposal.as_scp],
        evt_handlers=[(evt.EVT_CONN_OPEN, trace.on_open), *proposal.handlers],
        tls_args=(context, peer.tls.server_name or peer.host) if context and peer.tls else None,
    )
    if not assoc.is_established:
        raise _failure(assoc, trace, context)
    _check_certificate(peer, assoc)
    assoc._reactor_checkpoint = Checkpoint()
    try:
        yield assoc
    except BaseException:
        if assoc.is_established:
            assoc.abort()
        raise
    if assoc.is_established:
        assoc.release()


def _role(sop_class_uid: str) -> SCP_SCU_RoleSelectionNegotiation:
    role = SCP_SCU_RoleSelectionNegotiation()
    role.sop_class_uid = UID(sop_class_uid)
    role.scu_role = False
    role.scp_role = True
    return role


def tls_context(peer: Peer) -> SSLContext | None:
    """Make the TLS context for a peer, None when it is called without.  Raises PeerError."""
    try:
        return requestor_context(peer.tls) if peer.tls else None
    except OSError as error:  # no such file, or not a certificate
        raise PeerError(Cause.TLS_FAILED, type(error).__name__) from error


def _check_certificate(peer: Peer, assoc: Association) -> None:
    """See that the peer shows one of its own certificates.  Raises PeerError."""
    transport = assoc.dul.socket
    if not peer.shows(shown(transport.socket if transport is not None else None)):
        assoc.abort()
        raise PeerError(Cause.TLS_FAILED, "the peer shows another certificate")


def _failure(assoc: Association, trace: _Trace, context: SSLContext | None) -> PeerError:
    if context is not None and not shaken(context):
        return PeerError(Cause.TLS_FAILED)
    if not trace.connected:
        return PeerError(Cause.PEER_DOWN)
    if context is not None and not assoc.is_rejected and not assoc.rejected_contexts:
        return PeerError(Cause.TLS_FAILED)  # in TLS 1.3 our certificate is refused after the handshake
    if assoc.is_rejected:
        primitive = assoc.acceptor.primitive
        reason = getattr(primitive, "reason_str", "") if primitive is not None else ""
        return PeerError(Cause.ASSOCIATION_REJECTED, str(reason))
    if assoc.rejected_contexts and not assoc.accepted_contexts:
        return PeerError(Cause.CONTEXTS_REFUSED)
    return PeerError(Cause.ASSOCIATION_ABORTED)


def accepts(assoc: Association, abstract_syntax: str) -> bool:
    """Whether the peer accepted a context for this abstract syntax."""
    return any(context.abstract_syntax == abstract_syntax for context in assoc.accepted_contexts)
