"""Import of DICOM files from a folder: each through the same door as an association's.  PS3.10"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dicom_gateway.errors import IngestError
from dicom_gateway.ingest import Incoming, Ingest, Source

PREAMBLE = 128


@dataclass
class Imported:
    """What became of the files: how many were kept, which were refused and why, how many were no DICOM."""

    kept: int = 0
    refused: list[tuple[Path, str]] = field(default_factory=list)
    passed_over: int = 0


def import_folder(ingest: Ingest, folder: Path) -> Imported:
    """Keep every DICOM file below `folder`, durably, and index them.  One that cannot be kept stops no other."""
    result = Imported()
    source = Source(peer="import")
    for path in files(folder):
        content = path.read_bytes()
        if content[PREAMBLE : PREAMBLE + 4] != b"DICM":
            result.passed_over += 1
            continue
        try:
            ingest.accept(Incoming.from_file(content, source))
        except IngestError as error:
            result.refused.append((path, str(error)))
        else:
            result.kept += 1
    ingest.replay()
    return result


def files(folder: Path) -> Iterator[Path]:
    """All files below, in a stable order."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
