"""Listening sockets, and a thread for each connection: nobody waits for a peer that is slow.  PS3.8 9.1"""

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable
from ssl import SSLContext
from typing import Final

from dicom_gateway.dimse.upper_layer.connection import Closed, Connection

logger = logging.getLogger(__name__)

BACKLOG: Final = 128
HANDSHAKE_SECONDS: Final = 15.0
STOP_SECONDS: Final = 5.0
PAUSE_SECONDS: Final = 0.1

Serve = Callable[[Connection, str], None]


class Door:
    """Accepts connections and calls `serve(connection, address)` for each on a thread of its own.

    More than `limit` at once are closed at once.  A connection that `serve` has given up stays open.
    """

    def __init__(self, serve: Serve, limit: int) -> None:
        self._serve = serve
        self._limit = limit
        self._listening: list[socket.socket] = []
        self._open: dict[threading.Thread, Connection | None] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def open(self, host: str, port: int, context: SSLContext | None = None) -> int:
        """Listen at an address, with TLS when there is a context; gives the port.  Raises OSError."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
        self._listening.append(listening)
        name = "dimse-accept-tls" if context else "dimse-accept"
        threading.Thread(target=self._accept_forever, args=(listening, context), daemon=True, name=name).start()
        return int(listening.getsockname()[1])

    def close(self) -> None:
        """Accept no more, wake every connection, and wait a while until they have ended."""
        self._ended.set()
        for listening in self._listening:
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            listening.close()
        with self._lock:
            threads = dict(self._open)
        for connection in threads.values():
            if connection is not None:
                connection.end_reading()
        end = time.monotonic() + STOP_SECONDS
        for thread in threads:
            thread.join(timeout=max(0.0, end - time.monotonic()))

    def _accept_forever(self, listening: socket.socket, context: SSLContext | None) -> None:
        while not self._ended.is_set():
            try:
                connected, address = listening.accept()
            except OSError:  # closed; or out of descriptors, which passes when others end
                self._ended.wait(PAUSE_SECONDS)
                continue
            with self._lock:
                full = len(self._open) >= self._limit
            if full:
                connected.close()
                continue
            self._start(connected, str(address[0]), context)

    def _start(self, connected: socket.socket, address: str, context: SSLContext | None) -> None:
        thread = threading.Thread(target=self._run, args=(connected, address, context), daemon=True, name="dimse")
        with self._lock:  # whoever closes finds it started, or not at all
            if self._ended.is_set():
                connected.close()
                return
            self._open[thread] = None
            thread.start()

    def _run(self, connected: socket.socket, address: str, context: SSLContext | None) -> None:
        connection: Connection | None = None
        try:
            connection = Connection(_secured(connected, context) if context else connected)
            with self._lock:
                self._open[threading.current_thread()] = connection
                ended = self._ended.is_set()
            if ended:
                connection.end_reading()
            self._serve(connection, address)
        except (Closed, OSError) as error:
            logger.info("a connection ended: %s", error, extra={"address": address})
        finally:
            if connection is None:
                connected.close()
            elif not connection.given_up:
                connection.close()
            with self._lock:
                del self._open[threading.current_thread()]


def _secured(connected: socket.socket, context: SSLContext) -> socket.socket:
    """Do the TLS handshake, within a time that no drop by drop prolongs.  PS3.15 B.12  Raises OSError."""

    def give_up() -> None:
        with contextlib.suppress(OSError):
            connected.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(HANDSHAKE_SECONDS, give_up)
    timer.daemon = True
    timer.start()
    secured = context.wrap_socket(connected, server_side=True, do_handshake_on_connect=False)
    try:
        secured.settimeout(HANDSHAKE_SECONDS)
        secured.do_handshake()
    except OSError:
        secured.close()
        raise
    finally:
        timer.cancel()
    return secured
