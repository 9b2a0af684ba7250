"""The attributes that the index keeps, taken out of a data set without decoding the rest.  PS3.5 7.1, 7.5

Read by hand where the encoding is plain, which is many times quicker than decoding; whatever is unusual is decoded.
"""

import struct
from typing import Final

from pydicom.charset import convert_encodings, default_encoding
from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from dicom_gateway.attributes import IMAGE, PATIENT, PIXELS, SERIES, STUDY, read_header
from dicom_gateway.identity import LENGTH, UNDEFINED, Unusual, implicit_step, step_of

CHARACTER_SET: Final = Tag("SpecificCharacterSet")
KEYWORDS: Final = (*PATIENT, *STUDY, *SERIES, *IMAGE, "IssuerOfPatientIDQualifiersSequence")
WANTED: Final[dict[int, BaseTag]] = {int(tag): tag for tag in (CHARACTER_SET, *map(Tag, KEYWORDS))}
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
DEEPEST: Final = 32


def read_indexed(data: bytes | memoryview, transfer_syntax_uid: str) -> Dataset:
    """Read what the index keeps: the same values as `attributes.read_header` gives.  Raises CannotUnderstand."""
    try:
        return _Scan(memoryview(data), transfer_syntax_uid).read()
    except (Unusual, struct.error):
        return read_header(data, transfer_syntax_uid)


class _Scan:
    """One pass over the elements of a little endian data set.  Raises Unusual, struct.error."""

    def __init__(self, view: memoryview, syntax: str) -> None:
        step = step_of(syntax)
        if step is None:
            raise Unusual
        self._view, self._step, self._implicit = view, step, step is implicit_step

    def read(self) -> Dataset:
        """The wanted elements, not decoded yet."""
        view, step, size = self._view, self._step, len(self._view)
        found: dict[BaseTag, RawDataElement] = {}
        position, before = 0, -1
        while position < size:
            tag, start, length = step(view, position)
            if tag >= PIXELS:
                break
            if tag <= before:  # out of order or twice
                raise Unusual
            wanted = WANTED.get(tag)
            if length == UNDEFINED:
                if wanted is not None or not self._is_sequence(position):
                    raise Unusual
                position, before = self._behind(start, 0), tag
                continue
            end = start + length
            if end > size:
                raise Unusual
            if wanted is not None and length:
                vr = None if self._implicit else str(view[position + 4 : position + 6], "ascii")
                value = bytes(view[start:end])
                found[wanted] = RawDataElement(wanted, vr, length, value, start, self._implicit, True, True, False)
            position, before = end, tag
        return self._data_set(found)

    def _data_set(self, found: dict[BaseTag, RawDataElement]) -> Dataset:
        raw = found.get(CHARACTER_SET)
        encoding = default_encoding if raw is None else convert_encodings(convert_raw_data_element(raw).value)
        ds = Dataset(found)  # type: ignore[arg-type]
        ds.set_original_encoding(self._implicit, True, encoding)
        return ds

    def _is_sequence(self, position: int) -> bool:
        return self._implicit or bytes(self._view[position + 4 : position + 6]) == b"SQ"

    def _behind(self, position: int, depth: int) -> int:
        """Where a sequence of undefined length ends.  PS3.5 7.5.2"""
        if depth > DEEPEST:
            raise Unusual
        while True:
            tag, length = self._delimiter(position)
            position += 8
            if tag == SEQUENCE_END:
                return position
            if tag != ITEM:
                raise Unusual
            if length == UNDEFINED:
                position = self._behind_item(position, depth)
            else:
                position = self._through(position, position + length, depth)

    def _behind_item(self, position: int, depth: int) -> int:
        while self._delimiter(position)[0] != ITEM_END:
            position = self._behind_element(position, depth)
        return position + 8

    def _through(self, position: int, end: int, depth: int) -> int:
        """Where an item of known length ends: its elements have to fill it, as they have to where they are decoded."""
        while position < end:
            position = self._behind_element(position, depth)
        if position != end:
            raise Unusual
        return end

    def _behind_element(self, position: int, depth: int) -> int:
        _, start, length = self._step(self._view, position)
        if length != UNDEFINED:
            return start + length
        if not self._is_sequence(position):
            raise Unusual
        return self._behind(start, depth + 1)

    def _delimiter(self, position: int) -> tuple[int, int]:
        group, element = struct.unpack_from("<HH", self._view, position)
        return group << 16 | element, LENGTH.unpack_from(self._view, position + 4)[0]
