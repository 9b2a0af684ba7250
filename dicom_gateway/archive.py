"""The archive: immutable objects in a folder, each named by the BLAKE3 hash of its bytes.

Written as temporary file, fsync, rename, fsync of the folder: after `put` returned, the object survives a power cut,
and before that nobody sees it.  What the journal holds besides is placed at once and flushed later, many together.
(obstore's local store does not sync; it will serve S3, Azure and Google.)
"""

import contextlib
import os
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from blake3 import blake3

CHUNK_BYTES = 1 << 20
UNFINISHED_SECONDS = 86_400
FLUSHES_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object of the archive: its key (the hash) and its size in bytes."""

    key: str
    size: int


class Archive:
    """Keeps objects below `root`; equal bytes are kept once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._incoming = root / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)

    def path(self, key: str) -> Path:
        """Tell where the object lies (or would lie)."""
        return self.root / "objects" / key[:2] / f"{key}.dcm"

    def open(self, key: str) -> BinaryIO:
        """Open one object for reading; raises FileNotFoundError."""
        return self.path(key).open("rb")

    def begin(self) -> "Writing":
        """Begin an object whose bytes come one after the other.  Raises OSError."""
        return Writing(self, self._incoming)

    def put(self, content: Path | Iterable[bytes | memoryview]) -> StoredObject:
        """Keep one object durably.  Raises OSError (disk full, read-only); then nothing is left behind."""
        writing = self.begin()
        try:
            for chunk in _chunks(content):
                writing.write(chunk)
            return writing.finish()
        finally:
            writing.close()

    def place(self, content: bytes | memoryview) -> StoredObject:
        """Put one object in its place, where it is seen at once; durable when `settle` has returned.  Raises OSError.

        For what lies elsewhere durably until then.  What is there already is replaced: it may have been cut short.
        """
        stored = StoredObject(blake3(content).hexdigest(), len(content))
        target, begun = self.path(stored.key), f"{self._incoming}/{stored.key}"
        try:
            with open(begun, "wb", buffering=0, opener=_private) as file:
                view = memoryview(content)
                while view:
                    view = view[file.write(view) :]
            _rename(begun, target)
        except OSError:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(begun)
            raise
        return stored

    def settle(self, keys: Iterable[str]) -> None:
        """Make objects that were placed durable: flushed side by side, each folder once.  Raises OSError."""
        paths = [self.path(key) for key in keys]
        folders = {path.parent for path in paths}
        with ThreadPoolExecutor(FLUSHES_AT_ONCE) as pool:
            list(pool.map(_sync_file, paths))
            list(pool.map(sync_folder, folders | {folder.parent for folder in folders} | {self.root}))

    def sweep(self) -> None:
        """Remove what a killed process left unfinished: files that nobody has written to for a day."""
        old = time.time() - UNFINISHED_SECONDS
        for path in self._incoming.iterdir():
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < old:
                    path.unlink()

    def link(self, name: str, key: str) -> Path:
        """Give a durable file its place; gives the folder, which is to be flushed yet.  Raises OSError."""
        target = self.path(key)
        folder = target.parent
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            for parent in (folder.parent, self.root):
                sync_folder(parent)
        os.replace(name, target)  # what is there may have been placed and not be on the disk yet
        return folder


class Writing:
    """One object on its way into the archive, hashed as it comes; nobody sees it before `finish`."""

    def __init__(self, archive: Archive, folder: Path) -> None:
        handle, self.name = tempfile.mkstemp(dir=folder)
        self._archive = archive
        self._file = os.fdopen(handle, "w+b")
        self._hasher, self._size = blake3(), 0

    def write(self, chunk: bytes | memoryview) -> None:
        """Append.  Raises OSError."""
        self._hasher.update(chunk)
        self._size += self._file.write(chunk)

    def reread(self, offset: int) -> BinaryIO:
        """What has been written, from a place on; valid until `close`."""
        self._file.flush()
        self._file.seek(offset)
        return self._file

    def flush(self) -> StoredObject:
        """Bring its bytes to the disk.  Raises OSError."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return StoredObject(self._hasher.hexdigest(), self._size)

    def finish(self) -> StoredObject:
        """Make it durable and visible.  Raises OSError."""
        stored = self.flush()
        sync_folder(self._archive.link(self.name, stored.key))
        return stored

    def close(self) -> None:
        """Leave nothing behind but what was finished."""
        with contextlib.suppress(OSError):  # a full disk says so once more
            self._file.close()
        with contextlib.suppress(FileNotFoundError):  # it has its place
            os.unlink(self.name)


def _chunks(content: Path | Iterable[bytes | memoryview]) -> Iterable[bytes | memoryview]:
    if not isinstance(content, Path):
        yield from content
        return
    with content.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)


def _rename(begun: str, target: Path) -> None:
    try:
        os.rename(begun, target)
    except FileNotFoundError:  # the first of its folder
        target.parent.mkdir(parents=True, exist_ok=True)
        os.rename(begun, target)


def _sync_file(path: Path) -> None:
    """Make one file durable, if nobody has removed it since."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make the entries of one folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
