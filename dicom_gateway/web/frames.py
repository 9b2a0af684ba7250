"""Where the frames of a stored object lie, so that one frame is read without touching the others.  PS3.5 8.2, A.4

Layouts are found from the bytes alone: native frames by arithmetic, encapsulated ones by the Extended Offset Table,
the Basic Offset Table, or one pass over the item headers when neither is there (values are skipped, not read).
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from pydicom.dataset import Dataset, FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import dcmread
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian

from dicom_gateway.web.errors import NotFound, WebError

ITEM = 0xFFFEE000
UNDEFINED = 0xFFFFFFFF
PIXEL_KEYWORDS = (
    "SOPClassUID StudyInstanceUID SeriesInstanceUID SOPInstanceUID NumberOfFrames SamplesPerPixel Rows Columns "
    "BitsAllocated PhotometricInterpretation ExtendedOffsetTable ExtendedOffsetTableLengths"
)

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class PixelLayout:
    """The frames of one object: for each the spans (offset, length) of the file that hold it, in order."""

    transfer_syntax: UID
    bits_allocated: int
    frames: Sequence[Sequence[Span]]

    def spans(self, frame: int) -> Sequence[Span]:
        """Spans of one frame, counted from 1.  Raises NotFound."""
        if not 1 <= frame <= len(self.frames):
            raise NotFound(f"The instance has {len(self.frames)} frames.")
        return self.frames[frame - 1]

    def length(self, frame: int) -> int:
        """Bytes of one frame."""
        return sum(length for _, length in self.spans(frame))


def read_header(stream: BinaryIO) -> FileDataset:
    """The data set before its pixel data; the stream stands at the pixel data element then.  Raises WebError 500."""
    try:
        return dcmread(stream, stop_before_pixels=True, force=False)
    except (InvalidDicomError, EOFError, struct.error) as error:
        raise WebError(500, "A stored object cannot be read.") from error


def pixel_layout(stream: BinaryIO) -> PixelLayout:
    """The layout of the object in `stream`.  Raises NotFound when it has no pixel data."""
    ds = dcmread(stream, stop_before_pixels=True, specific_tags=[*PIXEL_KEYWORDS.split()])
    syntax = UID(str(ds.file_meta.TransferSyntaxUID))
    if syntax == DeflatedExplicitVRLittleEndian:
        raise WebError(406, "Frames of a deflated object are not served one by one.")
    start, length = value_span(stream, syntax)
    find = encapsulated_frames if syntax.is_compressed else native_frames
    frames = find(stream, (start, length), ds)
    return PixelLayout(syntax, int(ds.get("BitsAllocated", 8) or 8), frames)


def value_span(stream: BinaryIO, syntax: UID) -> Span:
    """Offset and length of the pixel data's value, the stream standing at its tag."""
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    head = stream.read(12)
    if len(head) < 8:
        raise NotFound("The instance has no pixel data.")
    begin = stream.tell() - len(head)
    if syntax.is_implicit_VR:
        return begin + 8, int(struct.unpack(order + "L", head[4:8])[0])
    return begin + 12, int(struct.unpack(order + "L", head[8:12])[0])


def number_of_frames(ds: Dataset) -> int:
    """Frames of an object; absent or unreadable means one."""
    try:
        return max(int(ds.get("NumberOfFrames", 1) or 1), 1)
    except (TypeError, ValueError):
        return 1


def native_frames(stream: BinaryIO, value: Span, ds: Dataset) -> list[list[Span]]:
    """Frames that follow each other without framing.  PS3.5 8.1.1; a frame of 1-bit pixels must end at a byte."""
    start, length = value
    count = number_of_frames(ds)
    bits = int(ds.Rows) * int(ds.Columns) * int(ds.get("SamplesPerPixel", 1)) * int(ds.BitsAllocated)
    if str(ds.get("PhotometricInterpretation", "")) == "YBR_FULL_422":
        bits = bits * 2 // 3
    if bits % 8 and count > 1:
        raise WebError(406, "Frames of packed bits that do not end at a byte are not served one by one.")
    size = (bits + 7) // 8
    if size * count > length:
        raise WebError(500, "The stored pixel data is shorter than its header says.")
    return [[(start + number * size, size)] for number in range(count)]


