"""Proof that nothing was changed, removed or put in since: the chain computed anew, every signature checked."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server import wire
from fhir_server.audit.chain import START, claims, link
from fhir_server.store import audit
from fhir_server.store.audit import Seal
from fhir_server.store.database import Database, Row

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
    head, number = START, 0
    while found := await audit.seals(database, number, SEALS_AT_ONCE):
        for seal in found:
            problems = [] if seal.seal == number + 1 else [f"seals {number + 1} to {seal.seal - 1} are missing"]
            problems += await _signature(seal, head, check)
            problems += _rows(seal, head, await audit.sealed_rows(database, seal))
            yield Proof(seal, tuple(problems))
            head, number = seal.head, seal.seal


async def _signature(seal: Seal, previous: bytes, check: CheckSignature) -> list[str]:
    if seal.signature is None:
        return ["it is not signed"]
    signed = await check(seal.signature)
    if signed is None:
        return ["its signature is none of this server's"]
    return [] if dict(signed) == claims(seal, previous) else ["it is not what was signed"]


def _rows(seal: Seal, head: bytes, rows: list[Row] | Any) -> list[str]:
    problems: list[str] = []
    if len(rows) != seal.count:
        problems.append(f"it has {len(rows)} events, {seal.count} were sealed")
    for row in rows:
        content = row["kept"] if row["content"] is None else row["content"]
        if content is None:
            problems.append(f"AuditEvent/{row['event_id']} is gone")
        elif link(head, wire.loads(bytes(content))) != bytes(row["digest"]):
            problems.append(f"AuditEvent/{row['event_id']} was changed")
        head = bytes(row["digest"])
    if not problems and head != seal.head:
        problems.append("its last event is not the one that was sealed")
    return problems
