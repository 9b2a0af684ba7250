"""A Binary too large for its row names its bytes by a key.  https://hl7.org/fhir/R4/binary.html

In the stored JSON `data` is then absent; `_data` has an extension with the size, the key and the place of its bytes;
the tag SUBSETTED says in every Bundle that something is left out. Keys are never taken from a client.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fhir_server import wire

LARGEST_IN_ROW = 1_000_000
STORED_DATA = "https://konsil.example/fhir/StructureDefinition/stored-data"
SUBSETTED = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
    "display": "subsetted",
}


Place = Literal["database", "objects"]


@dataclass(frozen=True, slots=True)
class Kept:
    """Where the bytes are, and how many."""

    key: str
    size: int
    place: Place = "database"


def kept_of(content: bytes | None) -> Kept | None:
    """Where the data of a stored Binary are, when not in it."""
    if content is None or STORED_DATA.encode() not in content:
        return None
    return pointer(wire.loads(content))


def pointer(resource: Mapping[str, Any]) -> Kept | None:
    """The same of a parsed one."""
    for extension in (resource.get("_data") or {}).get("extension") or ():
        if extension.get("url") == STORED_DATA:
            size, key, *elsewhere = extension["valueString"].split(" ")
            return Kept(key, int(size), "objects" if elsewhere else "database")
    return None


def without_data(resource: Mapping[str, Any], kept: Kept) -> dict[str, Any]:
    """The resource as it is stored: the data named, not held."""
    rest = {name: value for name, value in resource.items() if name not in {"data", "_data"}}
    meta = dict(rest.get("meta") or {})
    meta["tag"] = [*(tag for tag in meta.get("tag", ()) if tag != SUBSETTED), SUBSETTED]
    elsewhere = "" if kept.place == "database" else f" {kept.place}"
    extension = {"url": STORED_DATA, "valueString": f"{kept.size} {kept.key}{elsewhere}"}
    return rest | {"meta": meta, "_data": {"extension": [extension]}}


def with_data(resource: Mapping[str, Any], data: str) -> dict[str, Any]:
    """The resource as it is read: with its data, without what stood for them."""
    meta = dict(resource.get("meta") or {})
    meta["tag"] = [tag for tag in meta.get("tag", ()) if tag != SUBSETTED]
    if not meta["tag"]:
        del meta["tag"]
    rest = {name: value for name, value in resource.items() if name != "_data"}
    return rest | {"meta": meta, "data": data}
