"""Proof that nothing was changed, removed or put in since: the chain computed anew, every signature checked.

Where the oldest seals have left (`retention`), it begins at the cut, whose head the server has signed.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server import wire
from fhir_server.audit.batch import events_of, is_batch
from fhir_server.audit.chain import START, chained, claims, digest, put_down
from fhir_server.store import audit
from fhir_server.store.audit import Seal
from fhir_server.store.database import Database, Row
from fhir_server.store.models import LISTED

CheckSignature = Callable[[str], Awaitable[Mapping[str, Any] | None]]
"""The claims of a JWT that the server's key has signed, None for any other."""
SEALS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Proof:
    """One seal that was looked at; `problems` in words, none when it holds."""

    seal: Seal
    problems: tuple[str, ...]


async def verify(database: Database, check: CheckSignature) -> AsyncIterator[Proof]:
    """Look at every seal in order."""
    head, number, at_the_cut = await _beginning(database, check)
    while found := await audit.seals(database, number, SEALS_AT_ONCE):
        for seal in found:
            problems, at_the_cut = at_the_cut, []
            problems += [] if seal.seal == number + 1 else [f"seals {number + 1} to {seal.seal - 1} are missing"]
            problems += await _signature(seal, head, check)
            problems += await _rows(database, seal, head)
            yield Proof(seal, tuple(problems))
            head, number = seal.head, seal.seal


def cut_claims(seal: Seal) -> dict[str, Any]:
    """What the signature of a cut says: the last seal that has left, and the head that the rest goes on from."""
    return {"audit_cut": seal.seal, "head": seal.head.hex()}


async def _beginning(database: Database, check: CheckSignature) -> tuple[bytes, int, list[str]]:
    """The head and number that the first seal follows, and what is wrong with the cut there."""
    cut = await audit.cut(database)
    if cut is None:
        return START, 0, []
    signed = await check(cut)
    if signed is None or "audit_cut" not in signed:
        return START, 0, ["the cut before it is not signed by this server"]
    return bytes.fromhex(signed["head"]), signed["audit_cut"], []


async def _signature(seal: Seal, previous: bytes, check: CheckSignature) -> list[str]:
    if seal.signature is None:
        return ["it is not signed"]
    signed = await check(seal.signature)
    if signed is None:
        return ["its signature is none of this server's"]
    return [] if dict(signed) == claims(seal, previous) else ["it is not what was signed"]


async def _rows(database: Database, seal: Seal, head: bytes) -> list[str]:
    rows = await audit.sealed_rows(database, seal)
    problems: list[str] = []
    if len(rows) != seal.count:
        problems.append(f"it has {len(rows)} entries, {seal.count} were sealed")
    for row in rows:
        problems += await _row(database, row)
    if not problems and chained(head, (bytes(row["digest"]) for row in rows)) != seal.head:
        problems.append("its events are not those that were sealed")
    return problems


async def _row(database: Database, row: Row) -> list[str]:
    """What a row holds, else its resource, against the digest; of a batch also every resource made of it."""
    content = put_down(bytes(row["kept"])) if row["content"] is None and row["kept"] else row["content"]
    if content is None:
        return [f"AuditEvent/{row['event_id']} is gone"]
    if digest(bytes(content)) != bytes(row["digest"]):
        return [f"AuditEvent/{row['event_id']} was changed"]
    return await _batch(database, row) if is_batch(bytes(content)) else []


async def _batch(database: Database, row: Row) -> list[str]:
    events = events_of(row["event_id"], bytes(row["content"]))
    kept, problems = await audit.kept(database, list(events)), []
    for event_id, event in events.items():
        if event_id not in kept and row["state"] == LISTED:
            problems.append(f"AuditEvent/{event_id} is gone")
        elif event_id in kept and put_down(kept[event_id]) != wire.dumps(event):
            problems.append(f"AuditEvent/{event_id} was changed")
    return problems
