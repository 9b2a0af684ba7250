"""One transaction of writes, whatever asked for it.  https://hl7.org/fhir/R4/http.html#transaction

Order: lock the criteria, answer every condition, name the new resources, rewrite references, lock what is changed,
write in bulk, look at what is left behind, ask the rules of the case, commit. When another transaction was in the
way the whole is run again.
"""

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from fhir_server import wire
from fhir_server.conformance.canonicals import CANONICAL_TYPES
from fhir_server.context import Context
from fhir_server.errors import (
    Forbidden,
    Invalid,
    MultipleMatches,
    NotAllowed,
    NotFound,
    Unavailable,
    VersionMismatch,
)
from fhir_server.interactions import references
from fhir_server.interactions.admission import admit
from fhir_server.interactions.binary import moved_out
from fhir_server.interactions.existence import check_targets
from fhir_server.interactions.fhirpath_patch import apply_fhirpath_patch
from fhir_server.interactions.json_patch import apply_patch
from fhir_server.interactions.matching import match, matches, normal
from fhir_server.interactions.operation import Operation, Outcome
from fhir_server.interactions.rules import enforce_rules
from fhir_server.store.binaries import kept_of
from fhir_server.store.consents import DECIDING
from fhir_server.store.database import Contention, Transaction
from fhir_server.store.parts import claim
from fhir_server.store.rows import Write
from fhir_server.store.writer import Existing, Identity, Writer

ATTEMPTS = 8
Result = TypeVar("Result")
Finish = Callable[[Transaction, list[Outcome]], Awaitable[Result]]


async def commit(ctx: Context, operations: Sequence[Operation]) -> list[Outcome]:
    """Do all writes or none, and say what came of each. Raises every FhirError."""

    async def finish(transaction: Transaction, outcomes: list[Outcome]) -> list[Outcome]:
        return outcomes

    return await commit_then(ctx, operations, finish, bundled=False)


async def commit_then(
    ctx: Context, operations: Sequence[Operation], finish: Finish[Result], *, bundled: bool = True
) -> Result:
    """Do all writes, then `finish` inside the same transaction (the reads of a transaction Bundle).

    `bundled`: references to entries must mean one of these.
    """
    for attempt in range(ATTEMPTS):
        try:
            async with ctx.node.database.transaction() as transaction:
                unit = _Unit(ctx, transaction, operations)
                unit.bundled = bundled
                outcomes = await unit.run()
                result = await finish(transaction, outcomes)
            if any(operation.resource_type in CANONICAL_TYPES for operation in operations):
                ctx.node.stored_canonicals.touch()
            if any(operation.resource_type in DECIDING for operation in operations):
                ctx.node.consents.touch()
            return result
        except Contention:
            await asyncio.sleep(random.uniform(0, 0.02) * 2**attempt)  # noqa: S311
    raise Unavailable("Others kept changing the same resources; try again.", headers={"Retry-After": "1"})


