"""The copies that a rule has changed: texts of its own, another transfer syntax.  The archive keeps what it has.

A copy lives in a folder of its own until it is sent.  Changed texts are recorded as in any coercion (PS3.3
C.12.1.1.9).  Transfer syntaxes are changed without loss, so instances keep their UIDs (PS3.4 B.4.1.3); the whole
instance is in memory for that, and a header alone otherwise.
"""

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from io import BytesIO
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

from pydicom.dataset import Dataset
from pydicom.filereader import dcmread
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from dicom_gateway.archive import UNFINISHED_SECONDS, Archive
from dicom_gateway.coerce import encoded, pieces, remember, to_unicode
from dicom_gateway.index.query import Located
from dicom_gateway.routing.entry import WRITABLE, Rule


@dataclass(frozen=True, slots=True)
class Change:
    """A rule, and what is recorded with its changes: the moment and the system."""

    rule: Rule
    moment: datetime
    system: str


@contextmanager
def changed(archive: Archive, items: Sequence[Located], change: Change) -> Iterator[tuple[Archive, list[Located]]]:
    """Copies of these instances as the rule wants them, and the folder that they are in; gone afterwards.

    An object that cannot be transcoded stays as it is.  Raises OSError.
    """
    parent = archive.root / "outgoing"
    parent.mkdir(exist_ok=True)
    for left in parent.iterdir():  # by a sender that was killed
        if left.stat().st_mtime < time.time() - UNFINISHED_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
    with TemporaryDirectory(dir=parent) as folder:
        copies = Archive(Path(folder))
        yield copies, [copy(archive, copies, item, change) for item in items]


def copy(archive: Archive, copies: Archive, item: Located, change: Change) -> Located:
    """One copy.  Raises OSError."""
    wanted = WRITABLE.get(change.rule.transfer_syntax, item.transfer_syntax_uid)
    if wanted == item.transfer_syntax_uid != DeflatedExplicitVRLittleEndian:
        return replace(item, object_key=_with_header(archive, copies, item, change))
    ds: Dataset = dcmread(archive.path(item.object_key))
    if change.rule.coerce:
        ds = coerced(ds, change)
    if "PixelData" in ds or wanted in {WRITABLE["ImplicitVRLittleEndian"], WRITABLE["ExplicitVRLittleEndian"]}:
        transcode(ds, UID(wanted))
    buffer = BytesIO()
    dcmwrite(buffer, ds, enforce_file_format=True)
    stored = copies.put([buffer.getvalue()])
    return replace(item, object_key=stored.key, transfer_syntax_uid=str(ds.file_meta.TransferSyntaxUID))


def _with_header(archive: Archive, copies: Archive, item: Located, change: Change) -> str:
    """A new header before the bytes of the pixels as they are."""
    with archive.open(item.object_key) as stream:
        meta = stream.read(item.data_set_offset)
        stream.seek(0)
        header = coerced(dcmread(stream, stop_before_pixels=True), change)
        data = encoded(header, UID(item.transfer_syntax_uid))
        return copies.put(chain([meta, data], pieces(stream))).key


def transcode(ds: Dataset, syntax: UID) -> None:
    """Write a data set in another transfer syntax, without loss; one that no codec of ours reads stays as it is."""
    now = ds.file_meta.TransferSyntaxUID
    if now == syntax or not now.is_little_endian:
        return
    try:
        if "PixelData" in ds and now.is_encapsulated:
            ds.decompress(generate_instance_uid=False)
        if syntax.is_encapsulated:
            ds.compress(syntax, generate_instance_uid=False)
        else:
            ds.file_meta.TransferSyntaxUID = syntax
    except (ValueError, RuntimeError, NotImplementedError, AttributeError):
        return


def coerced(ds: Dataset, change: Change) -> Dataset:
    """A data set with the rule's texts, and with the record of what they replaced.  PS3.3 C.12.1.1.9"""
    if any(not value.isascii() for value in change.rule.coerce.values()):
        ds.decode()
        to_unicode(ds)
    before = Dataset()
    for keyword, value in change.rule.coerce.items():
        remember(ds, before, keyword)
        setattr(ds, keyword, value)
    item = Dataset()
    item.SourceOfPreviousValues = ""
    item.AttributeModificationDateTime = f"{change.moment:%Y%m%d%H%M%S.%f%z}"
    item.ModifyingSystem = change.system
    item.ReasonForTheAttributeModification = "COERCE"
    item.ModifiedAttributesSequence = Items([before])
    ds.OriginalAttributesSequence = Items([*(ds.get("OriginalAttributesSequence") or []), item])
    return ds
