"""Servers in processes of their own, and what the processes used."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

from tests.conftest import unused_port, wait_for_port
from tests.memory import peak


@contextmanager
def running(serve: Callable[[str, int], None], database_url: str) -> Iterator[tuple[int, int]]:
    """Its port and its process id."""
    port = unused_port()
    server = get_context("spawn").Process(target=serve, args=(database_url, port))
    server.start()
    try:
        wait_for_port(port, 120)
        yield port, server.pid or 0
    finally:
        server.terminate()
        server.join()


def peak_megabytes(pid: int) -> float:
    """The most memory that a process has had, of its own and shared."""
    return peak(pid) / (1 << 20)


def children(pid: int) -> list[int]:
    """The processes of a process, such as a PostgreSQL's backends."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def on_disk(database_url: str) -> int:
    """Bytes of a database."""
    if database_url.startswith("sqlite:///"):
        path = database_url.removeprefix("sqlite:///")
        return sum(os.path.getsize(path + end) for end in ("", "-wal") if os.path.exists(path + end))
    import psycopg

    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    return int(row[0]) if row else 0
