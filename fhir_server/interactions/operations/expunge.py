"""`$expunge`: removing for good what is deleted or superseded, by administrators.  docs/fhir.md

No operation of HL7's: parameters and answer are those that other servers have. What must be kept is refused:
AuditEvent, Provenance, what somebody has signed, what is under legal hold (a security label), and what the rules of the
case keep from being deleted. What was removed is written down as an AuditEvent in the same transaction.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import uuid4

from fhir_server import wire
from fhir_server.audit.event import DESTROY
from fhir_server.context import Context
from fhir_server.errors import Forbidden, Invalid, NotFound, Unavailable, Unprocessable
from fhir_server.interactions.commit import commit_then
from fhir_server.interactions.operation import Operation, Outcome
from fhir_server.interactions.operations import Document, Invocation, OperationDefinition
from fhir_server.interactions.operations.parameters import parameter, parameters_resource
from fhir_server.search.dates import instant
from fhir_server.store.database import Transaction
from fhir_server.store.expunge import Identity, candidates, remove_history, versions
from fhir_server.store.grants import Everything
from fhir_server.store.parts import sweep
from fhir_server.store.repository import Version
from fhir_server.store.rows import LABEL, Write
from fhir_server.store.writer import Writer

DEFINITION = "https://konsil.example/fhir/OperationDefinition/expunge"
LEGAL_HOLD = "legal-hold"
KEPT_TYPES = frozenset({"AuditEvent", "Provenance"})
FLAGS = ("expungeEverything", "expungeDeletedResources", "expungePreviousVersions")
DEFAULT_LIMIT, MOST = 1000, 10_000


class Kept(Unprocessable):
    """It must be kept; the text says why."""


@dataclass(slots=True)
class Removed:
    """How many versions of which resources are gone, and how many resources had to be kept."""

    versions: int = 0
    resources: list[Identity] = field(default_factory=list)
    kept: int = 0


async def run(call: Invocation) -> Document:
    """Remove for good. Of one resource all (`expungeEverything`), else what is deleted or (and) superseded; of a type
    or the whole system at most `limit` resources, those that must be kept passed over.

    Raises Forbidden for anybody but an administrator, Kept, NotFound, Invalid.
    """
    _check_caller(call)
    flags = {name for name in FLAGS if call.parameters.flag(name)}
    if not flags:
        raise Invalid(f"One of {', '.join(FLAGS)} must be true.")
    if call.resource_type is None or call.resource_id is None:
        if "expungeEverything" in flags:
            raise Invalid("Everything is expunged of one resource at a time.")
        return await _swept(call.ctx, await _of_many(call, flags))
    identity = call.resource_type, call.resource_id
    if "expungeEverything" in flags:
        return await _swept(call.ctx, await _everything(call.ctx, identity))
    return await _swept(call.ctx, await _of_one(call.ctx, identity, flags))


async def _swept(ctx: Context, removed: Removed) -> Document:
    """The answer, the objects of what is gone removed at once; those of a store that is away go with a later sweep."""
    with suppress(Unavailable):
        await sweep(ctx.node.database, ctx.node.objects, 1)
    return _answer(removed)


def _check_caller(call: Invocation) -> None:
    if "administrator" not in call.ctx.caller.roles:
        raise Forbidden("Only an administrator may expunge.")
    call.ctx.grants.restriction("delete", call.resource_type or "Patient")


async def _everything(ctx: Context, identity: Identity) -> Removed:
    """Delete by the rules of every delete, then remove what is left of it, in one transaction."""

    async def finish(transaction: Transaction, outcomes: list[Outcome]) -> Removed:
        removed = Removed()
        await _remove(ctx, transaction, identity, removed)
        await _write_down(ctx, transaction, removed)
        return removed

    return await commit_then(ctx, [Operation("delete", *identity)], finish)


async def _of_one(ctx: Context, identity: Identity, flags: set[str]) -> Removed:
    removed = Removed()
    async with ctx.node.database.transaction() as transaction:
        living, former = await versions(transaction, identity)
        if living is None and not former:
            raise NotFound(f"{'/'.join(identity)} is not known.")
        if ("expungePreviousVersions" if living else "expungeDeletedResources") in flags:
            await _remove(ctx, transaction, identity, removed)
        await _write_down(ctx, transaction, removed)
    return removed


async def _of_many(call: Invocation, flags: set[str]) -> Removed:
    ctx = call.ctx
    types = {call.resource_type} if call.resource_type else {*ctx.node.definitions.resource_types} - KEPT_TYPES
    limit = min(call.parameters.number("limit") or DEFAULT_LIMIT, MOST)
    removed = Removed()
    async with ctx.node.database.transaction() as transaction:
        for flag, deleted in (("expungeDeletedResources", True), ("expungePreviousVersions", False)):
            after: Identity | None = ("", "") if flag in flags else None
            while after is not None and len(removed.resources) < limit:
                found = await candidates(transaction, sorted(types), after, deleted=deleted)
                part = found[: limit - len(removed.resources)]
                await _remove_those(ctx, transaction, part, removed)
                after = part[-1] if part else None
        await _write_down(ctx, transaction, removed)
    return removed


async def _remove_those(ctx: Context, transaction: Transaction, found: Sequence[Identity], removed: Removed) -> None:
    for identity in found:
        try:
            await _remove(ctx, transaction, identity, removed)
        except Kept:
            removed.kept += 1


async def _remove(ctx: Context, transaction: Transaction, identity: Identity, removed: Removed) -> None:
    """Remove the history of a resource, which is all of one that is deleted. Raises Kept."""
    living, former = await versions(transaction, identity)
    await _check(ctx, transaction, identity, [*former, *([living] if living else [])])
    removed.versions += await remove_history(transaction, identity, living, former)
    if former:
        removed.resources.append(identity)


async def _check(ctx: Context, transaction: Transaction, identity: Identity, states: Sequence[Version]) -> None:
    name = "/".join(identity)
    if identity[0] in KEPT_TYPES:
        raise Kept(f"{identity[0]} is never expunged.")
    last = max((one for one in states if one.content), key=lambda one: one.version_id, default=None)
    labels = wire.loads(last.content or b"{}").get("meta", {}).get("security", []) if last else []
    if any(one.get("system") == LABEL and one.get("code") == LEGAL_HOLD for one in labels):
        raise Kept(f"{name} is under legal hold.")
    store = ctx.store_in(transaction, Everything(ctx.caller, ctx.node.numbers))
    query = ctx.node.parser.parse("Provenance", [("target", name)])
    vouching = (wire.loads(one.content or b"{}") for one in (await store.search(query)).matches)
    if any(one.get("signature") for one in vouching):
        raise Kept(f"{name} is signed: it is never expunged.")


async def _write_down(ctx: Context, transaction: Transaction, removed: Removed) -> None:
    """An AuditEvent of the end of these records.  ISO 21089 Destroy"""
    if not removed.resources:
        return
    writer = Writer(transaction, Everything(ctx.caller, ctx.node.numbers), ctx.node.extractor, ctx.node.numbers)
    event = _audit_event(ctx, removed)
    await writer.write([Write("create", "AuditEvent", str(uuid4()), event)], ctx.now)


def _audit_event(ctx: Context, removed: Removed) -> Document:
    caller = ctx.caller
    who: Document = {"reference": caller.fhir_user} if caller.fhir_user else {"identifier": {"value": caller.subject}}
    return {
        "resourceType": "AuditEvent",
        "type": DESTROY._asdict(),
        "action": "D",
        "recorded": instant(ctx.now),
        "outcome": "0",
        "outcomeDesc": f"{removed.versions} versions expunged",
        "agent": [{"who": who, "requestor": True}],
        "source": {"observer": {"display": "konsil fhir_server"}},
        "entity": [{"what": {"reference": "/".join(identity)}} for identity in removed.resources],
    }


def _answer(removed: Removed) -> Document:
    return parameters_resource(
        parameter("count", "Integer", removed.versions),
        parameter("kept", "Integer", removed.kept or None),
    )


OPERATIONS = (
    OperationDefinition(
        "expunge",
        run,
        levels=("system", "type", "instance"),
        parameters=(*FLAGS, "limit"),
        affects_state=True,
        definition=DEFINITION,
    ),
)
