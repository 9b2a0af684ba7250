"""The chain: each event has a digest, each seal chains those of a batch to the seal before, and the server signs it.

Whoever changes, removes or inserts an event later would have to make its seal and every one after it anew, and cannot
sign them. Seals are linked too, so that none can be taken out; what remains possible, cutting off the end, shows
against a head that was noted elsewhere (each one is logged).
"""

import hashlib
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from fhir_server import wire
from fhir_server.store import audit
from fhir_server.store.audit import Seal
from fhir_server.store.database import Database
from fhir_server.store.models import UNSEALED
from konsil.telemetry import logger

Sign = Callable[[Mapping[str, Any]], Awaitable[str]]
START = b"\0" * 32
STORED = frozenset({"versionId", "lastUpdated"})
MOST_IN_A_SEAL = 500


def digest(event: bytes) -> bytes:
    """The digest of an event as it was put down: SHA-256 over its JSON."""
    return hashlib.sha256(event).digest()


def put_down(resource: bytes) -> bytes:
    """The JSON of an event as it was put down, from its resource: without what storing adds to `meta`."""
    event = wire.loads(resource)
    meta = {name: value for name, value in event.pop("meta", {}).items() if name not in STORED}
    head = {name: event.pop(name) for name in ("resourceType", "id")}
    return wire.dumps(head | ({"meta": meta} if meta else {}) | event)


def chained(previous: bytes, digests: Iterable[bytes]) -> bytes:
    """The head after these digests: SHA-256 over the head before and a digest, one after the other."""
    for each in digests:
        previous = hashlib.sha256(previous + each).digest()
    return previous


def claims(seal: Seal, previous: bytes) -> dict[str, Any]:
    """What the signature of a seal says."""
    return {
        "seal": seal.seal,
        "sealed_at": seal.sealed_at,
        "count": seal.count,
        "previous": previous.hex(),
        "head": seal.head.hex(),
    }


class Sealer:
    """Chains what is unsealed, and signs. `signature_of` makes a JWT of claims with the server's key."""

    def __init__(self, database: Database, signature_of: Sign) -> None:
        self.database = database
        self.signature_of = signature_of

    async def seal(self) -> int:
        """Seal everything there is now; gives the number of events. Only one process does it at a time."""
        total = 0
        while await audit.waiting(self.database, UNSEALED, 1):
            count = await self._seal_some()
            total += count
            if count < MOST_IN_A_SEAL:  # what comes meanwhile waits for the next second, not for a seal of its own
                break
        return total

    async def _seal_some(self) -> int:
        async with self.database.transaction() as transaction:
            await audit.alone(transaction, audit.SEALER)
            rows = await audit.unsealed(transaction, MOST_IN_A_SEAL)
            if not rows:
                return 0
            last = await audit.last_seal(transaction)
            seal = Seal(
                seal=last.seal + 1 if last else 1,
                sealed_at=time.time_ns() // 1000,
                first=rows[0]["position"],
                last=rows[-1]["position"],
                count=len(rows),
                head=chained(last.head if last else START, (bytes(row["digest"]) for row in rows)),
            )
            await audit.add_seal(transaction, seal, [row["position"] for row in rows])
        return len(rows)

    async def sign(self) -> None:
        """Sign what is not signed, outside the transaction: what a crash leaves unsigned the next run signs."""
        for seal in await audit.unsigned(self.database):
            before = await audit.seals(self.database, seal.seal - 2, 1) if seal.seal > 1 else []
            signature = await self.signature_of(claims(seal, before[0].head if before else START))
            async with self.database.transaction() as transaction:
                await audit.sign(transaction, seal.seal, signature)
            logger("fhir_server").info("audit seal %d: %d events, head %s", seal.seal, seal.count, seal.head.hex())
