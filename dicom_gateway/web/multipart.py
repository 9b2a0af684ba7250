"""multipart/related bodies, written and read as streams.  RFC 2387, PS3.18 8.6.1.2"""

import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from dicom_gateway.web.errors import WebError

CRLF = b"\r\n"
HEADER_LIMIT = 16_384
CHUNK = 256 * 1024


@dataclass(frozen=True)
class Part:
    """One part to send: its headers and its bytes in pieces."""

    headers: dict[str, str]
    pieces: Iterable[bytes]


def new_boundary() -> str:
    """A boundary that no stored byte can foresee."""
    return secrets.token_hex(16)


def content_type(part_type: str, boundary: str) -> str:
    """The value of Content-Type for a body of such parts; `type` is always quoted on the way out."""
    return f'multipart/related; type="{part_type}"; boundary={boundary}'


def write(parts: Iterable[Part], boundary: str) -> Iterator[bytes]:
    """The body, piece by piece: memory holds one piece at a time."""
    for part in parts:
        lines = "".join(f"{name}: {value}\r\n" for name, value in part.headers.items())
        yield f"--{boundary}\r\n{lines}\r\n".encode()
        yield from part.pieces
        yield CRLF
    yield f"--{boundary}--\r\n".encode()


@dataclass
class Reader:
    """Cuts a multipart body into parts while it arrives, each part's bytes going to a file of the caller.

    `open_part` gets the headers of a part and gives the file to write; `close_part` is told when the part has ended.
    Raises WebError 400 when the body is not what RFC 2046 5.1 describes.
    """

    boundary: bytes
    open_part: Callable[[dict[str, str]], BinaryIO]
    close_part: Callable[[BinaryIO], None]
    buffer: bytearray = field(default_factory=bytearray)
    target: BinaryIO | None = None
    started: bool = False
    ended: bool = False

    def feed(self, data: bytes) -> None:
        """Take the next piece of the body."""
        self.buffer += data
        while not self.ended and self._step():
            pass

    def finish(self) -> None:
        """Say that the body has ended: it must have closed its last part."""
        if not self.ended:
            raise WebError(400, "The multipart body stops before its closing boundary.")

    def close(self) -> None:
        """Drop a part that did not end."""
        if self.target is not None:
            self.target.close()
            self.target = None

    def _step(self) -> bool:
        """Use up what can be used up; False when more input is needed."""
        return self._read_body() if self.target is not None else self._read_headers()

    def _read_headers(self) -> bool:
        delimiter = b"--" + self.boundary
        start = self.buffer.find(delimiter)
        if start < 0:
            self._preamble()
            return False
        if self.buffer[start + len(delimiter) : start + len(delimiter) + 2] == b"--":
            self.ended = True
            return False
        end = self.buffer.find(CRLF + CRLF, start)
        if end < 0:
            self._limit_headers(start)
            return False
        lines = bytes(self.buffer[start + len(delimiter) : end]).decode("latin-1").split("\r\n")
        del self.buffer[: end + 4]
        self.started = True
        self.target = self.open_part(dict(parse_header(line) for line in lines if ":" in line))
        return True

    def _preamble(self) -> None:
        if len(self.buffer) > HEADER_LIMIT:
            raise WebError(400, "The body does not begin with its multipart boundary.")

    def _limit_headers(self, start: int) -> None:
        if len(self.buffer) - start > HEADER_LIMIT:
            raise WebError(400, "The headers of a part are too long.")

    def _read_body(self) -> bool:
        delimiter = CRLF + b"--" + self.boundary
        found = self.buffer.find(delimiter)
        keep = len(self.buffer) - len(delimiter) if found < 0 else found
        if keep > 0 and self.target is not None:
            self.target.write(self.buffer[:keep])
            del self.buffer[:keep]
        if found < 0 or self.target is None:
            return False
        del self.buffer[: len(CRLF)]
        self.close_part(self.target)
        self.target = None
        return True


def parse_header(line: str) -> tuple[str, str]:
    """A header line of a part, the name in lower case."""
    name, _, value = line.partition(":")
    return name.strip().lower(), value.strip()


def file_pieces(open_file: Callable[[], BinaryIO], offset: int, length: int) -> Iterator[bytes]:
    """`length` bytes of a file from `offset`, in pieces; it is opened when the first is asked for and closed at the
    end.
    """
    with open_file() as stream:
        stream.seek(offset)
        while length > 0:
            piece = stream.read(min(CHUNK, length))
            if not piece:
                raise EOFError("The stored file is shorter than its index says.")
            length -= len(piece)
            yield piece
