"""Looking at ports and health from outside a program."""

import errno
import socket
from collections.abc import Sequence
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, build_opener

_SECONDS = 2.0
_OPENER = build_opener(ProxyHandler({}))  # health is asked on this machine: no proxy has a say


def busy_ports(wanted: Sequence[tuple[int, str]]) -> list[str]:
    """One sentence for each port that somebody listens on already, naming the port and the program that wants it."""
    return [f"port {port}, which {name} needs, is in use by another program" for port, name in wanted if _busy(port)]


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
