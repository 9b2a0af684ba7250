"""Objects in another transfer syntax than they are stored in, frame by frame.  PS3.5 Annex A, PS3.18 8.7.3.5

Nothing is lost on the way: samples go out as they were decoded, and a syntax that would lose some is not made.  Memory
holds one frame, whatever the size of the object; only a deflated object is held whole.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from copy import deepcopy
from itertools import chain
from typing import Any, BinaryIO, Final

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import dcmread, read_dataset
from pydicom.filewriter import write_dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian

from dicom_gateway import codecs
from dicom_gateway.errors import GatewayError
from dicom_gateway.part10 import write_meta
from dicom_gateway.web.errors import WebError
from dicom_gateway.web.frames import PixelLayout, pixel_layout, read_frame, read_header

EXPLICIT: Final = str(ExplicitVRLittleEndian)
JPEG_2000: Final = "1.2.840.10008.1.2.4.90"  # lossless
BY_PYDICOM: Final = (
    "1.2.840.10008.1.2.5",  # RLE
    "1.2.840.10008.1.2.4.80",  # JPEG-LS lossless
    JPEG_2000,
)
TARGETS: Final = frozenset({EXPLICIT, *BY_PYDICOM, *codecs.JPEG_LOSSLESS})
TABLES: Final = ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")
SHAPE: Final = (
    *("SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "Rows", "Columns"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
)
FAILURES: Final = (
    *(NotImplementedError, RuntimeError, ValueError, TypeError, AttributeError, KeyError, IndexError),
    *(EOFError, struct.error, zlib.error, WebError),
)
LONGEST: Final = 0xFFFFFFFE
CHUNK: Final = 1 << 18
ITEM, DELIMITER = struct.Struct("<HHL"), b"\xfe\xff\xdd\xe0\0\0\0\0"
PIXEL_DATA: Final = struct.Struct("<HH2sHL")

codecs.prepare()


class CannotTranscode(GatewayError):
    """The object cannot be had in that syntax: no codec, or none without loss."""


def transcode(stream: BinaryIO, target: str) -> tuple[str, Iterator[bytes]]:
    """The file in another syntax, and which: an object without pixels is always explicit little endian.

    The first frame has been made when this returns; the file stays in use until the last piece.  Raises
    CannotTranscode.
    """
    if target not in TARGETS:
        raise CannotTranscode("no codec here writes that syntax without loss")
    try:
        pieces = _pieces(stream, target)
        return next(pieces).decode(), chain([next(pieces)], pieces)
    except FAILURES as error:
        raise CannotTranscode("the object cannot be had in that syntax") from error


def _pieces(stream: BinaryIO, target: str) -> Iterator[bytes]:
    """First the syntax that it will be, then the file."""
    head = read_header(stream)
    source = UID(str(head.file_meta.TransferSyntaxUID))
    deflated = source == DeflatedExplicitVRLittleEndian
    if deflated and "Rows" in head and target != EXPLICIT:
        raise CannotTranscode("frames of a deflated object are not had one by one")
    if deflated or len(stream.read(4)) < 4:
        stream.seek(0)
        yield EXPLICIT.encode()
        yield _written(dcmread(stream), EXPLICIT)
        return
    yield target.encode()
    stream.seek(0)
    if target == EXPLICIT and not source.is_compressed:
        yield from _native(stream, head, source)
        return
    stream.seek(0)
    layout = pixel_layout(stream)
    yield from _by_frame(stream, head, layout, target)


def _native(stream: BinaryIO, head: Dataset, source: UID) -> Iterator[bytes]:
    """Only the encoding changes: the value of the pixels is copied, big-endian words turned."""
    read_header(stream)
    tag, start, length = _value(stream, source)
    bits = 8 * {0x7FE00008: 4, 0x7FE00009: 8}.get(tag, int(head.get("BitsAllocated", 8) or 8) // 8)
    width = bits // 8 if source == ExplicitVRBigEndian else 1
    yield _header(head, EXPLICIT)
    vr = {0x7FE00008: b"OF", 0x7FE00009: b"OD"}.get(tag, b"OW" if bits > 8 else b"OB")
    yield PIXEL_DATA.pack(tag >> 16, tag & 0xFFFF, vr, 0, length + length % 2)
    left = length
    while left:
        chunk = stream.read(min(CHUNK, left))
        if not chunk:
            raise EOFError
        left -= len(chunk)
        yield chunk if width == 1 else np.frombuffer(chunk, f">u{width}").astype(f"<u{width}").tobytes()
    yield b"\0" * (length % 2) + _after(stream, start + length, source)


def _value(stream: BinaryIO, source: UID) -> tuple[int, int, int]:
    """Tag, place and length of the pixels that the stream stands at."""
    order = ">" if source == ExplicitVRBigEndian else "<"
    group, element = struct.unpack(f"{order}HH", stream.read(4))
    stream.read(0 if source.is_implicit_VR else 4)
    (length,) = struct.unpack(f"{order}L", stream.read(4))
    return group << 16 | element, stream.tell(), length


def _by_frame(stream: BinaryIO, head: Dataset, layout: PixelLayout, target: str) -> Iterator[bytes]:
    """Each frame decoded, and encoded for a compressed target."""
    count = len(layout.frames)
    described = Dataset()
    for keyword in (each for each in SHAPE if each in head):
        described.add(head[keyword])
    first, shape = _frame(stream, described, layout, (1, target))
    rest = (_frame(stream, described, layout, (number, target))[0] for number in range(2, count + 1))
    for keyword in SHAPE:
        if keyword in shape:
            head[keyword] = shape[keyword]
    if target == EXPLICIT:
        length = len(first) * count
        if length > LONGEST:
            raise CannotTranscode("the pixels are too long for that syntax")
        vr = b"OW" if int(shape.BitsAllocated) > 8 else b"OB"
        yield _header(head, target) + PIXEL_DATA.pack(0x7FE0, 0x0010, vr, 0, length + length % 2) + first
        yield from rest
        yield b"\0" * (length % 2) + _after(stream, _end(layout), layout.transfer_syntax)
        return
    opening = PIXEL_DATA.pack(0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF) + ITEM.pack(0xFFFE, 0xE000, 0)
    yield _header(head, target) + opening
    for frame in chain([first], rest):
        padded = frame + b"\0" * (len(frame) % 2)
        yield ITEM.pack(0xFFFE, 0xE000, len(padded)) + padded
    yield DELIMITER + _after(stream, _end(layout), layout.transfer_syntax)


def _frame(stream: BinaryIO, described: Dataset, layout: PixelLayout, wanted: tuple[int, str]) -> tuple[bytes, Dataset]:
    """One frame in the target syntax, and the attributes that describe it."""
    number, target = wanted
    ds = deepcopy(described)
    samples = _decoded(read_frame(stream, layout, number), ds, layout.transfer_syntax)
    if target == EXPLICIT:
        return samples.astype(samples.dtype.newbyteorder("<"), copy=False).tobytes(), ds
    if target in codecs.JPEG_LOSSLESS:
        return codecs.encode_lossless_jpeg(samples, ds, target), ds
    if target == JPEG_2000 and ds.PhotometricInterpretation == "RGB":
        ds.PhotometricInterpretation = "YBR_RCT"  # the reversible transformation, as PS3.5 8.2.4 wants it
    ds.ensure_file_meta()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.compress(target, samples, generate_instance_uid=False)
    return next(generate_frames(ds.PixelData, number_of_frames=1)), ds


def _decoded(frame: bytes, ds: Dataset, source: UID) -> Any:
    """The samples of one frame; `ds` is brought to what they are."""
    native = ExplicitVRLittleEndian if source == ExplicitVRBigEndian else source
    one = Dataset()
    one.update(ds)
    one.NumberOfFrames = 1
    one.PixelData = encapsulate([frame]) if source.is_compressed else frame
    one["PixelData"].VR = "OB" if source.is_compressed or int(ds.BitsAllocated) <= 8 else "OW"
    one.ensure_file_meta()
    one.file_meta.TransferSyntaxUID = native
    samples, found = get_decoder(native).as_array(one, raw=True)
    kind = str(found["photometric_interpretation"])
    ds.PhotometricInterpretation = "YBR_FULL" if kind == "YBR_FULL_422" else kind  # as many of each, decoded
    if int(ds.SamplesPerPixel) > 1:
        ds.PlanarConfiguration = 0
    ds.BitsAllocated = samples.dtype.itemsize * 8
    return samples


def _header(head: Dataset, target: str) -> bytes:
    """Preamble, file meta information and every attribute before the pixels."""
    for keyword in TABLES:
        if keyword in head:
            del head[keyword]
    return _written(head, target)


def _written(ds: Dataset, target: str) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = False, True
    for element in [tag for tag in ds if tag.tag.element == 0]:
        del ds[element.tag]
    write_dataset(buffer, ds)
    return write_meta(str(ds.SOPClassUID), str(ds.SOPInstanceUID), target) + buffer.getvalue()


def _end(layout: PixelLayout) -> int:
    """Where the element with the pixels ends."""
    place = max(offset + length for spans in layout.frames for offset, length in spans)
    return place + (len(DELIMITER) if layout.transfer_syntax.is_compressed else 0)


def _after(stream: BinaryIO, place: int, source: UID) -> bytes:
    """What follows the pixels: padding, signatures."""
    stream.seek(place + (0 if source.is_compressed else place % 2))
    rest = stream.read()
    if len(rest) < ITEM.size:
        return b""
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = False, True
    write_dataset(buffer, read_dataset(io.BytesIO(rest), source.is_implicit_VR, source.is_little_endian))
    return buffer.getvalue()
