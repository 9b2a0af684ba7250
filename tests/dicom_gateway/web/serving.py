"""An ASGI application behind a real uvicorn on a free port of loopback."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn


def free_socket() -> socket.socket:
    """A bound socket: nobody can take its port before the server listens."""
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    return bound


@contextmanager
def serving(make: Callable[[str], Any], **options: Any) -> Iterator[str]:
    """Serve what `make` gives for the base URL, with further options of uvicorn; stops at the end."""
    bound = free_socket()
    base = f"http://127.0.0.1:{bound.getsockname()[1]}"
    server = uvicorn.Server(
        uvicorn.Config(make(base), log_level="warning", lifespan="auto", access_log=False, **options)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    try:
        yield base
    finally:
        server.should_exit = True
        thread.join(10)
        bound.close()
