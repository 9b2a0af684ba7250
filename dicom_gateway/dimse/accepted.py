"""An object for a receiver that does not accept the syntax it is stored in.  PS3.4 C.4.2.3.1, PS3.5 10.1

The copy is decoded without loss into an uncompressed syntax, which every receiver has to accept (PS3.5 10.1), or into
a lossless one that was offered; it keeps its UIDs, the archive what it has, and it is gone once it was sent.
"""

import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from pydicom.filereader import dcmread
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, ImplicitVRLittleEndian

from dicom_gateway.archive import UNFINISHED_SECONDS, Archive
from dicom_gateway.index.query import Located
from dicom_gateway.transcode import EXPLICIT, TARGETS, CannotTranscode, transcode

IMPLICIT: Final = str(ImplicitVRLittleEndian)
FALLBACKS: Final = (EXPLICIT, IMPLICIT)
"""What is offered beside the stored syntax, in this order."""


def instead(stored: str, accepted: Collection[str]) -> str | None:
    """The syntax of those accepted that an object goes out in which is stored in another; None: in none."""
    others = (*FALLBACKS, *sorted(TARGETS))
    return next((syntax for syntax in others if syntax in accepted and syntax != stored), None)


@contextmanager
def copied(archive: Archive, item: Located, syntax: str) -> Iterator[Path]:
    """A copy of an instance in this syntax.  Raises CannotTranscode, OSError."""
    with TemporaryDirectory(dir=outgoing(archive)) as folder:
        copies = Archive(Path(folder))
        key, made = in_syntax(archive.path(item.object_key), copies, syntax)
        if made != syntax:
            raise CannotTranscode("the object has no pixels to put into that syntax")
        yield copies.path(key)


def in_syntax(path: Path, copies: Archive, wanted: str) -> tuple[str, str]:
    """Put a copy of a file in another syntax among the copies: its key, and the syntax that it has (an object without
    pixels is explicit little endian).  Raises CannotTranscode, OSError.
    """
    with path.open("rb") as stream:
        syntax, written = transcode(stream, EXPLICIT if wanted == IMPLICIT else wanted)
        key = copies.put(written).key
    return implicit(copies, copies.path(key)) if (wanted, syntax) == (IMPLICIT, EXPLICIT) else (key, syntax)


def implicit(copies: Archive, path: Path) -> tuple[str, str]:
    """A copy with implicit value representations, made whole in memory: PS3.5 A.1 has no compressed pixels."""
    ds = dcmread(path)
    ds.file_meta.TransferSyntaxUID = UID(IMPLICIT)
    buffer = BytesIO()
    dcmwrite(buffer, ds, enforce_file_format=True)
    return copies.put([buffer.getvalue()]).key, IMPLICIT


def outgoing(archive: Archive) -> Path:
    """Where copies live while they are sent; what a sender left that was killed is gone."""
    parent = archive.root / "outgoing"
    parent.mkdir(exist_ok=True)
    for left in parent.iterdir():
        if left.stat().st_mtime < time.time() - UNFINISHED_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
    return parent
