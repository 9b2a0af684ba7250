"""The rules of the case, asked once a transaction, before it is committed."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from fhir_server import wire
from fhir_server.context import Context
from fhir_server.rules.case import Change, enforce
from fhir_server.store.database import Transaction
from fhir_server.store.grants import Everything
from fhir_server.store.repository import Repository
from fhir_server.store.rows import Write
from fhir_server.store.writer import Writer

MOST_FOUND = 1000
HALVES = frozenset({"ServiceRequest", "Task"})


async def enforce_rules(ctx: Context, transaction: Transaction, writer: Writer, written: Sequence[Write]) -> None:
    """Refuse what breaks a rule, and write what the rules add. Raises Unprocessable."""
    everything = ctx.store_in(transaction, Everything(ctx.caller, ctx.node.numbers))
    writer_of_all = ctx.writer(transaction, everything.grants)
    view = _View(ctx, everything, writer_of_all)
    changes = [_change(write) for write in written]
    added = await enforce(changes, ctx.caller, view.load, view.find, partial(ctx.node.client_keys, transaction))
    if added:
        await _write(ctx, writer_of_all, added)


class _View:
    """The whole store inside the transaction, as the rules look at it."""

    def __init__(self, ctx: Context, store: Repository, writer: Writer) -> None:
        self.ctx = ctx
        self.store = store
        self.writer = writer

    async def load(self, reference: str) -> dict[str, Any] | None:
        """One resource by reference; a half of a case is locked, so that it is still the same at commit."""
        resource_type, _, resource_id = reference.partition("/")
        if resource_type in HALVES:
            locked = await self.writer.existing("update", [(resource_type, resource_id)])
            return _parsed(locked[resource_type, resource_id].version.content) if locked else None
        found = await self.store.many([(resource_type, resource_id)])
        return _parsed(found[0].content) if found else None

    async def find(self, resource_type: str, parameters: dict[str, str]) -> list[dict[str, Any]]:
        """Resources that match, at most a thousand."""
        query = self.ctx.node.parser.parse(resource_type, list(parameters.items()))
        query.count = MOST_FOUND
        page = await self.store.search(query)
        return [state for state in (_parsed(version.content) for version in page.matches) if state]


def _parsed(content: bytes | None) -> dict[str, Any] | None:
    state: dict[str, Any] | None = None if content is None else wire.loads(content)
    return state


def _change(write: Write) -> Change:
    return Change(write.interaction, _parsed(write.old.content) if write.old else None, write.stored)


async def _write(ctx: Context, writer: Writer, added: Sequence[Change]) -> None:
    """Write what the rules add; the caller need not be allowed to."""
    identities = [(change.resource_type, str(change.resource["id"])) for change in added]
    existing = await writer.existing("update", identities)
    writes = []
    for change, identity in zip(added, identities, strict=True):
        found = existing.get(identity)
        interaction = change.interaction if found or change.interaction == "delete" else "create"
        writes.append(Write(interaction, *identity, change.new, found.version if found else None))
    await writer.write(writes, ctx.now + 1000)