def encapsulated_frames(stream: BinaryIO, value: Span, ds: Dataset) -> list[list[Span]]:
    """Frames of encapsulated pixel data, by the best table there is.  PS3.5 A.4, C.7.6.3.1.8"""
    start = value[0]
    count = number_of_frames(ds)
    stream.seek(start)
    tag, table_length = item_header(stream)
    if tag != ITEM:
        raise WebError(500, "Encapsulated pixel data does not begin with its offset table.")
    table = stream.read(table_length)
    first = start + 8 + table_length
    if ds.get("ExtendedOffsetTable") and ds.get("ExtendedOffsetTableLengths"):
        return extended_frames(first, ds)
    items = list(item_spans(stream, first))
    offsets = list(struct.unpack(f"<{len(table) // 4}L", table[: len(table) // 4 * 4]))
    return group_items(items, [first + offset for offset in offsets], count, stream)


def extended_frames(first: int, ds: Dataset) -> list[list[Span]]:
    """One item a frame, each at its 64-bit offset; the offset is that of the item's tag."""
    offsets = struct.unpack(f"<{len(ds.ExtendedOffsetTable) // 8}Q", ds.ExtendedOffsetTable)
    lengths = struct.unpack(f"<{len(ds.ExtendedOffsetTableLengths) // 8}Q", ds.ExtendedOffsetTableLengths)
    return [[(first + offset + 8, length)] for offset, length in zip(offsets, lengths, strict=True)]


def item_header(stream: BinaryIO) -> tuple[int, int]:
    """Tag and length of the item at the stream's place; (0, 0) at the end."""
    head = stream.read(8)
    if len(head) < 8:
        return 0, 0
    group, element, length = struct.unpack("<HHL", head)
    return group << 16 | element, length


def item_spans(stream: BinaryIO, position: int) -> Iterator[Span]:
    """Value spans of the fragments from `position` on; the values are skipped."""
    while True:
        stream.seek(position)
        tag, length = item_header(stream)
        if tag != ITEM or length == UNDEFINED:
            return
        yield position + 8, length
        position += 8 + length


def group_items(items: list[Span], starts: list[int], count: int, stream: BinaryIO) -> list[list[Span]]:
    """Fragments gathered by frame: by the Basic Offset Table, else one each, else by where a code stream begins."""
    if count == 1:
        return [items]
    if len(starts) == count:
        return by_starts(items, starts)
    if len(items) == count:
        return [[item] for item in items]
    frames: list[list[Span]] = []
    for offset, length in items:
        stream.seek(offset)
        if begins_code_stream(stream.read(4)) or not frames:
            frames.append([])
        frames[-1].append((offset, length))
    if len(frames) != count:
        raise WebError(500, "The fragments of the stored pixel data cannot be told apart by frame.")
    return frames


def begins_code_stream(head: bytes) -> bool:
    """Whether a fragment opens a JPEG, JPEG-LS (SOI) or JPEG 2000 (SOC) image."""
    return head[:3] == b"\xff\xd8\xff" or head == b"\xff\x4f\xff\x51"


def by_starts(items: list[Span], starts: list[int]) -> list[list[Span]]:
    """Fragments put to the frame whose table entry they follow."""
    bounds = [*starts[1:], 1 << 63]
    frames: list[list[Span]] = [[] for _ in starts]
    number = 0
    for offset, length in items:
        while offset - 8 >= bounds[number]:
            number += 1
        frames[number].append((offset, length))
    return frames


def read_frame(stream: BinaryIO, layout: PixelLayout, frame: int) -> bytes:
    """The bytes of one frame, in the stored syntax; big-endian words are turned.  PS3.18 8.7.3.2"""
    buffer = BytesIO()
    for offset, length in layout.spans(frame):
        stream.seek(offset)
        buffer.write(stream.read(length))
    data = buffer.getvalue()
    if layout.transfer_syntax == ExplicitVRBigEndian and layout.bits_allocated == 16:
        return swap_words(data)
    return data


def swap_words(data: bytes) -> bytes:
    """16-bit words in the other byte order."""
    swapped = bytearray(data)
    swapped[0::2], swapped[1::2] = data[1::2], data[0::2]
    return bytes(swapped)
