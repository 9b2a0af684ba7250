"""The rules of the case, asked once a transaction, before it is committed."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from fhir_server import wire
from fhir_server.context import Context
from fhir_server.rules.case import RULED, Change, Store, enforce
from fhir_server.rules.change import Proof
from fhir_server.rules.material import is_quarantined
from fhir_server.rules.opinion import CONCORDANCE, is_concordance
from fhir_server.store import auth_signing
from fhir_server.store.database import Transaction
from fhir_server.store.grants import Everything
from fhir_server.store.repository import Repository
from fhir_server.store.rows import Write
from fhir_server.store.writer import Writer

MOST_FOUND = 1000
HALVES = frozenset({"ServiceRequest", "Task"})


async def enforce_rules(ctx: Context, transaction: Transaction, writer: Writer, written: Sequence[Write]) -> None:
    """Refuse what breaks a rule, and write what the rules add. Raises Unprocessable.

    What no rule is about is not parsed for them; where a rule looks for it, it is found in the transaction.
    """
    changes = [_change(write) for write in written if _is_ruled(write)]
    if not changes:
        return
    everything = ctx.store_in(transaction, Everything(ctx.caller, ctx.node.numbers))
    writer_of_all = ctx.writer(transaction, everything.grants)
    view = _View(ctx, everything, writer_of_all)
    proof = partial(_proof, ctx, transaction) if ctx.node.settings.signing_proof else None
    store = Store(view.load, view.find, partial(ctx.node.client_keys, transaction), proof)
    added = await enforce(changes, ctx.caller, store)
    if added:
        await _write(ctx, writer_of_all, added)


async def _proof(ctx: Context, transaction: Transaction, resource: str, sha256: str) -> Proof | None:
    """Use up the caller's proof for what they sign; a transaction that fails leaves it unused."""
    signer = ctx.caller.subject, ctx.caller.client_id
    row = await auth_signing.use(transaction, signer, resource, sha256, ctx.now / 1_000_000)
    return None if row is None else Proof(tuple(row["amr"].split()), int(row["auth_time"]))


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


def _is_ruled(write: Write) -> bool:
    """Whether a rule may be about it: by its type, by the label of quarantine, by the code of a comparison."""
    old, new = write.old, write.stored
    if write.resource_type in RULED or (new is not None and is_quarantined(new) != bool(old and old.quarantined)):
        return True
    if write.resource_type != "Observation":
        return False
    return is_concordance(new) or (old is not None and CONCORDANCE.encode() in (old.content or b""))


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
