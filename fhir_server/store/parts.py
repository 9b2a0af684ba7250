"""Bytes of large Binaries in parts: kept as they come, read from anywhere, removed when nobody names them.

What is uploaded is written down as loose before its first byte and claimed by the transaction that stores the Binary;
what `$expunge` forgets becomes loose again. `sweep` removes what is loose: so neither a crash in mid-upload nor an
object store that is away leaves bytes for good.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import suppress
from typing import Protocol

from sqlalchemy import bindparam, delete, select

from fhir_server.errors import Unavailable
from fhir_server.store.binaries import Kept, Place, kept_of
from fhir_server.store.database import Contention, Database, Transaction
from fhir_server.store.models import binary_part, loose_bytes
from fhir_server.store.objects import Objects

# A multiple of three: base64 of the parts one after the other is that of the whole.
PART_BYTES = 786_432
AT_ONCE = 500
SWEEP_SECONDS = 600
# No upload takes longer; what is loose for longer was left by a crash.
LONGEST_UPLOAD_SECONDS = 86_400
PART = select(binary_part.c.content).where(
    binary_part.c.key == bindparam("key"), binary_part.c.number == bindparam("number")
)


class Sink(Protocol):
    """Where parts go."""

    @property
    def part_bytes(self) -> int:
        """The size of each part but the last."""

    async def keep(self, key: str, number: int, content: bytes) -> None:
        """Store one part."""


class RowsOf:
    """Parts as rows of a transaction."""

    part_bytes = PART_BYTES

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def keep(self, key: str, number: int, content: bytes) -> None:
        """Insert one row."""
        row = {"key": key, "number": number, "content": content}
        await self._transaction.execute_many(binary_part.insert(), [row])


class Rows:
    """Parts as rows, each in a transaction of its own: an upload holds nobody up."""

    part_bytes = PART_BYTES

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, key: str, number: int, content: bytes) -> None:
        """Insert one row."""
        async with self._database.transaction() as transaction:
            await RowsOf(transaction).keep(key, number, content)


class Keeper:
    """Takes bytes as they come and keeps full parts; `finish` keeps the rest."""

    def __init__(self, sink: Sink, place: Place = "database") -> None:
        self.key = secrets.token_hex(16)
        self.size = 0
        self.place: Place = place
        self._sink = sink
        self._number = 0
        self._waiting = bytearray()

    async def add(self, piece: bytes) -> None:
        """Take some bytes."""
        self._waiting += piece
        self.size += len(piece)
        while len(self._waiting) >= self._sink.part_bytes:
            await self._keep(self._sink.part_bytes)

    async def finish(self) -> Kept:
        """Keep what is left."""
        if self._waiting:
            await self._keep(len(self._waiting))
        return Kept(self.key, self.size, self.place)

    async def _keep(self, size: int) -> None:
        content = bytes(self._waiting[:size])
        del self._waiting[:size]
        await self._sink.keep(self.key, self._number, content)
        self._number += 1


async def parts(
    database: Database, objects: Objects | None, kept: Kept, start: int = 0, end: int | None = None
) -> AsyncIterator[bytes]:
    """The bytes from `start` up to `end`, part by part. Raises Unavailable."""
    if kept.place == "objects" and objects is None:
        raise Unavailable("The store of large contents is not configured.")
    end = kept.size if end is None else end
    size = objects.part_bytes if objects is not None and kept.place == "objects" else PART_BYTES
    for number in range(start // size, -(-end // size)):
        low, high = max(start - number * size, 0), min(end - number * size, size)
        if objects is not None and kept.place == "objects":
            yield await objects.read(kept.key, number, low, high)
        else:
            rows = await database.fetch(PART, {"key": kept.key, "number": number})
            yield rows[0]["content"][low:high]


async def begin(database: Database, keeper: Keeper) -> None:
    """Write down that an upload has begun."""
    async with database.transaction() as transaction:
        row = {"key": keeper.key, "place": keeper.place, "since": time.time_ns() // 1000}
        await transaction.execute_many(loose_bytes.insert(), [row])


async def claim(transaction: Transaction, kept: Kept) -> None:
    """The bytes of an upload belong to a Binary from now on. Raises Unavailable when they have been swept."""
    if not await transaction.execute(delete(loose_bytes).where(loose_bytes.c.key == kept.key)):
        raise Unavailable("The upload took too long.")


async def forget(transaction: Transaction, contents: Iterable[bytes | None]) -> None:
    """Let go of the bytes that these stored Binaries name; objects go with the next sweep."""
    await release(transaction, {kept for content in contents if (kept := kept_of(content)) is not None})


async def release(transaction: Transaction, found: Collection[Kept]) -> None:
    """Let go of these bytes; objects go with the next sweep."""
    await _remove_rows(transaction, [kept.key for kept in found])
    loose = [{"key": kept.key, "place": kept.place, "since": 0} for kept in found if kept.place == "objects"]
    if loose:
        await transaction.execute_many(loose_bytes.insert(), loose)


async def drop(database: Database, objects: Objects | None, key: str, place: str) -> None:
    """Remove what is loose. Raises Unavailable: then it stays written down."""
    if place == "objects":
        if objects is None:
            raise Unavailable("The store of large contents is not configured.")
        await objects.forget(key)
    async with database.transaction() as transaction:
        await _remove_rows(transaction, [key])
        await transaction.execute(delete(loose_bytes).where(loose_bytes.c.key == key))


async def sweep(database: Database, objects: Objects | None, before: int) -> int:
    """Remove what has been loose since before a time (microseconds); gives how many. Raises Unavailable."""
    statement = select(loose_bytes.c.key, loose_bytes.c.place).where(loose_bytes.c.since < before).limit(AT_ONCE)
    found = await database.fetch(statement)
    for row in found:
        await drop(database, objects, row["key"], row["place"])
    return len(found)


async def sweeping(database: Database, objects: Objects | None) -> None:
    """Sweep for as long as the server runs."""
    while True:
        with suppress(Unavailable, Contention):
            await sweep(database, objects, (time.time_ns() // 1000) - LONGEST_UPLOAD_SECONDS * 1_000_000)
        await asyncio.sleep(SWEEP_SECONDS)


async def _remove_rows(transaction: Transaction, keys: Iterable[str]) -> None:
    await transaction.execute(delete(binary_part).where(binary_part.c.key.in_(sorted(keys))))
