"""The journal: what has been promised to a sender and is not yet in archive and index.

Append-only segments, one writer each; a record holds a header (JSON), the file's bytes and a BLAKE3 hash over both.
`append` returns when the record is on disk; records written meanwhile by other associations share its flush (group
commit).  A segment is locked by its writer, so a reader knows whether it may still grow.
"""

import fcntl
import json
import logging
import mmap
import os
import struct
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Final

from blake3 import blake3

from dicom_gateway.archive import sync_folder

SEGMENT_BYTES: Final = 128 << 20
AHEAD_BYTES: Final = 16 << 20
BLANK_BYTES: Final = 1 << 20
PREFIX: Final = struct.Struct(">4sIQ32s")
MAGIC: Final = b"KJR1"

logger = logging.getLogger(__name__)

Parts = Sequence[bytes | memoryview]


class _Segment:
    """One file that one writer appends to."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"{time.time_ns():020d}-{uuid.uuid4().hex}.log"
        begun = self.path.with_suffix(".new")  # nobody may see it before it is locked, and take it for finished
        self._descriptor = os.open(begun, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        begun.rename(self.path)
        sync_folder(folder)
        self.size = 0
        self._reserved = 0
        self._synced = 0
        self._sync_lock = Lock()

    def write(self, parts: Parts) -> int:
        """Append one record and tell where it ends; a half-written one is taken back.  Raises OSError."""
        start = self.size
        self._reserve(start + sum(len(part) for part in parts))
        try:
            for part in parts:
                view = memoryview(part)
                while view:
                    view = view[os.write(self._descriptor, view) :]
                self.size += len(part)
        except OSError:
            self.size = self._reserved = start
            os.ftruncate(self._descriptor, start)
            os.lseek(self._descriptor, start, os.SEEK_SET)
            raise
        return self.size

    def _reserve(self, end: int) -> None:
        """Have room ahead, read as zeros: a flush inside of it need neither find blocks nor lengthen the file."""
        if end > self._reserved:
            with suppress(OSError):  # then the write says whether there is room
                os.posix_fallocate(self._descriptor, self.size, end - self.size + AHEAD_BYTES)
            self._reserved = end + AHEAD_BYTES

    def sync(self, end: int) -> None:
        """Return when everything up to `end` is on disk; whoever waits meanwhile is served by the same flush."""
        with self._sync_lock:
            if self._synced >= end:
                return
            target = self.size
            os.fdatasync(self._descriptor)
            self._synced = target

    def close(self) -> None:
        """Flush, and let readers finish the segment."""
        with self._sync_lock:
            os.ftruncate(self._descriptor, self.size)
            os.fdatasync(self._descriptor)
            self._synced = self.size
            os.close(self._descriptor)


class JournalWriter:
    """Appends records durably; any number of threads, one object a process."""

    def __init__(self, folder: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._segment: _Segment | None = None
        self._lock = Lock()
        folder.mkdir(parents=True, exist_ok=True)

    def append(self, header: dict[str, Any], data: Parts) -> None:
        """Write one record; on return it survives a power cut.  Raises OSError, then it was not kept."""
        encoded = json.dumps(header, separators=(",", ":")).encode()
        hasher = blake3(encoded)
        for part in data:
            hasher.update(part)
        prefix = PREFIX.pack(MAGIC, len(encoded), sum(len(part) for part in data), hasher.digest())
        with self._lock:
            segment = self._current()
            end = segment.write((b"".join((prefix, encoded, *data[:-1])), *data[-1:]))  # large is the last part alone
        try:
            segment.sync(end)
        except OSError:
            self._abandon(segment)  # after a failed flush nobody knows what is on disk: never write there again
            raise

    def close(self) -> None:
        """Close the current segment."""
        with self._lock:
            if self._segment is not None:
                self._segment.close()
                self._segment = None

    def _current(self) -> _Segment:
        if self._segment is not None and self._segment.size >= self._segment_bytes:
            full, self._segment = self._segment, None
            full.close()
        if self._segment is None:
            self._segment = _Segment(self._folder)
        return self._segment

    def _abandon(self, segment: _Segment) -> None:
        with self._lock:
            if self._segment is segment:
                self._segment = None


@dataclass(frozen=True, slots=True)
class Record:
    """One record as read: its header, the file's bytes (valid while its segment is open), and where it ends."""

    header: dict[str, Any]
    data: memoryview
    end: int


def segments(folder: Path) -> list[Path]:
    """List the segments, oldest first."""
    return sorted(folder.glob("*.log"))


def read_segment(path: Path, position: int, take: Callable[[Iterator[Record]], None]) -> None:
    """Hand the whole records from `position` on to `take`, as far as they are written."""
    size = path.stat().st_size
    if size <= position:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as mapped:
        view = memoryview(mapped)
        records = _records(view, position)
        try:
            take(records)
        finally:
            records.close()
            view.release()


def read_whole(path: Path, take: Callable[[Iterator[Record]], None]) -> None:
    """Hand every whole record of a torn part on to `take`, those behind a break too."""
    if path.stat().st_size < PREFIX.size:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        view = memoryview(mapped)
        records = _whole(mapped, view)
        try:
            take(records)
        finally:
            records.close()
            view.release()


def _whole(mapped: mmap.mmap, view: memoryview) -> Generator[Record, None, None]:
    position = 0
    while (position := mapped.find(MAGIC, position)) >= 0:
        before = position
        for record in _records(view, position):
            yield record
            position = record.end
        position = max(position, before + 1)


def _records(view: memoryview, position: int) -> Generator[Record, None, None]:
    while (record := _record(view, position)) is not None:
        try:
            yield record
        finally:
            record.data.release()
        position = record.end


def _record(view: memoryview, position: int) -> Record | None:
    start = position + PREFIX.size
    if start > len(view):
        return None
    magic, header_size, data_size, digest = PREFIX.unpack_from(view, position)
    end = start + header_size + data_size
    if magic != MAGIC or end > len(view):
        return None
    with view[start:end] as body:
        if blake3(body).digest() != digest:
            return None
    header = json.loads(bytes(view[start : start + header_size]))
    return Record(header, view[start + header_size : end], end)


def finished(path: Path) -> bool:
    """Whether the writer of a segment is gone, so that it grows no more.  To be asked before it is read."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def retire(path: Path, position: int) -> None:
    """Remove a segment that was finished before it was taken in up to `position`.

    A rest that is no record (a write that a crash cut short, never acknowledged) is kept beside as `.torn`; the room
    that a killed writer had reserved is none.
    """
    if _is_blank(path, position):
        path.unlink()
    else:
        logger.warning("journal segment %s ends in an unfinished record", path.name)
        path.rename(path.with_suffix(".torn"))


def _is_blank(path: Path, position: int) -> bool:
    with path.open("rb") as file:
        file.seek(position)
        return all(chunk.count(0) == len(chunk) for chunk in iter(lambda: file.read(BLANK_BYTES), b""))
