"""Looking at ports and health from outside a program."""

import errno
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, build_opener

_SECONDS = 2.0
_LISTEN = "0A"
_OPENER = build_opener(ProxyHandler({}))  # health is asked on this machine: no proxy has a say


def busy_ports(wanted: Sequence[tuple[int, str]]) -> list[str]:
    """One sentence for each port that somebody listens on already, naming the port and the program that wants it."""
    return [
        f"port {port}, which {name} needs, is in use by another program{_listener(port)}"
        for port, name in wanted
        if _busy(port)
    ]


def healthy(address: str) -> bool:
    """Ask a program: `http://...` answers 200, or `tcp:HOST:PORT` accepts a connection."""
    if address.startswith("tcp:"):
        _, host, port = address.split(":")
        return _accepts(host, int(port))
    return _answers(address)


def _answers(url: str) -> bool:
    if urlsplit(url).scheme not in {"http", "https"}:
        raise ValueError(f"a health address is http, https or tcp, not {url}")
    try:
        with _OPENER.open(url, timeout=_SECONDS) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def _accepts(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=_SECONDS):
            return True
    except OSError:
        return False


def _busy(port: int) -> bool:
    """Whether binding fails; SO_REUSEADDR as servers do, so that a port just left is free."""
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, port))
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return True
    return False


def _listener(port: int) -> str:
    """Who listens on the port, as far as Linux lets us see; else nothing."""
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for descriptor in Path("/proc").glob("[0-9]*/fd/*") if sockets else ():
        with suppress(OSError):
            if os.readlink(descriptor) in sockets:
                process = descriptor.parent.parent
                return f" ({(process / 'comm').read_text().strip()}, process {process.name})"
    return ""


def _listening_inodes(port: int) -> Iterator[str]:
    """Inodes of listening sockets, from the fields of /proc/net/tcp: 1 local address, 3 state, 9 inode.  proc(5)"""
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for line in table.read_text().splitlines()[1:] if table.exists() else ():
            fields = line.split()
            if fields[1].endswith(f":{port:04X}") and fields[3] == _LISTEN:
                yield fields[9]
