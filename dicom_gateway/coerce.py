"""Coercion: the local patient written into an accepted object, the original's pixels behind it as they are.

It follows IHE's Import Reconciliation Workflow (RAD TF-2, RAD-61): local values come from the local record, valid UIDs
stay, both ids go to OtherPatientIDsSequence, what cannot be known is nulled, and every change is kept in (0400,0561)
with the value it replaced.
"""

import zlib
from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import BinaryIO

from blake3 import blake3
from pydicom import config
from pydicom.charset import python_encoding
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import dcmread
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from dicom_gateway.archive import CHUNK_BYTES, Archive
from dicom_gateway.attributes import issuer, text
from dicom_gateway.index.query import Located
from dicom_gateway.index.upsert import Coerced
from dicom_gateway.reconcile import Identity, written_tag

config.settings.writing_validation_mode = config.IGNORE
ASCII = frozenset({"", "ISO_IR 6", "ISO 2022 IR 6"})
NULLED = (
    "AccessionNumber",
    "IssuerOfAccessionNumberSequence",
    "IssuerOfPatientIDQualifiersSequence",
    "OtherPatientIDs",
    "AdmissionID",
    "IssuerOfAdmissionIDSequence",
)


@dataclass(frozen=True, slots=True)
class Change:
    """One attribute that coercion rewrites, as text."""

    keyword: str
    before: str
    after: str

    @property
    def tag(self) -> str:
        """Its tag as people read it."""
        return written_tag(self.keyword)


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided: whose the objects are, by which Task, when, and which system rewrites them."""

    local: Identity
    task_id: str
    moment: datetime
    system: str


def rewrite(archive: Archive, item: Located, decision: Decision) -> tuple[Coerced, Dataset]:
    """Put the coerced version of an object into the archive: new header, the original's bytes from the pixels on.

    Gives what the index needs and the new header. Memory holds the header and a piece of the pixels.
    """
    with archive.open(item.object_key) as stream:
        meta = stream.read(item.data_set_offset)
        stream.seek(0)
        deflated = item.transfer_syntax_uid == DeflatedExplicitVRLittleEndian
        ds = dcmread(stream, stop_before_pixels=not deflated)
        header = coerced(ds, decision.local, decision.moment, decision.system)
        hasher = blake3()
        rest = iter(()) if deflated else pieces(stream)
        data_set = chain([encoded(header, UID(item.transfer_syntax_uid))], rest)
        stored = archive.put(hashed(meta, data_set, hasher))
    found = Coerced(stored, hasher.hexdigest(), len(meta), item.transfer_syntax_uid, decision.task_id)
    return found, header


def hashed(meta: bytes, data_set: Iterable[bytes], hasher: blake3) -> Iterator[bytes]:
    """The file piece by piece; the hash is that of the data set alone."""
    yield meta
    for piece in data_set:
        hasher.update(piece)
        yield piece


def pieces(stream: BinaryIO) -> Iterator[bytes]:
    """What is left of a file."""
    while piece := stream.read(CHUNK_BYTES):
        yield piece


def encoded(ds: Dataset, syntax: UID) -> bytes:
    """A data set in a transfer syntax, without meta information.  PS3.5 Annex A"""
    target = DicomBytesIO()
    target.is_implicit_VR, target.is_little_endian = syntax.is_implicit_VR, syntax.is_little_endian
    write_dataset(target, ds)
    data = target.getvalue()
    if syntax != DeflatedExplicitVRLittleEndian:
        return data
    squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    squeezed = squeeze.compress(data) + squeeze.flush()
    return squeezed + b"\0" * (len(squeezed) % 2)


def coerced(ds: Dataset, local: Identity, moment: datetime, system: str) -> Dataset:
    """A copy of the header with the local patient in it, and with the record of what it replaced.  RAD-61, PS3.3
    C.12.1.1.9

    UIDs stay. (0400,0561) gets one more item, after those that are there. Text that does not fit the character set of
    the header takes the whole header, sequences included, to ISO_IR 192.
    """
    ds = deepcopy(ds)
    fit_character_set(ds, local)
    target = deepcopy(ds)
    before = Dataset()
    for keyword, after in new_values(local, ds).items():
        remember(ds, before, keyword)
        setattr(target, keyword, after)
    for keyword in NULLED:
        if ds.get(keyword):
            remember(ds, before, keyword)
            setattr(target, keyword, [] if dictionary_VR(keyword) == "SQ" else "")
    remember(ds, before, "OtherPatientIDsSequence")
    target.OtherPatientIDsSequence = other_ids(ds, local)
    item = Dataset()
    item.SourceOfPreviousValues = issuer(ds)[:64]
    item.AttributeModificationDateTime = f"{moment:%Y%m%d%H%M%S.%f%z}"
    item.ModifyingSystem = system
    item.ReasonForTheAttributeModification = "COERCE"
    item.ModifiedAttributesSequence = Sequence([before])
    target.OriginalAttributesSequence = Sequence([*(ds.get("OriginalAttributesSequence") or []), item])
    return target


def new_values(local: Identity, ds: Dataset) -> dict[str, str]:
    """The local values of the patient module.

    An issuer that is not known is nulled, not inherited; birth date and sex stay where the local record has none.
    """
    return {
        "PatientName": local.name,
        "PatientID": local.patient_id,
        "IssuerOfPatientID": local.issuer,
        "PatientBirthDate": local.birth_date or text(ds, "PatientBirthDate"),
        "PatientSex": local.sex or text(ds, "PatientSex"),
    }


def remember(ds: Dataset, before: Dataset, keyword: str) -> None:
    """Keep the former value; one that was absent is kept as empty.  PS3.3 C.12.1.1.9"""
    tag = tag_for_keyword(keyword)
    if tag is not None and tag in ds:
        before[tag] = deepcopy(ds[tag])
    else:
        setattr(before, keyword, [] if dictionary_VR(keyword) == "SQ" else "")


def other_ids(ds: Dataset, local: Identity) -> Sequence:
    """Both ids with their issuers, and those that were there, each once.  PS3.3 C.2.3"""
    found: dict[tuple[str, str], Dataset] = {}
    for item in ds.get("OtherPatientIDsSequence") or []:
        found[text(item, "PatientID"), text(item, "IssuerOfPatientID")] = item
    outside = (text(ds, "PatientID"), issuer(ds))
    for number, domain in (outside, (local.patient_id, local.issuer), *local.other_ids):
        if number and (number, domain) not in found:
            item = Dataset()
            item.PatientID, item.IssuerOfPatientID, item.TypeOfPatientID = number, domain, "TEXT"
            found[number, domain] = item
    return Sequence(found.values())


def fit_character_set(ds: Dataset, local: Identity) -> None:
    """Turn the header to ISO_IR 192 when the local values do not fit its character set.  PS3.3 C.12.1.1.2"""
    declared = ds.get("SpecificCharacterSet") or ""
    names = [str(declared)] if isinstance(declared, str) else [str(name) for name in declared]
    encodings = ["ascii" if name in ASCII else python_encoding.get(name, "ascii") for name in names]
    values = [
        *local.name.split("="),
        local.patient_id,
        local.issuer,
        *(part for pair in local.other_ids for part in pair),
    ]
    if all(any(encodable(value, encoding) for encoding in encodings) for value in values):
        return
    ds.decode()
    to_unicode(ds)


def encodable(value: str, encoding: str) -> bool:
    """Whether a text can be written in an encoding."""
    try:
        value.encode(encoding)
    except (UnicodeError, LookupError):
        return False
    return True


def to_unicode(ds: Dataset) -> None:
    """Mark a decoded data set as UTF-8, its items too: they inherit it, and all text is written so."""
    ds.SpecificCharacterSet = "ISO_IR 192"
    for item in items_of(ds):
        if "SpecificCharacterSet" in item:
            del item.SpecificCharacterSet


def items_of(ds: Dataset) -> Iterator[Dataset]:
    """Every item of every sequence below a data set."""
    for element in ds:
        if element.VR == "SQ":
            for item in element.value or []:
                yield item
                yield from items_of(item)


def changes(before: Dataset, after: Dataset) -> list[Change]:
    """What coercion changes, tag by tag, as text; the record of the changes itself is left out."""
    found = []
    for tag in sorted({*before.keys(), *after.keys()}):
        keyword = keyword_for_tag(tag)
        if keyword in {"", "OriginalAttributesSequence"}:
            continue
        values = (shown(before, keyword), shown(after, keyword))
        if values[0] != values[1]:
            found.append(Change(keyword, *values))
    return found


def shown(ds: Dataset, keyword: str) -> str:
    """A value as people read it; items of ids as `id (issuer)`."""
    if dictionary_VR(keyword) != "SQ":
        return text(ds, keyword)
    items = ds.get(keyword) or []
    return ", ".join(
        f"{text(item, 'PatientID')} ({text(item, 'IssuerOfPatientID')})" for item in items if "PatientID" in item
    )
