"""An association of ours for C-STORE alone: each object goes out in as few writes as its size allows.  PS3.8 9.2

pynetdicom takes some milliseconds of processor for each instance that it sends; this takes a few hundredths.
"""

import contextlib
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from dicom_gateway.dimse.association import CONNECT_SECONDS, NEGOTIATE_SECONDS, tls_context
from dicom_gateway.dimse.tls import shown
from dicom_gateway.dimse.upper_layer import pdu
from dicom_gateway.dimse.upper_layer.association import COMMAND_BYTES, IS_COMMAND, IS_LAST, LONGEST_PDU, PDV
from dicom_gateway.dimse.upper_layer.command import (
    C_STORE_RQ,
    RESPONSE,
    InvalidCommand,
    decode_status,
    store_request,
)
from dicom_gateway.dimse.upper_layer.connection import Closed, Connection
from dicom_gateway.dimse.upper_layer.pdu import Malformed, Proposed
from dicom_gateway.errors import PeerError
from dicom_gateway.part10 import read_meta
from dicom_gateway.peers import Peer
from dicom_gateway.status import Cause

SILENCE_SECONDS: Final = 300.0
RELEASE_SECONDS: Final = 10.0
PIECE_BYTES: Final = 256 << 10
OUR_LONGEST: Final = 16_384
REASONS: Final = {
    (1, 1): "No reason given",
    (1, 2): "Application context name not supported",
    (1, 3): "Calling AE title not recognised",
    (1, 7): "Called AE title not recognised",
    (2, 1): "No reason given",
    (2, 2): "Protocol version not supported",
    (3, 1): "Temporary congestion",
    (3, 2): "Local limit exceeded",
}
"""Source and reason of a rejection in words.  PS3.8 9.3.4"""
Kind = tuple[str, str]
"""A SOP class and a transfer syntax."""


@dataclass
class Sender:
    """An established association.  `contexts`: the ids of what was accepted; `longest`: the acceptor's longest PDU."""

    connection: Connection
    contexts: dict[Kind, int]
    longest: int
    closed: bool = False

    def syntaxes(self, sop_class_uid: str) -> set[str]:
        """The transfer syntaxes that the acceptor takes of a class."""
        return {syntax for uid, syntax in self.contexts if uid == sop_class_uid}

    def store(self, path: Path, message_id: int, originator: tuple[str, int] | None) -> int | None:
        """Send the data set of a file as it lies there; the status that the acceptor answers, None without context.

        Raises Closed when the association is over, OSError when the file cannot be read.  PS3.7 9.1.1
        """
        if self.closed:
            raise Closed("the association is over")
        with path.open("rb") as file:
            beginning = file.read(PIECE_BYTES)
            meta = read_meta(beginning)
            context_id = self.contexts.get((meta.sop_class_uid, meta.transfer_syntax_uid))
            if context_id is None:
                return None
            request = store_request(message_id, (meta.sop_class_uid, meta.sop_instance_uid), originator)
            command = pdu.data(context_id, request, self.longest)
            try:
                self._send(command, beginning[meta.offset :], file, context_id)
                return self._status(message_id)
            except Closed:
                self.closed = True
                raise
            except OSError:  # a file that cannot be read to its end: what was begun cannot be taken back
                self.abort()
                raise
            except (Malformed, InvalidCommand) as error:
                self.abort()
                raise Closed("what came is no answer") from error

    def _send(self, command: bytes, piece: bytes, file: BinaryIO, context_id: int) -> None:
        """The command and the first piece together, then the rest, piece by piece."""
        while True:
            following = file.read(PIECE_BYTES) if len(piece) else b""
            self.connection.send(command + b"".join(self._pdus(piece, context_id, last=not following)))
            if not following:
                return
            command, piece = b"", following

    def _pdus(self, piece: bytes, context_id: int, *, last: bool) -> Iterator[bytes]:
        """A piece of a data set as P-DATA-TF, none longer than the acceptor takes.  PS3.8 9.3.5, Annex E"""
        room = max(min(self.longest or PIECE_BYTES, PIECE_BYTES) - PDV.size, 1)
        for start in range(0, max(len(piece), 1), room):
            part = piece[start : start + room]
            control = IS_LAST if last and start + room >= len(piece) else 0
            yield pdu.HEADER.pack(pdu.P_DATA, len(part) + 6) + PDV.pack(len(part) + 2, context_id, control)
            yield part

    def _status(self, message_id: int) -> int:
        """Wait for the answer.  Raises Closed, Malformed, InvalidCommand."""
        self.connection.wait_at_most(SILENCE_SECONDS)
        encoded = b""
        while True:
            for control, value in self._values():
                if not control & IS_COMMAND or len(encoded) + len(value) > COMMAND_BYTES:
                    raise Malformed(pdu.INVALID_PARAMETER)
                encoded += value
                if control & IS_LAST:
                    command, answered, status = decode_status(encoded)
                    if command != C_STORE_RQ | RESPONSE or answered != message_id:
                        raise InvalidCommand
                    return status

    def _values(self) -> list[tuple[int, bytes]]:
        """The presentation data values of the next P-DATA-TF, each with its control byte.  PS3.8 9.3.5.1"""
        kind, length = pdu.HEADER.unpack(self.connection.read(pdu.HEADER.size))
        if kind in {pdu.ABORT, pdu.RELEASE_RQ}:
            raise Closed("the acceptor ended the association")
        if kind != pdu.P_DATA or length > COMMAND_BYTES:
            raise Malformed(pdu.UNEXPECTED_PDU)
        body, values = self.connection.read(length), []
        while body:
            if len(body) < PDV.size:
                raise Malformed(pdu.INVALID_PARAMETER)
            size, _, control = PDV.unpack_from(body)
            if size < 2 or size + 4 > len(body):
                raise Malformed(pdu.INVALID_PARAMETER)
            values.append((control, body[PDV.size : size + 4]))
            body = body[size + 4 :]
        return values

    def release(self) -> None:
        """End in order; an acceptor that does not answer is not waited for long.  PS3.8 7.2"""
        if not self.closed:
            with contextlib.suppress(Closed):
                self.connection.wait_at_most(RELEASE_SECONDS, RELEASE_SECONDS)
                self.connection.send(pdu.RELEASE)
                self.connection.read(pdu.HEADER.size + 4)
        self._end()

    def abort(self) -> None:
        """End at once.  PS3.8 7.3"""
        if not self.closed:
            with contextlib.suppress(Closed):
                self.connection.send(pdu.abort(pdu.BY_USER, 0))
        self._end()

    def _end(self) -> None:
        self.closed = True
        self.connection.close()


