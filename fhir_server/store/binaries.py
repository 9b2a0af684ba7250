"""Bytes of a Binary too large for its row: kept in parts, named in the row by a key.  https://hl7.org/fhir/R4/binary.html

In the stored JSON `data` is then absent; `_data` has an extension with the key and the size, and the tag SUBSETTED says
in every Bundle that something is left out. Keys are never taken from a client.
"""

import secrets
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, delete, select

from fhir_server import wire
from fhir_server.store.database import Database, Transaction
from fhir_server.store.models import binary_part

# A multiple of three: base64 of the parts one after the other is that of the whole.
PART_BYTES = 786_432
LARGEST_IN_ROW = 1_000_000
STORED_DATA = "https://konsil.example/fhir/StructureDefinition/stored-data"
SUBSETTED = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
    "display": "subsetted",
}
PART = select(binary_part.c.content).where(
    binary_part.c.key == bindparam("key"), binary_part.c.number == bindparam("number")
)


@dataclass(frozen=True, slots=True)
class Kept:
    """Where the bytes are, and how many."""

    key: str
    size: int


class Keeper:
    """Takes bytes as they come and keeps full parts; `finish` keeps the rest."""

    def __init__(self, transaction: Transaction | None = None, database: Database | None = None) -> None:
        self.key = secrets.token_hex(16)
        self.size = 0
        self._transaction = transaction
        self._database = database
        self._number = 0
        self._waiting = bytearray()

    async def add(self, piece: bytes) -> None:
        """Take some bytes."""
        self._waiting += piece
        self.size += len(piece)
        while len(self._waiting) >= PART_BYTES:
            await self._keep(PART_BYTES)

    async def finish(self) -> Kept:
        """Keep what is left."""
        if self._waiting:
            await self._keep(len(self._waiting))
        return Kept(self.key, self.size)

    async def _keep(self, size: int) -> None:
        row = {"key": self.key, "number": self._number, "content": bytes(self._waiting[:size])}
        del self._waiting[:size]
        self._number += 1
        if self._transaction is not None:
            await self._transaction.execute_many(binary_part.insert(), [row])
        elif self._database is not None:
            async with self._database.transaction() as transaction:
                await transaction.execute_many(binary_part.insert(), [row])


async def parts(database: Database, kept: Kept) -> AsyncIterator[bytes]:
    """The bytes, part by part."""
    for number in range(-(-kept.size // PART_BYTES)):
        rows = await database.fetch(PART, {"key": kept.key, "number": number})
        yield rows[0]["content"]


async def forget(transaction: Transaction, contents: Iterable[bytes | None]) -> None:
    """Remove the parts that these stored Binaries name."""
    keys = [kept.key for content in contents if (kept := kept_of(content)) is not None]
    await forget_keys(transaction, keys)


async def forget_keys(transaction: Transaction, keys: Iterable[str]) -> None:
    """Remove parts."""
    await transaction.execute(delete(binary_part).where(binary_part.c.key.in_(sorted(keys))))


def kept_of(content: bytes | None) -> Kept | None:
    """Where the data of a stored Binary are, when not in it."""
    if content is None or STORED_DATA.encode() not in content:
        return None
    return pointer(wire.loads(content))


def pointer(resource: Mapping[str, Any]) -> Kept | None:
    """The same of a parsed one."""
    for extension in (resource.get("_data") or {}).get("extension") or ():
        if extension.get("url") == STORED_DATA:
            size, key = extension["valueString"].split(" ")
            return Kept(key, int(size))
    return None


def without_data(resource: Mapping[str, Any], kept: Kept) -> dict[str, Any]:
    """The resource as it is stored: the data named, not held."""
    rest = {name: value for name, value in resource.items() if name not in {"data", "_data"}}
    meta = dict(rest.get("meta") or {})
    meta["tag"] = [*(tag for tag in meta.get("tag", ()) if tag != SUBSETTED), SUBSETTED]
    extension = {"url": STORED_DATA, "valueString": f"{kept.size} {kept.key}"}
    return rest | {"meta": meta, "_data": {"extension": [extension]}}


def with_data(resource: Mapping[str, Any], data: str) -> dict[str, Any]:
    """The resource as it is read: with its data, without what stood for them."""
    meta = dict(resource.get("meta") or {})
    meta["tag"] = [tag for tag in meta.get("tag", ()) if tag != SUBSETTED]
    if not meta["tag"]:
        del meta["tag"]
    rest = {name: value for name, value in resource.items() if name != "_data"}
    return rest | {"meta": meta, "data": data}
