"""A PostgreSQL cluster of a measurement's own, durable as in real use (the tests' one is not)."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import _POSTGRESQL_FOLDERS, unused_port, wait_for_port, wait_for_postgresql

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "effective_cache_size": "2GB",
}


@contextmanager
def cluster() -> Iterator[tuple[str, int]]:
    """Its `bench` database's URL, and the process id of its postmaster."""
    folder = Path(tempfile.mkdtemp(prefix="konsil-bench-"))
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if as_user:
        shutil.chown(folder, "postgres", "postgres")
    binaries, data, port = _POSTGRESQL_FOLDERS[-1], folder / "data", unused_port()
    initdb = [binaries / "initdb", "-D", data, "-U", "konsil", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"]
    subprocess.run([*as_user, *map(str, initdb)], check=True, stdout=subprocess.DEVNULL, cwd=folder)
    settings = SETTINGS | {"port": str(port), "unix_socket_directories": str(folder)}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with (folder / "log").open("wb") as log:
        command = [*as_user, str(binaries / "postgres"), "-D", str(data), *options]
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        wait_for_port(port)
        wait_for_postgresql(f"postgresql://konsil@127.0.0.1:{port}/postgres")
        postmaster = int((data / "postmaster.pid").read_text().split()[0])
        yield f"postgresql://konsil@127.0.0.1:{port}/postgres", postmaster
        os.kill(postmaster, signal.SIGINT)
        process.wait(60)
    finally:
        process.kill()
        shutil.rmtree(folder, ignore_errors=True)