@contextmanager
def sender(peer: Peer, kinds: Sequence[Kind]) -> Iterator[Sender]:
    """Open an association for these kinds (at most 128), release it at the end and abort it on any error.  PS3.8 7.1

    Raises PeerError: peer-down, tls-failed, association-rejected, contexts-refused, association-aborted.
    """
    proposed = [Proposed(2 * n + 1, uid, (syntax,)) for n, (uid, syntax) in enumerate(kinds)]
    established = _established(peer, _connected(peer), proposed)
    try:
        yield established
    except BaseException:
        established.abort()
        raise
    established.release()


def _connected(peer: Peer) -> socket.socket:
    """TCP, and TLS where the peer is called by it, with its own certificate shown.  Raises PeerError."""
    try:
        plain = socket.create_connection((peer.host, peer.port), CONNECT_SECONDS)
    except OSError as error:
        raise PeerError(Cause.PEER_DOWN) from error
    try:
        context = tls_context(peer)
        if context is None or peer.tls is None:
            plain.settimeout(None)
            return plain
        wrapped = context.wrap_socket(plain, server_hostname=peer.tls.server_name or peer.host)
    except (OSError, ValueError) as error:
        plain.close()
        raise PeerError(Cause.TLS_FAILED, type(error).__name__) from error
    except PeerError:
        plain.close()
        raise
    if not peer.shows(shown(wrapped)):
        wrapped.close()
        raise PeerError(Cause.TLS_FAILED, "the peer shows another certificate")
    return wrapped


def _established(peer: Peer, connected: socket.socket, proposed: list[Proposed]) -> Sender:
    """Negotiate.  Raises PeerError."""
    connection = Connection(connected)
    try:
        connection.wait_at_most(NEGOTIATE_SECONDS, NEGOTIATE_SECONDS)
        connection.send(pdu.associate(peer.ae_title, peer.our_ae_title, proposed, OUR_LONGEST))
        accepted, longest = _answer(connection)
    except (Closed, Malformed) as error:
        connection.close()
        by_tls = isinstance(connected, ssl.SSLSocket)  # in TLS 1.3 our certificate is refused after the handshake
        raise PeerError(Cause.TLS_FAILED if by_tls else Cause.ASSOCIATION_ABORTED) from error
    except PeerError:
        connection.close()
        raise
    contexts = {
        (each.abstract_syntax, each.transfer_syntaxes[0]): each.context_id
        for each in proposed
        if accepted.get(each.context_id) in each.transfer_syntaxes
    }
    found = Sender(connection, contexts, longest)
    if not contexts:
        found.abort()
        raise PeerError(Cause.CONTEXTS_REFUSED)
    return found


def _answer(connection: Connection) -> tuple[dict[int, str], int]:
    """What the acceptor says to the request.  Raises PeerError, Closed, Malformed."""
    kind, length = pdu.HEADER.unpack(connection.read(pdu.HEADER.size))
    if length > LONGEST_PDU:
        raise Malformed(pdu.INVALID_PARAMETER)
    body = connection.read(length)
    if kind == pdu.ASSOCIATE_AC:
        return pdu.read_accept(body)
    if kind == pdu.ASSOCIATE_RJ and length == 4:
        _, _, source, reason = body
        raise PeerError(Cause.ASSOCIATION_REJECTED, REASONS.get((source, reason), ""))
    raise Closed("neither accepted nor rejected")
