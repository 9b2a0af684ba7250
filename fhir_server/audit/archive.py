"""A file of whole seals that have left the journal, which proves itself: JSON, one object a line.

{"audit": 1, "keys": [JWK, ...]}: which keys signed, to read it elsewhere; then of each seal its claims with
`signature`, and its entries {"event_id", "content"}: the JSON as it was put down, of which the digests are made; in the
end {"signature"}: a JWT of the digest of all before and of the range.
"""

import hashlib
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fhir_server import wire
from fhir_server.audit.chain import START, Sign, chained, claims, digest, put_down
from fhir_server.store import audit
from fhir_server.store.audit import Seal
from fhir_server.store.database import Database, Row

Check = Callable[[str], Awaitable[Mapping[str, Any] | None]]
Document = dict[str, Any]


async def write(
    database: Database, file: Path, held: tuple[bytes, Sequence[Seal]], keys: Sequence[Any], sign: Sign
) -> None:
    """Write seals that follow a head into a new file that only its owner reads; it is on the disk when this returns.

    Raises FileExistsError.
    """
    previous, seals = held
    whole = hashlib.sha256()
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:

        def add(document: Document) -> None:
            line = wire.dumps(document) + b"\n"
            whole.update(line)
            out.write(line)

        add({"audit": 1, "keys": keys})
        for seal in seals:
            add({**claims(seal, previous), "signature": seal.signature})
            for row in await audit.sealed_rows(database, seal):
                add({"event_id": row["event_id"], "content": content_of(row).decode()})
            previous = seal.head
        add({"signature": await sign(_end(whole.hexdigest(), seals[0].seal, seals[-1].seal))})
        out.flush()
        os.fsync(out.fileno())


def content_of(row: Row) -> bytes:
    """The JSON of an entry as it was put down; empty when it is gone."""
    if row["content"] is not None:
        return bytes(row["content"])
    return put_down(bytes(row["kept"])) if row["kept"] is not None else b""


async def problems_of(file: Path, check: Check) -> list[str]:
    """What is wrong with a file, in words, every digest and signature made anew; nothing when nobody touched it."""
    try:
        return await _Reading(check).of(file)
    except (ValueError, KeyError, TypeError, AttributeError):
        return ["it is no file of audit entries, or not whole"]


class _Reading:
    def __init__(self, check: Check) -> None:
        self.check = check
        self.problems: list[str] = []
        self.seals: list[int] = []
        self.open: Document | None = None
        self.head = START
        self.digests: list[bytes] = []

    async def of(self, file: Path) -> list[str]:
        whole, last = hashlib.sha256(), b""
        for line in _lines(file):
            if last:
                whole.update(last)
                await self._line(wire.loads(last))
            last = line
        await self._close()
        end = await self.check(wire.loads(last)["signature"])
        if not self.seals or end is None or dict(end) != _end(whole.hexdigest(), self.seals[0], self.seals[-1]):
            self.problems.append("it is not the file that was signed")
        return self.problems

    async def _line(self, line: Document) -> None:
        if "seal" in line:
            await self._close()
            self._begin(line)
        elif "event_id" in line:
            self.digests.append(digest(line["content"].encode()))

    def _begin(self, seal: Document) -> None:
        number, previous = int(seal["seal"]), bytes.fromhex(seal["previous"])
        if self.seals and (number != self.seals[-1] + 1 or previous != self.head):
            self.problems.append(f"seal {number} does not follow seal {self.seals[-1]}")
        self.seals.append(number)
        self.open, self.head, self.digests = seal, previous, []

    async def _close(self) -> None:
        """Prove the seal whose entries have been read."""
        if self.open is None:
            return
        signed = {name: value for name, value in self.open.items() if name != "signature"}
        head = chained(self.head, self.digests)
        if len(self.digests) != signed["count"] or head.hex() != signed["head"]:
            self.problems.append(f"seal {signed['seal']}: its events are not those that were sealed")
        if await self.check(self.open["signature"]) != signed:
            self.problems.append(f"seal {signed['seal']}: it is not what was signed")
        self.open, self.head = None, bytes.fromhex(signed["head"])


def _lines(file: Path) -> Iterator[bytes]:
    with file.open("rb") as content:
        yield from content


def _end(whole: str, first: int, last: int) -> Document:
    return {"audit_file": whole, "first": first, "last": last}
