"""Typed access to the attributes of a data set, whatever its sender put there, and the attributes of each level.

Outside data sets are often invalid: a value that does not decode counts as absent here, it never raises.
"""

import logging
import struct
import unicodedata
import zlib
from collections.abc import Callable, Iterable
from functools import lru_cache
from io import BytesIO
from typing import Any, BinaryIO, Final, cast

from pydicom import config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.filereader import read_dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from dicom_gateway.errors import CannotUnderstand

# What a peer sends is kept as it is; it is not ours to refuse it for a malformed value.
config.settings.reading_validation_mode = config.IGNORE
logging.getLogger("pydicom").setLevel(logging.ERROR)

Element = dict[str, Any]
Attributes = dict[str, Element]

# Of these a single ASCII value means the same in every character set, and is the same in JSON.
PLAIN: Final = frozenset({"AE", "AS", "CS", "DA", "DT", "LO", "SH", "TM", "UI"})
NUMBERS: Final = frozenset({"IS", "US"})
US_BYTES: Final = 2
PIXELS: Final = 0x7FE00000
SERIES_INSTANCE_UID: Final = 0x0020000E
# GE's private syntax is implicit little endian but for its pixels.
GE_PRIVATE_DLX: Final = "1.2.840.113619.5.2"
UNREADABLE: Final = (
    *(ValueError, TypeError, AttributeError, LookupError, OverflowError, NotImplementedError),
    BytesLengthException,
)
MALFORMED: Final = (*UNREADABLE, OSError, EOFError, struct.error, zlib.error, RecursionError)

PATIENT: Final = [
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientBirthTime",
    "OtherPatientIDsSequence",
    "PatientComments",
    "EthnicGroup",
    "ResponsiblePerson",
    "PatientSpeciesDescription",
]
STUDY: Final = [
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "TimezoneOffsetFromUTC",
    "AccessionNumber",
    "IssuerOfAccessionNumberSequence",
    "StudyID",
    "StudyDescription",
    "ReferringPhysicianName",
    "PhysiciansOfRecord",
    "NameOfPhysiciansReadingStudy",
    "InstitutionName",
    "AdmittingDiagnosesDescription",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "ReasonForVisit",
    "ProcedureCodeSequence",
]
SERIES: Final = [
    "SeriesInstanceUID",
    "Modality",
    "SeriesNumber",
    "SeriesDescription",
    "SeriesDate",
    "SeriesTime",
    "BodyPartExamined",
    "Laterality",
    "ProtocolName",
    "PatientPosition",
    "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime",
    "Manufacturer",
    "ManufacturerModelName",
    "StationName",
    "InstitutionalDepartmentName",
    "OperatorsName",
    "PerformingPhysicianName",
    "FrameOfReferenceUID",
    "RequestAttributesSequence",
]
IMAGE: Final = [
    "SOPClassUID",
    "SOPInstanceUID",
    "InstanceNumber",
    "Rows",
    "Columns",
    "BitsAllocated",
    "NumberOfFrames",
    "ContentDate",
    "ContentTime",
    "AcquisitionDate",
    "AcquisitionTime",
    "AcquisitionNumber",
    "ImageType",
    "ImageComments",
    "ConceptNameCodeSequence",
    "ContentLabel",
    "ContentDescription",
    "CompletionFlag",
    "VerificationFlag",
    "PresentationCreationDate",
    "PresentationCreationTime",
    "DocumentTitle",
    "LossyImageCompression",
    "PhotometricInterpretation",
    "SamplesPerPixel",
]


@lru_cache(maxsize=1024)
def tag_of(keyword: str) -> str:
    """Write the tag of one keyword as the eight digits of the DICOM JSON model.  PS3.18 F.2.2"""
    return f"{cast(int, tag_for_keyword(keyword)):08X}"


def read_header(data: bytes | memoryview | BinaryIO, transfer_syntax_uid: str) -> Dataset:
    """Decode a data set up to its pixels.  PS3.5 Annex A

    An unknown or private syntax is taken for explicit little endian, which all encapsulated ones are (PS3.5 A.4).
    Raises CannotUnderstand.
    """
    return _read(data, transfer_syntax_uid, lambda tag, _vr, _length: tag >= PIXELS)


def read_identity(data: bytes | memoryview | BinaryIO, transfer_syntax_uid: str) -> Dataset:
    """Decode only as far as the series: cheap enough to do before the peer is answered.  Raises CannotUnderstand."""
    return _read(data, transfer_syntax_uid, lambda tag, _vr, _length: tag > SERIES_INSTANCE_UID)


def _read(
    data: bytes | memoryview | BinaryIO, syntax: str, stop_when: Callable[[BaseTag, str | None, int], bool]
) -> Dataset:
    stream = cast(BinaryIO, View(data)) if isinstance(data, bytes | memoryview) else data
    uid = UID(syntax)
    implicit, little = syntax == GE_PRIVATE_DLX, True
    if uid.is_transfer_syntax and not uid.is_private:
        implicit, little = uid.is_implicit_VR, uid.is_little_endian
    try:
        if uid == DeflatedExplicitVRLittleEndian:
            stream = BytesIO(zlib.decompress(stream.read(), -zlib.MAX_WBITS))
        return read_dataset(stream, implicit, little, stop_when=stop_when)
    except MALFORMED as error:
        raise CannotUnderstand("the data set does not decode") from error


