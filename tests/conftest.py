"""Real peers for every test: PostgreSQL, Redis, free ports; and no socket but loopback."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from hypothesis import settings

settings.register_profile("konsil", deadline=None)  # how long a case takes depends on who else uses the machine
settings.load_profile("konsil")

_LOOPBACK = ("127.", "localhost", "::1")
_POSTGRESQL_FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))


class NotLoopback(RuntimeError):
    """A test tried to leave the machine."""


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sockets reach loopback and files only."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def check(address: object) -> None:
        if isinstance(address, tuple) and not str(address[0]).startswith(_LOOPBACK):
            raise NotLoopback(f"a test wants to connect to {address[0]}")

    def guarded_connect(self: socket.socket, address: object) -> None:
        check(address)
        connect(self, address)  # type: ignore[arg-type]

    def guarded_connect_ex(self: socket.socket, address: object) -> int:
        check(address)
        return connect_ex(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_connect_ex)


def unused_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Call it for each port you need."""
    return unused_port


@pytest.fixture(scope="session")
def postgresql_cluster() -> Iterator[str]:
    """A private PostgreSQL, `postgresql://user@host:port`, for the session; it is fast because it need not survive."""
    if not _POSTGRESQL_FOLDERS:
        pytest.fail("PostgreSQL is not installed: `make test` as root installs it")
    folder = Path(tempfile.mkdtemp(prefix="konsil-postgresql-"))
    try:
        with _postgresql(folder, unused_port()) as url:
            yield url
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def postgresql_url(postgresql_cluster: str) -> Iterator[str]:
    """An empty database of its own for each test."""
    yield from fresh_database(postgresql_cluster)


@pytest.fixture(scope="module")
def postgresql_module_url(postgresql_cluster: str) -> Iterator[str]:
    """An empty database for each test module."""
    yield from fresh_database(postgresql_cluster)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def module_database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An empty database on SQLite, then on PostgreSQL: the tests of the module run twice."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path_factory.mktemp('database')}/test.db"
    return str(request.getfixturevalue("postgresql_module_url"))


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database on SQLite, then on PostgreSQL: the test runs twice."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/test.db"
    return str(request.getfixturevalue("postgresql_url"))


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A private Redis for the session."""
    if shutil.which("redis-server") is None:
        pytest.fail("Redis is not installed: `make test` as root installs it")
    port = unused_port()
    with tempfile.TemporaryDirectory(prefix="konsil-redis-") as folder:
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            wait_for_port(port)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()
            process.wait(10)


def wait_for_postgresql(url: str, seconds: float = 20) -> None:
    """Return when the server lets clients in: it listens while it is still starting up."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            psycopg.connect(url).close()
            return
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def wait_for_port(port: int, seconds: float = 20) -> None:
    """Return when something listens on the port of 127.0.0.1; fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail(f"nothing listens on port {port} after {seconds} s")


def fresh_database(cluster: str) -> Iterator[str]:
    """Make a database, yield its address, drop it."""
    name = f"test_{uuid4().hex}"
    with psycopg.connect(f"{cluster}/postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
        try:
            yield f"{cluster}/{name}"
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


@contextmanager
def _postgresql(folder: Path, port: int) -> Iterator[str]:
    """Run a cluster; as the user postgres when we are root, because initdb refuses root."""
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if as_user:
        shutil.chown(folder, "postgres", "postgres")
    binaries, data = _POSTGRESQL_FOLDERS[-1], folder / "data"
    initdb = [
        str(binaries / "initdb"),
        "-D",
        str(data),
        "-U",
        "konsil",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
    ]
    subprocess.run([*as_user, *initdb, "--no-sync"], check=True, stdout=subprocess.DEVNULL, cwd=folder)
    options = ["-c", "listen_addresses=127.0.0.1", "-c", f"port={port}", "-c", f"unix_socket_directories={folder}"]
    options += [
        "-c",
        "fsync=off",
        "-c",
        "synchronous_commit=off",
        "-c",
        "full_page_writes=off",
        "-c",
        "max_connections=200",
    ]
    with (folder / "log").open("wb") as log:
        server = [*as_user, str(binaries / "postgres"), "-D", str(data), *options]
        process = subprocess.Popen(server, stdout=log, stderr=log, cwd=folder)
    try:
        wait_for_port(port)
        wait_for_postgresql(f"postgresql://konsil@127.0.0.1:{port}/postgres")
        yield f"postgresql://konsil@127.0.0.1:{port}"
    finally:
        _stop_postgresql(process, data)


def _stop_postgresql(process: "subprocess.Popen[bytes]", data: Path) -> None:
    postmaster = int((data / "postmaster.pid").read_text().split()[0])
    os.kill(postmaster, 3)  # SIGQUIT: at once, nothing is worth keeping
    process.wait(20)
