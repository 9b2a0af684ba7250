"""The copies that a rule has changed: texts of its own, another transfer syntax.  The archive keeps what it has.

A copy lives in a folder of its own until it is sent.  Changed texts are recorded as in any coercion (PS3.3
C.12.1.1.9).  Transfer syntaxes are changed without loss, so instances keep their UIDs.  One frame is in memory; for
implicit little endian, and of a deflated object, all of it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

from pydicom.dataset import Dataset
from pydicom.filereader import dcmread
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from dicom_gateway.archive import Archive
from dicom_gateway.coerce import encoded, pieces, remember, to_unicode
from dicom_gateway.dimse.accepted import in_syntax, outgoing
from dicom_gateway.index.query import Located
from dicom_gateway.routing.entry import WRITABLE, Rule
from dicom_gateway.transcode import CannotTranscode


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
    with TemporaryDirectory(dir=outgoing(archive)) as folder:
        copies = Archive(Path(folder))
        yield copies, [copy(archive, copies, item, change) for item in items]


def copy(archive: Archive, copies: Archive, item: Located, change: Change) -> Located:
    """One copy: its texts first, then its transfer syntax.  Raises OSError."""
    key, held = item.object_key, archive
    if change.rule.coerce:
        key, held = _with_texts(archive, copies, item, change), copies
    wanted = WRITABLE.get(change.rule.transfer_syntax, item.transfer_syntax_uid)
    syntax = item.transfer_syntax_uid
    if wanted != syntax:
        with suppress(CannotTranscode):
            key, syntax = in_syntax(held.path(key), copies, wanted)
            held = copies
    if held is archive:  # nothing was changed of it
        key = copies.put(archive.path(key)).key
    return item._replace(object_key=key, transfer_syntax_uid=syntax)


def _with_texts(archive: Archive, copies: Archive, item: Located, change: Change) -> str:
    """A new header before the bytes of the pixels as they are."""
    with archive.open(item.object_key) as stream:
        meta = stream.read(item.data_set_offset)
        stream.seek(0)
        deflated = item.transfer_syntax_uid == DeflatedExplicitVRLittleEndian
        header = coerced(dcmread(stream, stop_before_pixels=not deflated), change)
        data = encoded(header, UID(item.transfer_syntax_uid))
        return copies.put(chain([meta, data], iter(()) if deflated else pieces(stream))).key


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
