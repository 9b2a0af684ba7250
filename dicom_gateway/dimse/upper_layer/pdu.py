"""The protocol data units that are read and written here, as acceptor and as requestor.  PS3.8 9.3, PS3.7 Annex D"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from dicom_gateway.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
APPLICATION_CONTEXT, CONTEXT_RQ, CONTEXT_AC, ABSTRACT_SYNTAX, TRANSFER_SYNTAX = 0x10, 0x20, 0x21, 0x30, 0x40
USER_INFORMATION, MAXIMUM_LENGTH, IMPLEMENTATION_CLASS = 0x50, 0x51, 0x52
ROLE_SELECTION, IMPLEMENTATION_VERSION, EXTENDED = 0x54, 0x55, 0x56
APPLICATION_CONTEXT_NAME: Final = "1.2.840.10008.3.1.1.1"

HEADER: Final = struct.Struct(">BxI")
ITEM: Final = struct.Struct(">BxH")
FIXED: Final = struct.Struct(">HH16s16s32s")
RELEASE: Final = HEADER.pack(RELEASE_RQ, 4) + bytes(4)
RELEASED: Final = HEADER.pack(RELEASE_RP, 4) + bytes(4)

# Who aborts, and why.  PS3.8 9.3.8
BY_USER, BY_PROVIDER = 0, 2
UNRECOGNIZED_PDU, UNEXPECTED_PDU, INVALID_PARAMETER = 1, 2, 6


class Malformed(Exception):
    """Bytes that are no PDU, or not one that is due; `reason` as in an A-ABORT.  PS3.8 9.3.8"""

    def __init__(self, reason: int) -> None:
        super().__init__(f"reason {reason}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Proposed:
    """One presentation context of a request.  PS3.8 9.3.2.2"""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Negotiated:
    """The answer to one: result 0 accepted, 3 no such abstract syntax, 4 none of the transfer syntaxes.  9.3.3.2"""

    context_id: int
    result: int
    abstract_syntax: str
    transfer_syntax: str


@dataclass(slots=True)
class AssociateRequest:
    """An A-ASSOCIATE-RQ.  PS3.8 9.3.2  `titles`: both AE titles and what is reserved, which go back as they came."""

    version: int
    called: str
    calling: str
    titles: bytes
    application_context: str = ""
    contexts: list[Proposed] = field(default_factory=list)
    maximum_length: int = 0
    roles: dict[str, tuple[bool, bool]] = field(default_factory=dict)
    extended: dict[str, bytes] = field(default_factory=dict)


def read_request(body: bytes) -> AssociateRequest:
    """Read what follows the header of an A-ASSOCIATE-RQ.  PS3.8 9.3.2  Raises Malformed."""
    try:
        version, _, called, calling, reserved = FIXED.unpack_from(body)
        request = AssociateRequest(version, _text(called), _text(calling), called + calling + reserved)
        for kind, value in _items(body[FIXED.size :]):
            if kind == APPLICATION_CONTEXT:
                request.application_context = _text(value)
            elif kind == CONTEXT_RQ:
                request.contexts.append(_context(value))
            elif kind == USER_INFORMATION:
                _user_information(request, value)
    except (struct.error, IndexError) as error:
        raise Malformed(INVALID_PARAMETER) from error
    return request


def _text(value: bytes) -> str:
    return value.decode("ascii", "replace").strip(" \0")


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(data):
        kind, length = ITEM.unpack_from(data, position)
        position += ITEM.size
        if position + length > len(data):
            raise Malformed(INVALID_PARAMETER)
        yield kind, data[position : position + length]
        position += length


def _context(value: bytes) -> Proposed:
    items = list(_items(value[4:]))
    abstract = [_text(part) for kind, part in items if kind == ABSTRACT_SYNTAX]
    syntaxes = tuple(_text(part) for kind, part in items if kind == TRANSFER_SYNTAX)
    if len(abstract) != 1 or not syntaxes:
        raise Malformed(INVALID_PARAMETER)
    return Proposed(value[0], abstract[0], syntaxes)


def _user_information(request: AssociateRequest, data: bytes) -> None:
    for kind, value in _items(data):
        if kind == MAXIMUM_LENGTH:
            (request.maximum_length,) = struct.unpack(">I", value)
        elif kind in {ROLE_SELECTION, EXTENDED}:
            (length,) = struct.unpack_from(">H", value)
            uid, rest = _text(value[2 : 2 + length]), value[2 + length :]
            if kind == EXTENDED:
                request.extended[uid] = rest
            else:
                request.roles[uid] = (bool(rest[0]), bool(rest[1]))


def associate(called: str, calling: str, contexts: Sequence[Proposed], maximum_length: int) -> bytes:
    """Make an A-ASSOCIATE-RQ.  PS3.8 9.3.2"""
    items = [_item(APPLICATION_CONTEXT, APPLICATION_CONTEXT_NAME.encode())]
    for context in contexts:
        syntaxes = (_item(TRANSFER_SYNTAX, _ascii(uid)) for uid in context.transfer_syntaxes)
        value = bytes((context.context_id, 0, 0, 0)) + _item(ABSTRACT_SYNTAX, _ascii(context.abstract_syntax))
        items.append(_item(CONTEXT_RQ, value + b"".join(syntaxes)))
    user = [_item(MAXIMUM_LENGTH, struct.pack(">I", maximum_length))]
    user.append(_item(IMPLEMENTATION_CLASS, IMPLEMENTATION_CLASS_UID.encode()))
    user.append(_item(IMPLEMENTATION_VERSION, IMPLEMENTATION_VERSION_NAME.encode()))
    items.append(_item(USER_INFORMATION, b"".join(user)))
    titles = (_ascii(title)[:16].ljust(16) for title in (called, calling))
    body = struct.pack(">HH", 1, 0) + b"".join(titles) + bytes(32) + b"".join(items)
    return HEADER.pack(ASSOCIATE_RQ, len(body)) + body


def read_accept(body: bytes) -> tuple[dict[int, str], int]:
    """Read what follows the header of an A-ASSOCIATE-AC: the transfer syntax of each accepted context, and the longest
    P-DATA-TF that the acceptor takes, 0 for any.  PS3.8 9.3.3  Raises Malformed.
    """
    accepted: dict[int, str] = {}
    longest = 0
    try:
        for kind, value in _items(body[FIXED.size :]):
            if kind == CONTEXT_AC and value[2] == 0:
                accepted[value[0]] = next(_text(part) for each, part in _items(value[4:]) if each == TRANSFER_SYNTAX)
            elif kind == USER_INFORMATION:
                lengths = (part for each, part in _items(value) if each == MAXIMUM_LENGTH)
                (longest,) = struct.unpack(">I", next(lengths, bytes(4)))
    except (struct.error, IndexError, StopIteration) as error:
        raise Malformed(INVALID_PARAMETER) from error
    return accepted, longest


def accept(
    request: AssociateRequest, contexts: Sequence[Negotiated], extended: Mapping[str, bytes], maximum_length: int
) -> bytes:
    """Make an A-ASSOCIATE-AC.  PS3.8 9.3.3  Both roles are granted where one was asked for (PS3.7 D.3.3.4)."""
    user = [_item(MAXIMUM_LENGTH, struct.pack(">I", maximum_length))]
    user.append(_item(IMPLEMENTATION_CLASS, IMPLEMENTATION_CLASS_UID.encode()))
    accepted = {context.abstract_syntax for context in contexts if context.result == 0}
    for uid, roles in request.roles.items():
        if uid in accepted:
            user.append(_item(ROLE_SELECTION, _counted(uid) + bytes(roles)))
    user.append(_item(IMPLEMENTATION_VERSION, IMPLEMENTATION_VERSION_NAME.encode()))
    user.extend(_item(EXTENDED, _counted(uid) + value) for uid, value in extended.items())
    items = [_item(APPLICATION_CONTEXT, APPLICATION_CONTEXT_NAME.encode())]
    for context in contexts:
        syntax = _item(TRANSFER_SYNTAX, context.transfer_syntax.encode("ascii", "replace"))
        items.append(_item(CONTEXT_AC, bytes((context.context_id, 0, context.result, 0)) + syntax))
    items.append(_item(USER_INFORMATION, b"".join(user)))
    body = struct.pack(">HH", 1, 0) + request.titles + b"".join(items)
    return HEADER.pack(ASSOCIATE_AC, len(body)) + body


def _item(kind: int, value: bytes) -> bytes:
    return ITEM.pack(kind, len(value)) + value


def _ascii(text: str) -> bytes:
    return text.encode("ascii", "replace")


def _counted(uid: str) -> bytes:
    encoded = _ascii(uid)
    return struct.pack(">H", len(encoded)) + encoded


def reject(result: int, source: int, reason: int) -> bytes:
    """Make an A-ASSOCIATE-RJ.  PS3.8 9.3.4"""
    return HEADER.pack(ASSOCIATE_RJ, 4) + bytes((0, result, source, reason))


def abort(source: int, reason: int) -> bytes:
    """Make an A-ABORT.  PS3.8 9.3.8"""
    return HEADER.pack(ABORT, 4) + bytes((0, 0, source, reason))


def data(context_id: int, command_set: bytes, maximum_length: int) -> bytes:
    """Make the P-DATA-TF PDUs of a message without data set, none longer than the peer takes.  PS3.8 9.3.5, Annex E"""
    room = max(maximum_length - 6, 1) if maximum_length else len(command_set)
    pdus = []
    for start in range(0, len(command_set), room):
        part = command_set[start : start + room]
        control = 0x03 if start + room >= len(command_set) else 0x01
        pdus.append(HEADER.pack(P_DATA, len(part) + 6) + struct.pack(">IBB", len(part) + 2, context_id, control) + part)
    return b"".join(pdus)
