"""TCP under an association: nothing waits for an acknowledgement.  PS3.8 chapter 9

Measured: a sender with Nagle's algorithm on (Debian's DCMTK) and a receiver with delayed acknowledgements make 11
instances a second out of 300.  So we send at once (TCP_NODELAY) and acknowledge at once (TCP_QUICKACK, which Linux
forgets and wants again after each read).
"""

import contextlib
import select
import socket
from ssl import SSLContext, SSLSocket
from typing import Any

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.transport import AddressInformation, AssociationSocket

QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)


class Transport(AssociationSocket):
    """A connection of an association, ours or a peer's.  `replayed`: what was read before it was handed over."""

    replayed: bytes = b""

    def _create_socket(self, address: AddressInformation) -> socket.socket:
        created = super()._create_socket(address)
        created.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return created

    @property
    def ready(self) -> bool:
        """Whether there is something to read; not by `select`, which ends at file descriptor 1,023."""
        if self.socket is None or not self._is_connected:
            return False
        if self.replayed:
            return True
        try:
            poll = select.poll()
            poll.register(self.socket, select.POLLIN | select.POLLHUP | select.POLLERR)
            found = bool(poll.poll(0))
        except (OSError, ValueError):
            self.event_queue.put("Evt17")
            return False
        return found or (isinstance(self.socket, SSLSocket) and bool(self.socket.pending()))

    def recv(self, nr_bytes: int) -> bytearray:
        """Read so many bytes, fewer only when the peer has gone; in pieces as large as they come."""
        received = bytearray(nr_bytes)
        position = min(nr_bytes, len(self.replayed))
        received[:position], self.replayed = self.replayed[:position], self.replayed[position:]
        view = memoryview(received)
        connection = self.socket
        while connection is not None and position < nr_bytes:
            count = connection.recv_into(view[position:])
            if not count:
                break
            position += count
            if QUICKACK is not None:
                connection.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)
        view.release()
        del received[position:]
        return received

    def _shutdown_socket(self) -> None:
        if self.socket is not None:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)
            self.socket.close()


class Entity(AE):
    """An application entity whose own connections are ours."""

    def _create_socket(
        self, assoc: Association, address: AddressInformation, tls_args: tuple[SSLContext, str] | None
    ) -> AssociationSocket:
        transport = Transport(assoc, address=address)
        transport.tls_args = tls_args
        return transport


def adopt(assoc: Association, replayed: bytes) -> None:
    """Make a peer's connection, which pynetdicom has wrapped already, one of ours; it begins with `replayed`."""
    transport: Any = assoc.dul.socket
    if transport is not None and transport.socket is not None:
        transport.__class__ = Transport
        transport.replayed = replayed
        transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
