"""The DICOM file format: preamble and file meta information.  PS3.10 chapter 7

Read and written by hand, so that the data set's bytes after it are never touched.
"""

import struct
from dataclasses import dataclass
from typing import Final

from dicom_gateway.errors import CannotUnderstand

# A UID under 2.25 (PS3.5 B.2), made once for this program.
IMPLEMENTATION_CLASS_UID: Final = "2.25.204836915017432590613853907243571823644"
IMPLEMENTATION_VERSION_NAME: Final = "KONSIL_1"

PREAMBLE: Final = bytes(128) + b"DICM"
LONG_FORM: Final = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
SOP_CLASS, SOP_INSTANCE, TRANSFER_SYNTAX = 0x0002, 0x0003, 0x0010


@dataclass(frozen=True, slots=True)
class FileMeta:
    """What the file meta information says about the data set, and where that begins."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    offset: int


def write_meta(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """Make preamble and file meta information for a data set that came without.  PS3.10 7.1"""
    body = b"".join(
        (
            struct.pack("<HH2sHI", 2, 1, b"OB", 0, 2) + b"\x00\x01",
            _ui(SOP_CLASS, sop_class_uid),
            _ui(SOP_INSTANCE, sop_instance_uid),
            _ui(TRANSFER_SYNTAX, transfer_syntax_uid),
            _ui(0x0012, IMPLEMENTATION_CLASS_UID),
            _short(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME.encode(), b" "),
        )
    )
    return PREAMBLE + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(body)) + body


def read_meta(file: bytes | memoryview) -> FileMeta:
    """Read preamble and file meta information.  PS3.10 7.1  Raises CannotUnderstand."""
    view = memoryview(file)
    if bytes(view[128:132]) != b"DICM":
        raise CannotUnderstand("not a DICOM file: the prefix is missing")
    found: dict[int, bytes] = {}
    position = 132
    try:
        while struct.unpack_from("<H", view, position)[0] == 2:
            element, value, position = _element(view, position)
            found[element] = value
    except struct.error as error:
        if position < len(view):
            raise CannotUnderstand("the file meta information is cut short") from error
    sop_class, sop_instance, syntax = (
        found.get(tag, b"").rstrip(b"\0 ").decode("ascii", "replace")
        for tag in (SOP_CLASS, SOP_INSTANCE, TRANSFER_SYNTAX)
    )
    if not syntax:
        raise CannotUnderstand("the file names no transfer syntax")
    return FileMeta(sop_class, sop_instance, syntax, position)


def _element(view: memoryview, position: int) -> tuple[int, bytes, int]:
    element, vr = struct.unpack_from("<2xH2s", view, position)
    if vr in LONG_FORM:
        (length,), start = struct.unpack_from("<I", view, position + 8), position + 12
    else:
        (length,), start = struct.unpack_from("<H", view, position + 6), position + 8
    if start + length > len(view):
        raise CannotUnderstand("the file meta information is cut short")
    return element, bytes(view[start : start + length]), start + length


def _ui(element: int, uid: str) -> bytes:
    return _short(element, b"UI", uid.encode("ascii", "replace"), b"\0")


def _short(element: int, vr: bytes, value: bytes, padding: bytes) -> bytes:
    value += padding * (len(value) % 2)
    return struct.pack("<HH2sH", 2, element, vr, len(value)) + value
