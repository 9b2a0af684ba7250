"""Import of DICOM files from folders, CDs and ZIP archives, each through the same door as an association's.  PS3.10

Nothing is unpacked to disk and no name out of a medium is followed: entries are read as streams into the archive, a
piece of one at a time in memory.  What a DICOMDIR lists and the medium lacks is told.
"""

import stat
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast
from zipfile import BadZipFile, ZipFile, ZipInfo

from blake3 import blake3
from pydicom.dataset import Dataset
from pydicom.filereader import dcmread
from pydicom.uid import MediaStorageDirectoryStorage
from sqlalchemy import Connection, select

from dicom_gateway.attributes import UNREADABLE
from dicom_gateway.errors import CannotUnderstand, IngestError, OutOfResources
from dicom_gateway.index.models import instance as instance_table
from dicom_gateway.index.models import version
from dicom_gateway.ingest import Incoming, Ingest, Receipt, Source
from dicom_gateway.part10 import read_meta

PREAMBLE = 128
HEAD_BYTES = 4 << 20
CHUNK_BYTES = 1 << 20
DIRECTORY_BYTES = 64 << 20
AT_ONCE = 500
BROKEN = (OSError, BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


class MediumRefused(Exception):
    """A medium of which nothing is taken: no ZIP archive, or one that is made to fill disks."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a ZIP archive may be; `ratio` counts from `small_bytes` on: black pictures shrink a thousandfold."""

    entries: int = 200_000
    total_bytes: int = 200 << 30
    small_bytes: int = 4 << 30
    ratio: int = 100


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a medium; `refused`: why it is not even opened."""

    name: str
    open: Callable[[], BinaryIO]
    refused: str = ""


@dataclass
class Imported:
    """What became of the files: how many were kept, refused and why, no DICOM, and listed but not there."""

    kept: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)
    passed_over: int = 0
    missing: list[str] = field(default_factory=list)
    studies: dict[str, set[str]] = field(default_factory=dict)
    """The SOP Instance UIDs of what was kept, by Study Instance UID."""


@dataclass(frozen=True, slots=True)
class Door:
    """Where the files go: the way in, what the index is told of their origin, and who counts the files looked at."""

    ingest: Ingest
    source: Source = Source(peer="import")
    seen: Callable[[int], None] = lambda number: None


@dataclass(frozen=True, slots=True)
class Novelty:
    """How many of the instances kept are new here, were here already, or are here with other content."""

    fresh: int
    known: int
    conflicting: int


def import_medium(door: Ingest | Door, path: Path, limits: Limits | None = None) -> Imported:
    """Keep every DICOM file of a folder, a ZIP archive or a single file, durably, and index them.

    One that cannot be kept stops no other.  Raises MediumRefused for a whole archive.
    """
    if path.is_dir():
        return import_entries(door, folder_entries(path))
    if not is_zip(path):
        return import_entries(door, [Entry(path.name, lambda: path.open("rb"))])
    with opened(path, limits or Limits()) as entries:
        return import_entries(door, entries)


def is_zip(path: Path) -> bool:
    """Whether a file begins as ZIP archives do."""
    with path.open("rb") as stream:
        return stream.read(4) in {b"PK\x03\x04", b"PK\x05\x06"}


def import_entries(door: Ingest | Door, entries: Iterable[Entry]) -> Imported:
    """Keep the DICOM files among these."""
    door = Door(door) if isinstance(door, Ingest) else door
    result, names, listed = Imported(), set[str](), list[str]()
    for number, entry in enumerate(entries):
        door.seen(number)
        names.add(entry.name.upper())
        try:
            if entry.refused:
                raise CannotUnderstand(entry.refused)
            take(door, entry, result, listed)
        except IngestError as error:
            result.refused.append((entry.name, str(error)))
    result.missing = [name for name in listed if name.upper() not in names]
    door.ingest.replay()
    return result


def take(door: Door, entry: Entry, result: Imported, listed: list[str]) -> None:
    """Keep one file, unless it is no DICOM; of a DICOMDIR the files that it lists.  Raises IngestError."""
    with reading(entry) as read:
        head = read(HEAD_BYTES)
        if head[PREAMBLE : PREAMBLE + 4] != b"DICM":
            result.passed_over += 1
        elif read_meta(head).sop_class_uid == MediaStorageDirectoryStorage:
            listed += files_of_directory(entry)
        else:
            receipt = keep(door, head, read)
            result.kept += 1
            result.studies.setdefault(receipt.study_instance_uid, set()).add(receipt.sop_instance_uid)


def keep(door: Door, head: bytes, read: Callable[[int], bytes]) -> Receipt:
    """Keep one file as it is; of a large one a piece at a time is in memory.  Raises IngestError."""
    ingest, instance = door.ingest, Incoming.from_file(head, door.source)
    if len(head) < HEAD_BYTES:
        return ingest.accept(instance)
    hasher = blake3(instance.data_set)
    try:
        writing = ingest.begin()
        try:
            writing.write(head)
            while chunk := read(CHUNK_BYTES):
                hasher.update(chunk)
                writing.write(chunk)
            return ingest.accept_written(replace(instance, data_set=b""), writing, hasher.hexdigest())
        finally:
            writing.close()
    except OSError as error:
        raise OutOfResources("the instance could not be written") from error


def novelty(connection: Connection, imported: Imported, since: float) -> Novelty:
    """What of an import that began then is new.  An instance that came twice in it counts once."""
    fresh = conflicting = known = 0
    for uids in imported.studies.values():
        wanted = sorted(uids)
        for start in range(0, len(wanted), AT_ONCE):
            part = wanted[start : start + AT_ONCE]
            came = select(instance_table.c.sop_instance_uid, version.c.kind).join(
                version, version.c.instance_id == instance_table.c.id
            )
            recent = (version.c.created_at >= since) & instance_table.c.sop_instance_uid.in_(part)
            ordered = came.where(recent).order_by(version.c.kind.desc())
            kinds = {uid: kind for uid, kind in connection.execute(ordered)}
            conflicting += sum(kind == "conflicting" for kind in kinds.values())
            fresh += sum(kind == "original" for kind in kinds.values())
            known += len(part) - len(kinds)
    return Novelty(fresh, known, conflicting)


@contextmanager
def reading(entry: Entry) -> Iterator[Callable[[int], bytes]]:
    """Read an entry piece by piece; from a scratched CD or a broken archive raises CannotUnderstand."""
    try:
        stream = entry.open()
    except BROKEN as error:
        raise CannotUnderstand("the file cannot be read") from error

    def read(size: int) -> bytes:
        try:
            return stream.read(size)
        except BROKEN as error:
            raise CannotUnderstand("the file cannot be read") from error

    with stream:
        yield read


def files_of_directory(entry: Entry) -> list[str]:
    """The names that a DICOMDIR lists, relative to the medium.  PS3.3 F.3  Raises CannotUnderstand."""
    with reading(entry) as read:
        content = read(DIRECTORY_BYTES)
    try:
        ds = dcmread(BytesIO(content))
        records: list[Dataset] = list(ds.get("DirectoryRecordSequence") or [])
        found = [record.get("ReferencedFileID") for record in records]
    except UNREADABLE as error:
        raise CannotUnderstand("the DICOMDIR does not decode") from error
    parts = [[name] if isinstance(name, str) else list(name) for name in found if name]
    return [str(PurePosixPath(entry.name).parent.joinpath(*map(str, each))) for each in parts]


def folder_entries(folder: Path) -> Iterator[Entry]:
    """All files below, in a stable order; links are refused: they may lead anywhere."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            yield Entry(name, lambda path=path: path.open("rb"), "a link is not followed")  # type: ignore[misc]
        elif path.is_file():
            yield Entry(name, lambda path=path: path.open("rb"))  # type: ignore[misc]


@contextmanager
def opened(path: Path, limits: Limits) -> Iterator[Iterable[Entry]]:
    """The files of a ZIP archive.  Raises MediumRefused."""
    try:
        archive = ZipFile(path)
    except BROKEN as error:
        raise MediumRefused("This is no ZIP archive that can be read.") from error
    with archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        check_archive(members, path.stat().st_size, limits)
        yield (zip_entry(archive, member) for member in members)


def check_archive(members: list[ZipInfo], size: int, limits: Limits) -> None:
    """Refuse archives that are made to fill disks: too many files, too large, or parts of one another."""
    total = sum(member.file_size for member in members)
    if len(members) > limits.entries:
        raise MediumRefused(f"The archive has more than {limits.entries} files.")
    if total > limits.total_bytes:
        raise MediumRefused(f"The archive unpacks to more than {limits.total_bytes >> 30} GB.")
    if sum(member.compress_size for member in members) > size:
        raise MediumRefused("Files of the archive overlap.")
    if total > limits.small_bytes and total > limits.ratio * size:
        raise MediumRefused(f"The archive unpacks to more than {limits.ratio} times its size.")


def zip_entry(archive: ZipFile, member: ZipInfo) -> Entry:
    """One file of an archive; encrypted ones, links and names that lead out of it are refused."""
    name = member.filename
    refused = ""
    if member.flag_bits & 1:
        refused = "the file is encrypted"
    elif stat.S_ISLNK(member.external_attr >> 16):
        refused = "a link is not followed"
    elif name.startswith("/") or ":" in name or "\\" in name or ".." in PurePosixPath(name).parts:
        refused = "the name leads out of the archive"
    return Entry(name, lambda: cast(BinaryIO, archive.open(member)), refused)
