"""A line to a peer that can be made worse: slow to answer, or cut after so many bytes.  Behind it is the real peer."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Line:
    """`delay_seconds` before each piece that the peer sends; `cuts` are bytes after which the next lines break."""

    target: int
    delay_seconds: float = 0.0
    cuts: list[int] = field(default_factory=list)
    port: int = 0

    def serve(self, server: socket.socket) -> None:
        """Take callers until the socket is closed."""
        while True:
            try:
                caller, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=self.join, args=(caller,), daemon=True).start()

    def join(self, caller: socket.socket) -> None:
        """Carry bytes both ways until one side ends, or the line breaks."""
        cut = self.cuts.pop(0) if self.cuts else None
        with caller, socket.create_connection(("127.0.0.1", self.target)) as peer:
            forth = threading.Thread(target=self.carry, args=(caller, peer, 0.0, None), daemon=True)
            forth.start()
            self.carry(peer, caller, self.delay_seconds, cut)
            for end in (caller, peer):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            forth.join()

    def carry(self, source: socket.socket, target: socket.socket, delay: float, cut: int | None) -> None:
        """One direction."""
        carried = 0
        with suppress(OSError):
            while piece := source.recv(65_536):
                time.sleep(delay)
                target.sendall(piece)
                carried += len(piece)
                if cut is not None and carried >= cut:
                    return
            target.shutdown(socket.SHUT_WR)


@contextmanager
def line(target: int, delay_seconds: float = 0.0, cuts: tuple[int, ...] = ()) -> Iterator[Line]:
    """A line on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = Line(target, delay_seconds, [*cuts], server.getsockname()[1])
        thread = threading.Thread(target=found.serve, args=(server,), daemon=True)
        thread.start()
        yield found
        server.shutdown(socket.SHUT_RDWR)
    thread.join()
