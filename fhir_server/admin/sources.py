"""Files of resources cut into pieces that are loaded by themselves.

NDJSON (https://hl7.org/fhir/uv/bulkdata/STU2/) is cut at lines, a JSON file (a Bundle or a resource) is one piece. What
others are about goes first: who a resource belongs to is known when it comes.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PIECE_BYTES = 2_000_000
SUFFIXES = {".json", ".ndjson", ".jsonl"}
FIRST, REST, ABOUT_OTHERS = 0, 1, 2
# Patients first; last what belongs to whom its target belongs to.
WAVES = {"Patient": FIRST, "Provenance": ABOUT_OTHERS, "AuditEvent": ABOUT_OTHERS, "Binary": ABOUT_OTHERS}
NAMED = re.compile(rb'"resourceType"\s*:\s*"(\w+)"')


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes `start` to `end` of a file, from line `line` on, of which this time those of one wave are loaded."""

    path: Path
    start: int
    end: int
    line: int
    wave: int
    mark: str

    @property
    def size(self) -> int:
        """Bytes."""
        return self.end - self.start

    def documents(self) -> Iterator[tuple[int, bytes]]:
        """Every line with its number; of a JSON file the whole, as of line 1."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            content = file.read(self.size)
        if self.path.suffix == ".json":
            yield 1, content
            return
        for number, line in enumerate(content.split(b"\n"), self.line):
            if line.strip():
                yield number, line


def files_of(places: Iterable[Path]) -> list[Path]:
    """The files named, and in folders those that look like resources."""
    found: list[Path] = []
    for place in places:
        below = (path for path in place.rglob("*") if path.suffix in SUFFIXES and path.is_file())
        found.extend(sorted(below) if place.is_dir() else [place])
    return list(dict.fromkeys(path.resolve() for path in found))


def pieces_of(paths: Iterable[Path]) -> list[Piece]:
    """All pieces, those of the first wave first. `mark` is the same in a later run unless the file was changed."""
    pieces = [piece for path in paths for piece in _cut(path)]
    return sorted(pieces, key=lambda piece: piece.wave)


def wave_of(resource_type: str) -> int:
    """When resources of a type are loaded."""
    return WAVES.get(resource_type, REST)


def _cut(path: Path) -> Iterator[Piece]:
    state = path.stat()
    identity = hashlib.sha256(json.dumps([str(path), state.st_size, state.st_mtime_ns]).encode()).hexdigest()[:24]
    for start, end, line, waves in _ranges(path):
        for wave in waves:
            yield Piece(path, start, end, line, wave, f"{identity} {wave} {start}")


def _ranges(path: Path) -> Iterator[tuple[int, int, int, list[int]]]:
    """Where to cut, the first line's number, and which waves there is something for."""
    if path.suffix == ".json":
        yield 0, path.stat().st_size, 1, [REST]
        return
    start, line = 0, 1
    with path.open("rb") as file:
        while content := file.read(PIECE_BYTES):
            content += file.readline()
            names = {name.decode() for name in NAMED.findall(content)}
            yield start, start + len(content), line, sorted({wave_of(name) for name in names} | {REST})
            start, line = start + len(content), line + content.count(b"\n")