class _Unit:
    """One attempt at a transaction."""

    def __init__(self, ctx: Context, transaction: Transaction, operations: Sequence[Operation]) -> None:
        self.ctx = ctx
        self.operations = list(operations)
        self.asked = len(operations)
        self.several: set[int] = set()
        self.bundled = False
        self.store = ctx.store_in(transaction)
        self.writer: Writer = ctx.writer(transaction)
        self.transaction = transaction
        self.outcomes: dict[int, Outcome] = {}
        self.targets: dict[int, Identity] = {}
        self.new_ids: set[Identity] = set()
        self.addresses: dict[str, str] = {}
        self.rewritten: dict[int, tuple[dict[str, Any], list[str]]] = {}

    async def run(self) -> list[Outcome]:
        await self._answer_conditions()
        await self._name_entries()
        existing = await self._lock_targets()
        writes: dict[int, Write] = {}
        for n, operation in enumerate(self.operations):
            if n not in self.outcomes:
                write = self._write_of(n, operation, existing)
                if write is not None and write.resource_type == "Binary":
                    await self._move_out(operation, write)
                if write is not None:
                    writes[n] = write
                else:
                    self.outcomes[n] = Outcome(204, None)
        await self._store(writes)
        return [Outcome(204, None) if n in self.several else self.outcomes[n] for n in range(self.asked)]

    async def _answer_conditions(self) -> None:
        """Find what every condition means now, and give each write its target."""
        conditions = {
            n: normal(operation.resource_type, operation.condition)
            for n, operation in enumerate(self.operations)
            if operation.condition is not None
        }
        await self.writer.lock(conditions.values())
        answered: dict[str, Identity] = {}
        for n, operation in enumerate(self.operations[: self.asked]):
            if n not in conditions:
                self.targets[n] = operation.resource_type, operation.resource_id or self._new_id(operation)
            elif conditions[n] in answered and operation.verb == "create":
                self.targets[n] = answered[conditions[n]]
                self.outcomes[n] = Outcome(200, None)
            elif conditions[n] in answered:
                raise Invalid("Two entries of the transaction have the same condition.")
            else:
                await self._answer(n, operation)
                answered[conditions[n]] = self.targets[n]

    async def _answer(self, n: int, operation: Operation) -> None:
        if operation.verb == "delete" and self.ctx.node.settings.conditional_delete == "multiple":
            await self._answer_for_all(n, operation)
            return
        found = await match(self.ctx, self.store, operation.resource_type, operation.condition or "")
        own = operation.resource_id
        if found is not None:
            self.targets[n] = found.resource_type, found.resource_id
            if operation.verb == "create":
                self.outcomes[n] = Outcome(200, found)
            elif own is not None and own != found.resource_id:
                raise Invalid("The id of the resource is not that of the one that the condition names.")
        elif operation.verb == "patch":
            raise NotFound(f"No {operation.resource_type} meets the condition.")
        elif operation.verb == "delete":
            self.targets[n] = operation.resource_type, ""
            self.outcomes[n] = Outcome(204, None)
        else:
            self.targets[n] = operation.resource_type, own or self._new_id(operation)

    async def _answer_for_all(self, n: int, operation: Operation) -> None:
        """Delete every match: each but the first becomes an operation of its own.  R4 http.html#2.42.0.13.1"""
        limit = self.ctx.node.settings.max_transaction_entries
        found = await matches(self.ctx, self.store, (operation.resource_type, operation.condition or ""), limit)
        self.targets[n] = operation.resource_type, found[0].resource_id if found else ""
        if not found:
            self.outcomes[n] = Outcome(204, None)
        elif len(found) > 1:
            self.several.add(n)
        for version in found[1:]:
            more = Operation("delete", operation.resource_type, version.resource_id, if_match=operation.if_match)
            self.targets[len(self.operations)] = version.resource_type, version.resource_id
            self.operations.append(more)

    def _new_id(self, operation: Operation) -> str:
        new = str(uuid.uuid4())
        self.new_ids.add((operation.resource_type, new))
        return new

    async def _name_entries(self) -> None:
        """Know every entry by its fullUrl, and what every conditional reference means."""
        for n, operation in enumerate(self.operations):
            if operation.full_url:
                self.addresses[operation.full_url] = "/".join(self.targets[n])
        for n, operation in enumerate(self.operations):
            self._rewrite(n, operation.resource)
        wanted = references.conditional(text for _, left in self.rewritten.values() for text in left)
        for text in sorted(wanted):
            resource_type, _, condition = text.partition("?")
            found = await match(self.ctx, self.store, resource_type, condition)
            if found is None:
                raise MultipleMatches(f"No {resource_type} meets the condition of a reference.")
            self.addresses[text] = found.reference
        for n, operation in enumerate(self.operations if wanted else ()):
            self._rewrite(n, operation.resource)

    def _rewrite(self, n: int, resource: Any) -> None:
        """The resource of an operation with what it says of entries, and the references that are left."""
        left: list[str] = []
        self.rewritten[n] = references.rewrite(resource or {}, self.addresses, left), left

    async def _lock_targets(self) -> dict[Identity, Existing]:
        """Lock what is to be changed; nothing may be changed twice."""
        wanted: dict[str, list[Identity]] = {"update": [], "delete": []}
        seen: set[Identity] = set()
        for n, operation in enumerate(self.operations):
            target = self.targets[n]
            if n in self.outcomes:
                continue
            if target in seen:
                raise Invalid(f"{'/'.join(target)} is written twice in one transaction.")
            seen.add(target)
            if target not in self.new_ids:
                wanted["delete" if operation.verb == "delete" else "update"].append(target)
        existing = await self.writer.existing("update", wanted["update"])
        return existing | await self.writer.existing("delete", wanted["delete"])

    def _write_of(self, n: int, operation: Operation, existing: dict[Identity, Existing]) -> Write | None:
        target = self.targets[n]
        found = existing.get(target)
        if found is not None:
            self._check_changeable(operation)
            _may_write(operation, found)
        _check_version(operation, found)
        if operation.verb == "delete":
            return None if found is None else Write("delete", *target, None, found.version)
        resource = self._state(n, operation, found)
        if found is None:
            self.ctx.grants.restriction("create", operation.resource_type)
            return Write("create", *target, resource)
        return Write("update", *target, resource, found.version)

    def _check_changeable(self, operation: Operation) -> None:
        """An AuditEvent stays as it was written: who may write them is told so.  R4 auditevent.html#6.5.4"""
        if operation.resource_type == "AuditEvent":
            self.ctx.grants.restriction("delete" if operation.verb == "delete" else "update", "AuditEvent")
            raise NotAllowed("An AuditEvent is never changed or deleted.", headers={"Allow": "GET, HEAD"})

    def _state(self, n: int, operation: Operation, found: Existing | None) -> dict[str, Any]:
        if operation.verb == "patch":
            if found is None:
                raise NotFound(f"{'/'.join(self.targets[n])} is not known.")
            patched = self._patched(wire.loads(found.version.content or b""), operation.patch)
            admit(self.ctx, patched, operation.resource_type)
            if patched.get("id") != self.targets[n][1]:
                raise Invalid("A patch may not change the id.")
            self._rewrite(n, patched)
        resource, left = self.rewritten[n]
        if self.bundled:
            references.check_resolved(resource, left)
        return resource

    async def _move_out(self, operation: Operation, write: Write) -> None:
        """Keep the bytes of a large Binary out of its row."""
        if write.resource is not None:
            allowed = operation.kept or kept_of(write.old.content if write.old else None)
            write.resource = await moved_out(write.resource, self.transaction, allowed)
            if operation.kept is not None:
                await claim(self.transaction, operation.kept)

    def _patched(self, resource: dict[str, Any], patch: Any) -> Any:
        """The resource after a JSON Patch, or a FHIRPath Patch, which is a Parameters resource."""
        if isinstance(patch, dict) and "resourceType" in patch:
            return apply_fhirpath_patch(resource, patch, self.ctx.node.definitions)
        return apply_patch(resource, patch)

    async def _store(self, writes: dict[int, Write]) -> None:
        reborn = [
            (write.resource_type, write.resource_id)
            for write in writes.values()
            if write.interaction == "create" and (write.resource_type, write.resource_id) not in self.new_ids
        ]
        last = await self.writer.last_versions(reborn)
        for write in writes.values():
            write.last_version = last.get((write.resource_type, write.resource_id), 0)
        versions = await self.writer.write(list(writes.values()), self.ctx.now)
        for (n, write), version in zip(writes.items(), versions, strict=True):
            status = {"create": 201, "update": 200, "delete": 204}[write.interaction]
            self.outcomes[n] = Outcome(status, version)
        await self._fill_repeated()
        if self.ctx.node.settings.validation_references:
            await check_targets(self.ctx, self.transaction, writes.values())
        if versions:
            await enforce_rules(self.ctx, self.transaction, self.writer, list(writes.values()))

    async def _fill_repeated(self) -> None:
        """A second conditional create with the same condition answers with what the first made."""
        made = {(o.version.resource_type, o.version.resource_id): o for o in self.outcomes.values() if o.version}
        for n, outcome in self.outcomes.items():
            if outcome.status == 200 and outcome.version is None:
                self.outcomes[n] = Outcome(200, made[self.targets[n]].version)


def _may_write(operation: Operation, found: Existing) -> None:
    if not found.readable:
        raise NotFound(f"{found.version.reference} is not known.")
    if not found.writable:
        raise Forbidden(f"This caller may not {operation.verb} this {operation.resource_type}.")


def _check_version(operation: Operation, found: Existing | None) -> None:
    """If-Match.  https://hl7.org/fhir/R4/http.html#concurrency"""
    if operation.if_match is None:
        return
    if found is None:
        raise VersionMismatch("If-Match names a version of a resource that does not exist.")
    if found.version.version_id != operation.if_match:
        raise VersionMismatch(f"The current version is {found.version.version_id}, not {operation.if_match}.")
