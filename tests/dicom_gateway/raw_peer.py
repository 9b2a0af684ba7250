"""A peer that sends whatever bytes a test wants, and reads the PDUs that come back.  PS3.8 9.3"""

import socket
import struct
from collections.abc import Sequence

from pydicom.uid import CTImageStorage

VERIFICATION, CT = "1.2.840.10008.1.1", str(CTImageStorage)
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
CONTEXTS = ((1, VERIFICATION, (IMPLICIT,)), (3, CT, (EXPLICIT,)))
RJ, AC, DATA, RELEASED, ABORT = 3, 2, 4, 6, 7


def item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxI", kind, len(body)) + body


def request(
    contexts: Sequence[tuple[int, str, Sequence[str]]] = CONTEXTS,
    *,
    calling: str = "SENDER",
    called: str = "KONSIL",
    version: int = 1,
    application: str = "1.2.840.10008.3.1.1.1",
    user: bytes = b"",
) -> bytes:
    """An A-ASSOCIATE-RQ."""
    titles = called.ljust(16).encode() + calling.ljust(16).encode() + bytes(32)
    items = [item(0x10, application.encode())]
    for number, abstract, syntaxes in contexts:
        parts = item(0x30, abstract.encode()) + b"".join(item(0x40, syntax.encode()) for syntax in syntaxes)
        items.append(item(0x20, bytes((number, 0, 0, 0)) + parts))
    items.append(item(0x50, item(0x51, struct.pack(">I", 16384)) + item(0x52, b"1.2.3") + user))
    return pdu(1, struct.pack(">HH", version, 0) + titles + b"".join(items))


def command(field: int, number: int = 1, *, data: bool = False, **uids: str) -> bytes:
    """A command set."""
    elements = {0x0100: struct.pack("<H", field), 0x0110: struct.pack("<H", number), 0x0700: struct.pack("<H", 0)}
    elements[0x0800] = struct.pack("<H", 1 if data else 0x0101)
    for element, uid in ((0x0002, uids.get("sop_class", VERIFICATION)), (0x1000, uids.get("instance", ""))):
        if uid:
            elements[element] = uid.encode() + b"\0" * (len(uid) % 2)
    body = b"".join(struct.pack("<HHI", 0, tag, len(value)) + value for tag, value in sorted(elements.items()))
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


def pdv(context: int, control: int, value: bytes) -> bytes:
    return struct.pack(">IBB", len(value) + 2, context, control) + value


ECHO = pdu(DATA, pdv(1, 3, command(0x0030)))
RELEASE = pdu(5, bytes(4))


def store(uid: str, data_set: bytes, number: int = 1, size: int = 16000) -> bytes:
    """A C-STORE request, its data set in fragments of so many bytes."""
    parts = [data_set[start : start + size] for start in range(0, len(data_set), size)] or [b""]
    asked = pdu(DATA, pdv(3, 3, command(1, number, data=True, sop_class=CT, instance=uid)))
    fragments = [pdu(DATA, pdv(3, 0, part)) for part in parts[:-1]]
    return asked + b"".join(fragments) + pdu(DATA, pdv(3, 2, parts[-1]))


class RawPeer:
    """A connection; `pdus` reads to its end."""

    def __init__(self, port: int, seconds: float = 10) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> "RawPeer":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def associate(self) -> "RawPeer":
        """With the usual contexts."""
        assert self.ask(request())[0] == AC
        return self

    def ask(self, sent: bytes) -> tuple[int, bytes]:
        """Send, and read one PDU."""
        self.socket.sendall(sent)
        return self.answer()

    def answer(self) -> tuple[int, bytes]:
        """Read one PDU; (0, b"") at the end of the connection."""
        header = self._exactly(6)
        if len(header) < 6:
            return 0, b""
        kind, length = struct.unpack(">BxI", header)
        return kind, self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        taken = b""
        while len(taken) < count:
            try:
                more = self.socket.recv(count - len(taken))
            except ConnectionError:
                more = b""
            if not more:
                break
            taken += more
        return taken

    def status(self, sent: bytes) -> tuple[int, str]:
        """Send, and read the status and the comment of the answer."""
        kind, body = self.ask(sent)
        assert kind == DATA, (kind, body)
        found = elements(body[6:])
        return struct.unpack("<H", found[0x0900])[0], found.get(0x0902, b"").decode().strip()


def elements(encoded: bytes) -> dict[int, bytes]:
    """The elements of a command set."""
    found, position = {}, 0
    while position < len(encoded):
        _, tag, length = struct.unpack_from("<HHI", encoded, position)
        found[tag] = encoded[position + 8 : position + 8 + length]
        position += 8 + length
    return found