class View:
    """Reads bytes in memory like a file, without copying them first: a multi-frame object may be gigabytes."""

    def __init__(self, data: bytes | memoryview) -> None:
        self._view = memoryview(data)
        self._position = 0

    def read(self, size: int = -1) -> bytes:
        """Take the next bytes, all that are left by default."""
        end = len(self._view) if size is None or size < 0 else self._position + size
        chunk = bytes(self._view[self._position : end])
        self._position += len(chunk)
        return chunk

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place counted from the start, from here or from the end."""
        self._position = max(0, (0, self._position, len(self._view))[whence] + offset)
        return self._position

    def tell(self) -> int:
        """Say where the next read begins."""
        return self._position


@lru_cache(maxsize=1024)
def _known(keyword: str) -> tuple[BaseTag, str]:
    """Tag and VR of a keyword; those of a repeating group have none here."""
    tag = tag_for_keyword(keyword)
    return (Tag(0), "") if tag is None else (Tag(tag), dictionary_VR(tag))


def _plain(ds: Dataset, keyword: str) -> tuple[str, str] | None:
    """VR and text of a single ASCII value that pydicom has not decoded yet, which it would do much more slowly.

    None for everything else, odd padding among it.
    """
    tag, vr = _known(keyword)
    raw: Any = ds.get_item(tag, keep_deferred=True) if vr in PLAIN else None
    if not isinstance(raw, RawDataElement) or raw.VR not in {None, vr} or not raw.value or not raw.value.isascii():
        return None
    padded = raw.value[-1:] in {b" ", b"\0"}
    read = raw.value[: -1 if padded else None].decode("ascii")
    if not read.isprintable() or read.strip() != read or not read or "\\" in read:
        return None
    return vr, read


def _quick_json(ds: Dataset, keyword: str) -> Element | None:
    """The element of DICOM JSON, as pydicom would make it of what it has not decoded yet; None where it must."""
    vr = _known(keyword)[1]
    if vr in PLAIN:
        plain = _plain(ds, keyword)
        return None if plain is None else {"vr": vr, "Value": [plain[1]]}
    raw: Any = ds.get_item(_known(keyword)[0], keep_deferred=True) if vr in NUMBERS else None
    if not isinstance(raw, RawDataElement) or raw.VR not in {None, vr} or not raw.value or not raw.is_little_endian:
        return None
    if vr == "US":
        return {"vr": vr, "Value": [int.from_bytes(raw.value, "little")]} if len(raw.value) == US_BYTES else None
    digits = raw.value.strip(b" ")
    return {"vr": vr, "Value": [int(digits)]} if digits.isdigit() else None


def text(ds: Dataset, keyword: str) -> str:
    """Read one attribute as text, empty when it is absent or does not decode; several values joined as in DICOM."""
    plain = _plain(ds, keyword)
    if plain is not None:
        return plain[1]
    try:
        value = ds.get(keyword)
        if value is None:
            return ""
        values = value if isinstance(value, MultiValue) else (value,)
        return "\\".join(str(item) for item in values).replace("\0", "").strip()
    except UNREADABLE:
        return ""


def integer(ds: Dataset, keyword: str) -> int | None:
    """Read one attribute as a whole number, None when it is none."""
    try:
        return int(text(ds, keyword))
    except ValueError:
        return None


def issuer(ds: Dataset) -> str:
    """Name who issued the PatientID: its universal id if there is one, else its local name.  PS3.3 C.2.2, C.2.3"""
    try:
        for item in ds.get("IssuerOfPatientIDQualifiersSequence") or ():
            if universal := text(item, "UniversalEntityID"):
                return universal
    except UNREADABLE:
        return text(ds, "IssuerOfPatientID")
    return text(ds, "IssuerOfPatientID")


def to_json(ds: Dataset, keywords: Iterable[str]) -> Attributes:
    """Express the named attributes in the DICOM JSON model, empty and undecodable ones left out.  PS3.18 F"""
    found: Attributes = {}
    for keyword in keywords:
        if ds.get_item(_known(keyword)[0], keep_deferred=True) is None:
            continue
        quick = _quick_json(ds, keyword)
        if quick is not None:
            found[tag_of(keyword)] = quick
            continue
        try:
            element = ds[keyword]
            if not element.is_empty:
                found[tag_of(keyword)] = element.to_json_dict(None, 1024)
        except UNREADABLE:
            continue
    return found


def name_groups(name: str) -> tuple[str, str, str]:
    """Fold a person name for matching: alphabetic, ideographic and phonetic group.  PS3.5 6.2.1

    Case, width and empty trailing components do not count.
    """
    groups = [fold(group).rstrip("^ ") for group in name.split("=")[:3]]
    alphabetic, ideographic, phonetic = (*groups, "", "")[:3] if len(groups) < 3 else groups
    return alphabetic, ideographic, phonetic


def fold(value: str) -> str:
    """Bring text to the form in which names are compared: compatibility forms and case do not count."""
    return unicodedata.normalize("NFKC", value).casefold().strip()


def tag_from(digits: str) -> BaseTag:
    """Read a tag written in eight digits."""
    return Tag(int(digits, 16))
