"""The archive: immutable objects in a folder, each named by the BLAKE3 hash of its bytes.

Written as temporary file, fsync, link, fsync of the folder: after `put` returned, the object survives a power cut,
and before that nobody sees it.  (obstore's local store does not sync; it will serve S3, Azure and Google.)
"""

import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from blake3 import blake3

CHUNK_BYTES = 1 << 20


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

    def put(self, content: Path | Iterable[bytes | memoryview]) -> StoredObject:
        """Keep one object durably.  Raises OSError (disk full, read-only); then nothing is left behind."""
        handle, name = tempfile.mkstemp(dir=self._incoming)
        hasher, size = blake3(), 0
        try:
            with os.fdopen(handle, "wb") as file:
                for chunk in _chunks(content):
                    hasher.update(chunk)
                    size += file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            stored = StoredObject(hasher.hexdigest(), size)
            self._link(name, self.path(stored.key))
        finally:
            os.unlink(name)
        return stored

    def _link(self, name: str, target: Path) -> None:
        folder = target.parent
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            for parent in (folder.parent, self.root):
                sync_folder(parent)
        try:
            os.link(name, target)
        except FileExistsError:
            return
        sync_folder(folder)


def _chunks(content: Path | Iterable[bytes | memoryview]) -> Iterable[bytes | memoryview]:
    if not isinstance(content, Path):
        yield from content
        return
    with content.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def sync_folder(folder: Path) -> None:
    """Make the entries of one folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
