"""The door is closed while somebody comes in."""

import socket
import threading
import time

import pytest

from dicom_gateway.dimse.upper_layer.connection import Closed, Connection
from dicom_gateway.dimse.upper_layer.door import Door


def test_it_closes_while_a_connection_is_being_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose thread is about to start is waited for, and woken."""
    served, begun = threading.Event(), threading.Event()
    start = threading.Thread.start

    def slowly(thread: threading.Thread) -> None:
        if thread.name == "dimse":
            begun.set()
            time.sleep(0.2)
        start(thread)

    def serve(connection: Connection, address: str) -> None:
        try:
            connection.read(1)
        except Closed:
            served.set()
            raise

    monkeypatch.setattr(threading.Thread, "start", slowly)
    door = Door(serve, limit=4)
    port = door.open("127.0.0.1", 0)
    with socket.create_connection(("127.0.0.1", port)):
        assert begun.wait(5)
        began = time.monotonic()
        door.close()
        assert served.is_set() and time.monotonic() - began < 3
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1)
