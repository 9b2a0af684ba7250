"""One TCP or TLS connection, read by blocking calls into one large buffer.  PS3.8 9.1

Acknowledged at once (TCP_QUICKACK, which Linux wants again after each read) and sent at once: a sender with Nagle's
algorithm on would wait 40 ms for each message otherwise.
"""

import contextlib
import math
import socket
import struct
import time
from ssl import SSLSocket
from typing import Final

from dicom_gateway.dimse.transport import QUICKACK

READ_BYTES: Final = 256 << 10
SEND_SECONDS: Final = 30.0
FAREWELL_SECONDS: Final = 2.0
TIMEVAL: Final = struct.Struct("@ll")


class Closed(Exception):
    """The peer has gone, or was silent or slow for too long."""


class Connection:
    """Reads exactly what is asked for; raises Closed when the peer has gone, is silent, or misses the deadline."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self._buffer = memoryview(bytearray(READ_BYTES))
        self._start = self._end = 0
        self._deadline = math.inf
        self._patience = self._waits = 0.0
        self.given_up = False
        self._quick = not isinstance(connected, SSLSocket) and QUICKACK is not None
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def wait_at_most(self, silence_seconds: float, deadline_seconds: float = math.inf) -> None:
        """Say how long one read may wait, and when everything asked for until then must have come."""
        self._deadline = time.monotonic() + deadline_seconds
        self._patience = min(silence_seconds, deadline_seconds)

    def _time_out(self, seconds: float) -> None:
        """By the kernel where that works: a Python timeout costs a system call more for each read."""
        self._waits = seconds
        if isinstance(self.socket, SSLSocket):
            self.socket.settimeout(seconds)
            return
        for option, value in ((socket.SO_RCVTIMEO, seconds), (socket.SO_SNDTIMEO, SEND_SECONDS)):
            whole = int(value)
            self.socket.setsockopt(socket.SOL_SOCKET, option, TIMEVAL.pack(whole, int((value - whole) * 1e6)))

    def some(self, count: int) -> memoryview:
        """The next bytes, at least one and at most `count`; valid until the next call."""
        if self._start == self._end:
            self._fill()
        start = self._start
        self._start = min(self._end, start + count)
        return self._buffer[start : self._start]

    def read(self, count: int) -> bytes:
        """The next `count` bytes; for what is small."""
        if not count:
            return b""
        taken = bytes(self.some(count))
        while len(taken) < count:
            taken += self.some(count - len(taken))
        return taken

    def _fill(self) -> None:
        try:
            if self._waits != self._patience:  # much of what is asked for has come already
                self._time_out(self._patience)
            count = self.socket.recv_into(self._buffer)
            if self._quick and QUICKACK is not None:
                self.socket.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)
        except OSError as error:  # reset, timed out, or not TLS
            raise Closed(type(error).__name__) from error
        if not count:
            raise Closed("end of stream")
        if time.monotonic() > self._deadline:
            raise Closed("too slow")
        self._start, self._end = 0, count

    def send(self, data: bytes) -> None:
        """Send all of it.  Raises Closed."""
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Closed(type(error).__name__) from error

    def give_up(self) -> bytes:
        """Hand the socket to somebody else, without timeouts; what was read and not asked for goes with it."""
        rest = bytes(self._buffer[self._start : self._end])
        self.given_up = True
        if isinstance(self.socket, SSLSocket):
            self.socket.settimeout(None)
        else:
            for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                self.socket.setsockopt(socket.SOL_SOCKET, option, TIMEVAL.pack(0, 0))
        return rest

    def finish(self) -> None:
        """Let the peer read what was sent last before the connection ends: what it still sends is passed over."""
        self.wait_at_most(FAREWELL_SECONDS, FAREWELL_SECONDS)
        with contextlib.suppress(OSError, Closed):
            socket.socket.shutdown(self.socket, socket.SHUT_WR)
            while True:
                self.some(READ_BYTES)

    def end_reading(self) -> None:
        """Wake whoever reads, from another thread: the next read past what has come raises Closed."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.socket, socket.SHUT_RD)

    def close(self) -> None:
        """End the connection."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
