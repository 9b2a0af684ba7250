"""STOW-RS of metadata and bulk data: data sets in DICOM JSON, their large values as parts of their own.
PS3.18 10.5.1.1.2

A value's part is found by its Content-Location, which is the BulkDataURI; several parts of one location are the frames
of compressed pixel data, in order.  Parts lie in temporary files until the body has ended.
"""

import io
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

import orjson
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian

from dicom_gateway.errors import CannotUnderstand
from dicom_gateway.web.errors import WebError
from dicom_gateway.web.media import parse_media_type

JSON = "application/dicom+json"
MEMORY_BYTES = 1 << 20
METADATA_BYTES = 64 << 20
DEFAULT_SYNTAXES = {
    "image/jpeg": "1.2.840.10008.1.2.4.70",
    "image/jls": "1.2.840.10008.1.2.4.80",
    "image/jp2": "1.2.840.10008.1.2.4.90",
    "image/jphc": "1.2.840.10008.1.2.4.201",
    "image/dicom-rle": "1.2.840.10008.1.2.5",
}
"""What a media type means without a transfer syntax.  PS3.18 Table 8.7.3-5"""


@dataclass
class Bulk:
    """The parts of one BulkDataURI, and the transfer syntax of the first."""

    syntax: str
    parts: list[BinaryIO] = field(default_factory=list)

    def values(self) -> list[bytes]:
        """The bytes of each part."""
        found = []
        for part in self.parts:
            part.seek(0)
            found.append(part.read())
        return found


@dataclass
class Described:
    """Metadata and bulk data as they come."""

    metadata: list[BinaryIO] = field(default_factory=list)
    bulk: dict[str, Bulk] = field(default_factory=dict)

    def open_part(self, headers: dict[str, str]) -> BinaryIO:
        """A place for the next part.  Raises WebError 400 for bulk data that has no address."""
        kind, parameters = parse_media_type(headers.get("content-type", JSON))
        part = cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES))  # noqa: SIM115 - `close` does
        if kind == JSON:
            self.metadata.append(part)
            return part
        location = headers.get("content-location")
        if not location:
            raise WebError(400, "A part of bulk data names its address in Content-Location.")
        syntax = parameters.get("transfer-syntax") or DEFAULT_SYNTAXES.get(kind, ExplicitVRLittleEndian)
        self.bulk.setdefault(location, Bulk(str(syntax))).parts.append(part)
        return part

    def models(self) -> Iterator[Any]:
        """The data sets in DICOM JSON.  Raises WebError 400 for metadata that is none, 413."""
        for part in self.metadata:
            if part.seek(0, io.SEEK_END) > METADATA_BYTES:
                raise WebError(413, "The metadata is too long.")
            part.seek(0)
            try:
                models = orjson.loads(part.read())
            except ValueError as error:
                raise WebError(400, "The metadata is no JSON.") from error
            yield from models if isinstance(models, list) else [models]

    def file(self, model: Any) -> bytes:
        """One data set with its values put in.  Raises CannotUnderstand."""
        try:
            ds = Dataset.from_json({tag: each for tag, each in model.items() if tag != "00083002"}, self.value)
            syntax = self.syntax_of(model)
            if UID(syntax).is_compressed:
                location = model["7FE00010"]["BulkDataURI"]
                ds.PixelData = encapsulate(self.bulk[location].values())
                ds["PixelData"].is_undefined_length = True
            ds.file_meta = meta_of(ds, syntax)
            stream = io.BytesIO()
            ds.save_as(stream, enforce_file_format=True)
        except (ValueError, TypeError, KeyError, AttributeError, NotImplementedError) as error:
            raise CannotUnderstand("the metadata is no data set") from error
        return stream.getvalue()

    def syntax_of(self, model: Mapping[str, Any]) -> str:
        """The transfer syntax of the pixel data's part, explicit little endian without one."""
        bulk = self.bulk.get(model.get("7FE00010", {}).get("BulkDataURI", ""))
        return str(ExplicitVRLittleEndian) if bulk is None else bulk.syntax

    def value(self, tag: str, vr: str, location: str) -> bytes:
        """The bytes of a BulkDataURI.  Raises KeyError when no part brings it."""
        return b"".join(self.bulk[location].values())

    def close(self) -> None:
        """Drop the temporary files."""
        for part in [*self.metadata, *(each for bulk in self.bulk.values() for each in bulk.parts)]:
            part.close()


def meta_of(ds: Dataset, syntax: str) -> FileMetaDataset:
    """File meta information for a data set.  PS3.10 7.1"""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    meta.TransferSyntaxUID = UID(syntax)
    return meta
