"""One piece of a bulk load: parsed, extracted and written in one transaction, together with its mark.

It goes the way of every write, so index rows, versions and history are those of an update; what a load leaves out is
what belongs to a request: conditions, and the rules of the case, whose steps lie in the past of what is loaded.
"""

import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fhir_server import wire
from fhir_server.admin.sources import NAMED, Piece, wave_of
from fhir_server.admin.unpack import resources_of
from fhir_server.audit.batch import batch_rows
from fhir_server.audit.event import IMPORT, Happening
from fhir_server.context import Context
from fhir_server.errors import FhirError
from fhir_server.interactions.binary import moved_out
from fhir_server.store.audit import append
from fhir_server.store.binaries import kept_of
from fhir_server.store.database import Contention, Transaction
from fhir_server.store.load_marks import set_mark
from fhir_server.store.rows import Write
from fhir_server.store.writer import Existing, Identity, Writer

ATTEMPTS = 10
Resource = dict[str, Any]
# File, line, FHIRPath or place in the Bundle, what is wrong.
Problem = tuple[str, int, str, str]


@dataclass(slots=True)
class Done:
    """What came of a piece. `again`: an earlier run had loaded it."""

    piece: Piece
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    again: bool = False
    problems: list[Problem] = field(default_factory=list)


async def load_piece(ctx: Context, piece: Piece) -> Done:
    """Load it. Raises Contention when others keep changing the same resources."""
    done = Done(piece)
    resources = {(each["resourceType"], each["id"]): each for each in _resources(ctx, piece, done)}
    for attempt in range(ATTEMPTS):
        try:
            async with ctx.node.database.transaction() as transaction:
                await _write(ctx, transaction, resources, done)
            return done
        except Contention:
            await asyncio.sleep(random.uniform(0, 0.05) * 2**attempt)  # noqa: S311
    raise Contention(f"Others keep changing what is loaded from {piece.path.name}.")


def _resources(ctx: Context, piece: Piece, done: Done) -> Iterator[Resource]:
    for line, document in _documents(ctx, piece, done):
        for found in resources_of(document, ctx.node.definitions):
            if isinstance(found, FhirError):
                done.problems.append((str(piece.path), line, found.expression or "", found.diagnostics))
            else:
                yield found


def _documents(ctx: Context, piece: Piece, done: Done) -> Iterator[tuple[int, Any]]:
    """The documents of the piece's wave; what cannot be parsed is reported with the rest."""
    whole = piece.path.suffix == ".json"
    for line, text in piece.documents():
        names = [name.decode() for name in NAMED.findall(text)]
        if not whole and piece.wave not in {wave_of(name) for name in names or ["Basic"]}:
            continue
        try:
            document = wire.loads(text, ctx.node.settings.max_json_depth)
        except FhirError as error:
            if whole or piece.wave == wave_of("Basic"):
                done.problems.append((str(piece.path), line, "", error.diagnostics))
            continue
        if whole or wave_of(_type_of(document)) == piece.wave:
            yield line, document


def _type_of(document: Any) -> str:
    return str(document.get("resourceType")) if isinstance(document, dict) else ""


async def _write(ctx: Context, transaction: Transaction, resources: dict[Identity, Resource], done: Done) -> None:
    done.created = done.updated = done.unchanged = 0
    writer = Writer(transaction, ctx.grants, ctx.node.extractor, ctx.node.numbers)
    extracted = {identity: writer.extractor.extract(resource) for identity, resource in resources.items()}
    if not await set_mark(transaction, done.piece.mark):
        done.again = True
        return
    existing = await writer.existing("update", resources)
    last = await writer.last_versions([identity for identity in resources if identity not in existing])
    writes = []
    for identity, resource in resources.items():
        write = _change(identity, resource, existing.get(identity), done)
        if write is not None:
            write.last_version = last.get(identity, 0)
            if identity[0] == "Binary":
                kept = kept_of(write.old.content) if write.old else None
                write.resource = await moved_out(resource, transaction, kept)
            writes.append(write)
    ready = [extracted[write.resource_type, write.resource_id] for write in writes]
    ctx.trail.show(await writer.write(writes, time.time_ns() // 1000, ready))
    if writes and ctx.node.journal.enabled:
        await append(transaction, batch_rows([ctx.trail.noted(Happening(IMPORT.code, ctx.now, kind=IMPORT))]))


def _change(identity: Identity, resource: Resource, old: Existing | None, done: Done) -> Write | None:
    if old is None:
        done.created += 1
        return Write("create", *identity, resource)
    if _same(old, resource):
        done.unchanged += 1
        return None
    done.updated += 1
    return Write("update", *identity, resource, old.version)


def _same(old: Existing, resource: Resource) -> bool:
    """Whether the stored version says the same, what the server adds to `meta` aside."""
    stored = wire.loads(old.version.content or b"{}")
    return _bare(stored) == _bare(resource)


def _bare(resource: Resource) -> Resource:
    meta = {name: value for name, value in resource.get("meta", {}).items() if name not in {"versionId", "lastUpdated"}}
    return {name: value for name, value in resource.items() if name != "meta"} | ({"meta": meta} if meta else {})
