"""The work of exports, in steps of at most one file: whoever takes an export up goes on where the last file ended.

Rights are looked at anew in each step: that a client was deactivated or a consent withdrawn counts from then on.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from fhir_server import wire
from fhir_server.audit.batch import batch_rows
from fhir_server.audit.event import EXPORT, Happening
from fhir_server.caller import Caller
from fhir_server.context import Context, Node
from fhir_server.errors import FhirError, Forbidden, Unavailable
from fhir_server.interactions.binary import Upload
from fhir_server.interactions.bulk_export.request import Asked
from fhir_server.interactions.subset import subset
from fhir_server.scopes import grant
from fhir_server.store import auth_registry, exports
from fhir_server.store.audit import append
from fhir_server.store.database import Contention
from fhir_server.store.exported import Part, deleted, living
from fhir_server.store.exports import Advance, Export, File
from fhir_server.store.repository import Version
from konsil.telemetry import logger

LINES_IN_A_FILE = 50_000
PAGE = 500
STEP_SECONDS = 15.0
IDLE_SECONDS = 1.0
SWEEP_SECONDS = 60.0
FAILED = "The server failed; begin the export again."


@dataclass(frozen=True, slots=True)
class Elements:
    """`_elements` of an export."""

    elements: tuple[str, ...]
    summary: str = "false"


async def exporting(node: Node) -> None:
    """Work on exports for as long as the server runs."""
    swept = 0.0
    while True:
        busy = False
        with suppress(Contention, Unavailable):
            if time.monotonic() - swept > SWEEP_SECONDS:
                swept = time.monotonic()
                await sweep(node)
            busy = await run_one(node)
        await asyncio.sleep(0 if busy else IDLE_SECONDS)


async def run_one(node: Node) -> bool:
    """Take up an export and do one step; False when there is nothing to do. Raises Contention, Unavailable."""
    taken = await exports.take(node.database)
    if taken is None:
        return False
    export, lease = taken
    try:
        await _step(node, export, lease)
    except (Contention, Unavailable):
        raise
    except FhirError as error:
        await _failed(node, export, lease, error.diagnostics)
    except Exception:
        logger("fhir_server").exception("an export failed")
        await _failed(node, export, lease, FAILED)
    return True


async def sweep(node: Node) -> None:
    """Remove exports that are old."""
    before = time.time_ns() // 1000 - node.settings.export_kept_seconds * 1_000_000
    for key in await exports.older(node.database, before):
        async with node.database.transaction() as transaction:
            await exports.remove(transaction, key)


async def _failed(node: Node, export: Export, lease: str, problem: str) -> None:
    async with node.database.transaction() as transaction:
        await exports.fail(transaction, export.key, lease, problem)


async def _step(node: Node, export: Export, lease: str) -> None:
    await _still_allowed(node, export.caller)
    now = time.time_ns() // 1000
    terms = await node.consents.terms(node.database, export.caller, now)
    ctx = Context.of(node, export.caller, now, terms=terms)
    async with Upload(ctx) as upload:
        work = _Work(ctx, export, upload)
        await work.run()
        step = await work.come_to()
        async with node.database.transaction() as transaction:
            upload.claimed = await exports.advance(transaction, export.key, lease, step)
            if upload.claimed and ctx.trail.seen and node.journal.enabled:
                happening = Happening(EXPORT.code, now, query=export.request, kind=EXPORT)
                await append(transaction, batch_rows([ctx.trail.noted(happening)]))


async def _still_allowed(node: Node, caller: Caller) -> None:
    """Raises Forbidden when the program is registered no more, or lacks a scope that it asked with."""
    client = await auth_registry.find_client(node.database, caller.client_id)
    if client is None or grant(caller.scopes, client.scopes) != caller.scopes:
        raise Forbidden("The client that asked for this export may not do so any more.")


class _Work:
    """One step: lines of one type until a file is full, the time is up or there is no more."""

    def __init__(self, ctx: Context, export: Export, upload: Upload) -> None:
        self._ctx = ctx
        self._export = export
        self._upload = upload
        self._asked = Asked.of(export.asked)
        self._parts = self._asked.parts()
        self._item, self._after = export.item, export.after
        self._lines = 0
        self._what = ("", "")

    async def run(self) -> None:
        """Write what comes. Raises FhirError."""
        end = time.monotonic() + STEP_SECONDS
        while self._item < len(self._parts) and self._lines < LINES_IN_A_FILE and time.monotonic() < end:
            kind, name, group = self._parts[self._item]
            if self._lines and (kind, name) != self._what:
                return
            found = await self._page(kind, name, group)
            if found:
                self._what, self._after = (kind, name), found[-1].row_id
                self._lines += len(found)
                await self._upload.add(b"".join([self._line(kind, version) for version in found]))
            if len(found) < PAGE:
                self._item, self._after = self._item + 1, 0
            await asyncio.sleep(0)

    async def come_to(self) -> Advance:
        """What the step came to."""
        file = None
        if self._lines:
            number = len(await exports.files(self._ctx.node.database, self._export.key)) + 1
            file = File(number, *self._what, self._lines, await self._upload.finish())
        finished = self._item >= len(self._parts)
        return Advance(self._item, self._after, self._export.done + self._lines, file, finished)

    async def _page(self, kind: str, name: str, group: tuple[str, ...]) -> Sequence[Version]:
        asked = self._asked
        part = Part(name, asked.whole, group, asked.since, asked.ceiling, self._export.created)
        if kind == "deleted":
            return await deleted(self._ctx.store, part, self._after, PAGE)
        return await living(self._ctx.store, part, asked.queries(self._ctx.node, name), self._after, PAGE)

    def _line(self, kind: str, version: Version) -> bytes:
        if kind == "deleted":
            request = {"method": "DELETE", "url": version.reference}
            return (
                wire.dumps({"resourceType": "Bundle", "type": "transaction", "entry": [{"request": request}]}) + b"\n"
            )
        content = version.content or b""
        if self._asked.elements:
            content = subset(content, Elements(self._asked.elements), self._ctx.node.definitions)
        return content + b"\n"
