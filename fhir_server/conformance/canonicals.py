"""What a canonical URL means on this server.  https://hl7.org/fhir/R4/references.html#canonical

`Canonicals.resolve("http://...|1.0")` answers at once and without a database: R4's own definitions lie in a file beside
the package (`shelf.py`), those of `profiles/` and those stored as resources (loaded packages among them) in memory,
deflated. `store/stored_canonicals.py` keeps the stored ones fresh: a write of this process counts from the next request
on, that of another within five seconds. `generation` rises with every change: whoever compiles something from a
definition drops it when the number is another.
"""

import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from fhir_server import wire
from fhir_server.conformance.shelf import CANONICAL_TYPES, Shelf

__all__ = ["CANONICAL_TYPES", "Canonicals", "Resource", "split"]

Resource = dict[str, Any]
PARSED = 128
PART = re.compile(r"\d+|[^\d.\-+_]+")
STORED, OWN, CORE = 2, 1, 0
RELEASE = "4.0.1"


@dataclass(frozen=True, slots=True)
class Entry:
    """One definition: where it comes from (`rank`: stored before our own before R4's) and how to read it."""

    resource_type: str
    url: str
    version: str
    rank: int
    status: str
    place: tuple[int, int] | None = None
    deflated: bytes = b""
    supplements: str = ""

    @property
    def order(self) -> tuple[bool, int, list[tuple[int, int, str]]]:
        """What wins when no version is asked for: not retired, stored, the newest version."""
        return self.status != "retired", self.rank, _version_order(self.version)


class Canonicals:
    """All definitions that this server knows, by canonical URL. What it returns is shared: it may not be changed."""

    def __init__(self, shelf: Shelf | None = None, own: Iterable[Resource] = ()) -> None:
        self.generation = 0
        self._shelf = shelf
        self._stored: dict[int, Entry] = {}
        self._entries: dict[str, tuple[Entry, ...]] = {}
        self._parsed = lru_cache(maxsize=PARSED)(self._parse)
        for resource_type, url, version, offset, length in shelf.rows if shelf else ():
            self._add(Entry(resource_type, url, version, CORE, "active", (offset, length)))
        for resource in own:
            if resource.get("resourceType") in CANONICAL_TYPES and resource.get("url"):
                self._add(_entry(resource, OWN))

    def resolve(self, canonical: str, resource_type: str | None = None) -> Resource | None:
        """The definition of a canonical, `url` or `url|version`; None when this server has none.

        Without a version: a stored one before our own before R4's, then the newest. A version may be named in part
        (`4.0` is met by `4.0.1`). The result is shared, so it must not be changed.
        """
        found = self.find(canonical, resource_type)
        return None if found is None else self._parsed(found)

    def find(self, canonical: str, resource_type: str | None = None) -> Entry | None:
        """Like `resolve`, without reading the definition."""
        return max(self.candidates(canonical, resource_type), key=lambda one: one.order, default=None)

    def candidates(self, canonical: str, resource_type: str | None = None) -> list[Entry]:
        """Every definition that the canonical may mean."""
        url, version = split(canonical)
        entries = [one for one in self._entries.get(url, ()) if resource_type in {None, one.resource_type}]
        if version:
            exact = [one for one in entries if one.version == version]
            entries = exact or [one for one in entries if _is_named_in_part(one, version)]
        return entries

    def of_type(self, resource_type: str) -> list[Entry]:
        """Every definition of a type, ordered by URL."""
        return [
            one for url in sorted(self._entries) for one in self._entries[url] if one.resource_type == resource_type
        ]

    def read(self, entry: Entry) -> Resource:
        """The definition of an entry; shared, so it must not be changed."""
        return self._parsed(entry)

    def supplements_of(self, url: str) -> list[Resource]:
        """The stored supplements of a code system.  https://hl7.org/fhir/R4/codesystem.html#supplements"""
        entries = [one for one in self._stored.values() if split(one.supplements)[0] == url]
        return [self._parsed(one) for one in entries]

    @property
    def stored(self) -> Mapping[int, Entry]:
        """What the database holds, by row id."""
        return self._stored

    def replace_stored(self, gone: Sequence[int], found: Mapping[int, bytes]) -> None:
        """Take over a change of the stored definitions: rows that are gone, and the bytes of new and changed ones."""
        for row_id in {*gone, *found} & self._stored.keys():
            self._remove(self._stored.pop(row_id))
        for row_id, content in found.items():
            resource = orjson.loads(content)  # only what it is called is looked at here
            if isinstance(resource.get("url"), str):
                self._stored[row_id] = _entry(resource, STORED, content)
                self._add(self._stored[row_id])
        if gone or found:
            self.generation += 1

    def _add(self, entry: Entry) -> None:
        self._entries[entry.url] = (*self._entries.get(entry.url, ()), entry)

    def _remove(self, entry: Entry) -> None:
        rest = tuple(one for one in self._entries[entry.url] if one is not entry)
        if rest:
            self._entries[entry.url] = rest
        else:
            del self._entries[entry.url]

    def _parse(self, entry: Entry) -> Resource:
        if entry.place is not None and self._shelf is not None:
            return self._shelf.read(*entry.place)
        resource: Resource = wire.loads(zlib.decompress(entry.deflated))
        return resource


def _is_named_in_part(entry: Entry, version: str) -> bool:
    """4.0 for 4.0.1; and R4's own definitions name each other by the release, whatever their own version."""
    return entry.version.startswith(version + ".") or (version == RELEASE and entry.rank == CORE)


def split(canonical: str) -> tuple[str, str]:
    """URL and version (empty: none)."""
    url, _, version = canonical.partition("|")
    return url, version


def _entry(resource: Resource, rank: int, content: bytes | None = None) -> Entry:
    body = zlib.compress(wire.dumps(resource) if content is None else content, 1)
    version = str(resource.get("version") or "")
    status, supplements = str(resource.get("status")), str(resource.get("supplements") or "")
    return Entry(resource["resourceType"], resource["url"], version, rank, status, None, body, supplements)


def _version_order(version: str) -> list[tuple[int, int, str]]:
    """Numbers by size, words before numbers: 7.0.0 after 6.1.0 after 6.1.0-ballot."""
    parts = [(1, int(part), "") if part.isdigit() else (-1, 0, part) for part in PART.findall(version)]
    return [*parts, (0, 0, "")]
