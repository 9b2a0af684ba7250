"""The canonical resources of hl7.fhir.r4.core in one compressed file, each read when it is asked for.

Compiled once out of the package, beside it, like `definitions.py` does: blocks of deflated JSON, then an index, then
its place and length. Narrative, publishers, mappings to other standards and differentials of structures are left out.
"""

import hashlib
import mmap
import os
import struct
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson

FORMAT = 1
CANONICAL_TYPES = ("CodeSystem", "ConceptMap", "NamingSystem", "OperationDefinition", "StructureDefinition", "ValueSet")
LEFT_OUT = ("text", "contact", "publisher", "mapping", "differential")
FOOTER = struct.Struct("<QQ")
IndexRow = tuple[str, str, str, int, int]
Resource = dict[str, Any]


class Shelf:
    """An open file; `rows` are (type, url, version, offset, length)."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        offset, length = FOOTER.unpack(self._bytes[-FOOTER.size :])
        self.rows: list[IndexRow] = orjson.loads(zlib.decompress(self._bytes[offset : offset + length]))

    def read(self, offset: int, length: int) -> Resource:
        """One resource."""
        resource: Resource = orjson.loads(zlib.decompress(self._bytes[offset : offset + length]))
        return resource


def open_shelf(package: Path) -> Shelf:
    """Open the compiled file of a package, made on first use. Raises FileNotFoundError without the package."""
    digest = hashlib.sha256(package.read_bytes()).hexdigest()[:16]
    path = package.with_name(f"{package.stem}-{digest}-shelf-{FORMAT}.bin")
    if not path.exists():
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        _compile(_canonical_resources(package), temporary)
        temporary.replace(path)
    return Shelf(path)


def _compile(resources: Iterable[Resource], path: Path) -> None:
    rows: list[IndexRow] = []
    offset = 0
    with path.open("wb") as file:
        for resource in resources:
            block = zlib.compress(orjson.dumps(_slim(resource)), 9)
            version = resource.get("version", "")
            rows.append((resource["resourceType"], resource["url"], version, offset, len(block)))
            offset += file.write(block)
        index = zlib.compress(orjson.dumps(rows), 9)
        file.write(index)
        file.write(FOOTER.pack(offset, len(index)))


def _canonical_resources(package: Path) -> Iterator[Resource]:
    with tarfile.open(package) as archive:
        for member in archive:
            parts = Path(member.name).parts
            if len(parts) != 2 or parts[1].partition("-")[0] not in CANONICAL_TYPES:
                continue
            stream = archive.extractfile(member)
            resource = orjson.loads(stream.read()) if stream is not None else {}
            if resource.get("resourceType") in CANONICAL_TYPES and resource.get("url"):
                yield resource


def _slim(resource: Resource) -> Resource:
    slim = {name: value for name, value in resource.items() if name not in LEFT_OUT}
    for element in slim.get("snapshot", {}).get("element", ()):
        element.pop("mapping", None)
    return slim
