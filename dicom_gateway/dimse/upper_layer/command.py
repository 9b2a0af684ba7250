"""DIMSE command sets: always implicit VR little endian, group 0000 alone.  PS3.7 6.3.1, 9.3, E.1"""

import struct
from dataclasses import dataclass
from typing import Final

C_STORE_RQ, C_ECHO_RQ, C_CANCEL_RQ = 0x0001, 0x0030, 0x0FFF
RESPONSE: Final = 0x8000
NO_DATA_SET: Final = 0x0101
DATA_SET: Final = 0x0001
LOW: Final = 0x0002
UNRECOGNIZED_OPERATION: Final = 0x0211
COMMENT_LENGTH: Final = 64

ELEMENT: Final = struct.Struct("<HHI")
SHORT: Final = struct.Struct("<H")
_SHORT_ELEMENT: Final = struct.Struct("<HHIH")


class InvalidCommand(Exception):
    """Bytes that are no command set, or one without command and message id."""


@dataclass(frozen=True, slots=True)
class Command:
    """What a request says.  The UIDs are empty where it names none."""

    field: int
    message_id: int
    has_data_set: bool
    sop_class_uid: str
    sop_instance_uid: str

    @property
    def is_request(self) -> bool:
        """Whether it wants an answer: neither a response nor a C-CANCEL does."""
        return not self.field & RESPONSE and self.field != C_CANCEL_RQ


def decode(encoded: bytes) -> Command:
    """Read a command set.  PS3.7 6.3.1  Raises InvalidCommand."""
    values = _elements(encoded)
    try:
        (command,) = SHORT.unpack(values[0x0100])
        (kind,) = SHORT.unpack(values[0x0800])
        (message_id,) = SHORT.unpack(values.get(0x0110) or values[0x0120])
    except (KeyError, struct.error) as error:
        raise InvalidCommand from error
    return Command(command, message_id, kind != NO_DATA_SET, _uid(values, 0x0002), _uid(values, 0x1000))


def decode_status(encoded: bytes) -> tuple[int, int, int]:
    """The command, the message that it answers and the status of a response.  PS3.7 9.3.1.2  Raises InvalidCommand."""
    values = _elements(encoded)
    try:
        command, message_id, status = (SHORT.unpack(values[element])[0] for element in (0x0100, 0x0120, 0x0900))
    except (KeyError, struct.error) as error:
        raise InvalidCommand from error
    return command, message_id, status


def _elements(encoded: bytes) -> dict[int, bytes]:
    values: dict[int, bytes] = {}
    position = 0
    while position < len(encoded):
        if position + ELEMENT.size > len(encoded):
            raise InvalidCommand
        group, element, length = ELEMENT.unpack_from(encoded, position)
        position += ELEMENT.size
        if group or position + length > len(encoded):
            raise InvalidCommand
        values[element] = encoded[position : position + length]
        position += length
    return values


def _uid(values: dict[int, bytes], element: int) -> str:
    return values.get(element, b"").decode("ascii", "replace").strip(" \0")


def response(request: Command, status: int, comment: str = "") -> bytes:
    """Make the answer to a request, without data set.  PS3.7 9.3.1.2, 9.3.5.2, Annex C"""
    parts = [
        _text(0x0002, request.sop_class_uid, b"\0"),
        _short(0x0100, request.field | RESPONSE),
        _short(0x0120, request.message_id),
        _short(0x0800, NO_DATA_SET),
        _short(0x0900, status),
        _text(0x0902, comment[:COMMENT_LENGTH], b" "),
        _text(0x1000, request.sop_instance_uid, b"\0"),
    ]
    return _with_length(parts)


def store_request(message_id: int, uids: tuple[str, str], originator: tuple[str, int] | None) -> bytes:
    """Make a C-STORE request; `uids`: SOP class and instance, `originator`: AE title and message of a C-MOVE.

    PS3.7 9.3.1.1
    """
    parts = [
        _text(0x0002, uids[0], b"\0"),
        _short(0x0100, C_STORE_RQ),
        _short(0x0110, message_id),
        _short(0x0700, LOW),
        _short(0x0800, DATA_SET),
        _text(0x1000, uids[1], b"\0"),
    ]
    if originator is not None:
        parts += [_text(0x1030, originator[0], b" "), _short(0x1031, originator[1])]
    return _with_length(parts)


def _with_length(parts: list[bytes]) -> bytes:
    body = b"".join(parts)
    return ELEMENT.pack(0, 0, 4) + struct.pack("<I", len(body)) + body


def _short(element: int, value: int) -> bytes:
    return _SHORT_ELEMENT.pack(0, element, 2, value)


def _text(element: int, value: str, padding: bytes) -> bytes:
    if not value:
        return b""
    encoded = value.encode("ascii", "replace")
    encoded += padding * (len(encoded) % 2)
    return ELEMENT.pack(0, element, len(encoded)) + encoded
