"""`$break-glass`, `$break-glass-end`, `$break-glass-review`: emergency access to one patient's record.  docs/access.md

No operations of HL7's. The access is a Task, written here alone, that opens the record (`access/emergency.py`) and at
once tells the privacy officers, in one transaction with its AuditEvent (DICOM 110127 Emergency Override Started).
"""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import profiles
from fhir_server import wire
from fhir_server.access.emergency import SYSTEM, emergency_of, is_emergency
from fhir_server.access.policy import EMERGENCY_ROLES, REVIEWERS
from fhir_server.access.relations import BREAK_GLASS
from fhir_server.audit.event import EMERGENCY_STARTED, EMERGENCY_STOPPED, SECURITY, Happening
from fhir_server.audit.trail import event_row
from fhir_server.context import Context
from fhir_server.errors import Conflict, Forbidden, Invalid, NotFound
from fhir_server.interactions.operations import Document, Invocation, OperationDefinition
from fhir_server.rules.pair import is_case
from fhir_server.search.dates import instant
from fhir_server.store import audit
from fhir_server.store.database import Transaction
from fhir_server.store.grants import Everything
from fhir_server.store.repository import Repository, Version
from fhir_server.store.rows import Write
from konsil.telemetry import logger

BASE = "https://konsil.example/fhir/OperationDefinition"
MINUTE = 60_000_000
SHORTEST_COMMENT, LONGEST_COMMENT = 10, 2000
VERDICTS = ("justified", "not-justified")


async def begin(call: Invocation) -> Document:
    """Open the record of this patient, of the patient of this case, or (at type level) of the one patient with this
    record number and date of birth, and answer with the Task. Who has it open already gets the Task there is.

    Raises Forbidden for who does not treat, Invalid for want of a reason, NotFound.
    """
    ctx, caller = call.ctx, call.ctx.caller
    if caller.fhir_user is None or not caller.roles & EMERGENCY_ROLES:
        raise Forbidden("Emergency access is for those who treat patients.")
    reason, comment, minutes = _reason(call), _comment(call), _minutes(call)
    async with ctx.node.database.transaction() as transaction:
        everything = ctx.store_in(transaction, Everything(caller, ctx.node.numbers))
        patient = await _patient(call, everything)
        known = await _open_already(ctx, everything, patient)
        if known is not None:
            return known
        task = _task(caller.fhir_user, patient, (reason, comment), (ctx.now, ctx.now + minutes * MINUTE))
        task = await _write(ctx, transaction, Write("create", "Task", task["id"], task))
        await _put_down(ctx, transaction, task, EMERGENCY_STARTED, f"emergency access: {reason}")
    ctx.node.consents.touch()
    logger("fhir_server").warning("emergency access opened: Task/%s", task["id"])
    return task


async def end(call: Invocation) -> Document:
    """End an access before its time: by who has it, or by a privacy officer. Raises Forbidden, NotFound."""

    async def ended(task: Document) -> Document:
        if not (_is_own(call, task) or call.ctx.caller.roles & REVIEWERS):
            raise Forbidden("Who has the access, or a privacy officer, ends it.")
        return _ended(call.ctx, task)

    return await _changed(call, ended)


async def review(call: Invocation) -> Document:
    """Judge an access: justified or not, in words, once, by a privacy officer who is not the one judged; one that was
    not justified ends. Raises Forbidden, Conflict, Invalid, NotFound.
    """
    verdict, comment = call.parameters.needed("verdict"), _comment(call)
    if verdict not in VERDICTS:
        raise Invalid(f"The verdict is one of: {', '.join(VERDICTS)}.")

    async def judged(task: Document) -> Document:
        if not call.ctx.caller.roles & REVIEWERS or _is_own(call, task):
            raise Forbidden("A privacy officer reviews the emergency accesses of others.")
        if task["status"] != "requested":
            raise Conflict("This access has been reviewed already.")
        said = {"type": _coded("verdict"), "valueCodeableConcept": _coded(verdict) | {"text": comment}}
        owner = {"owner": {"reference": call.ctx.caller.fhir_user}} if call.ctx.caller.fhir_user else {}
        kept = _ended(call.ctx, task) if verdict == "not-justified" else task
        moment = {"lastModified": instant(call.ctx.now)}
        return kept | {"status": "completed", "output": [said]} | moment | owner

    return await _changed(call, judged)


async def _changed(call: Invocation, change: Any) -> Document:
    ctx = call.ctx
    identity = "Task", str(call.resource_id)
    await ctx.store.read(*identity)
    async with ctx.node.database.transaction() as transaction:
        writer = ctx.writer(transaction, Everything(ctx.caller, ctx.node.numbers))
        found = (await writer.existing("update", [identity])).get(identity)
        task = _parsed(found.version) if found else {}
        if found is None or not is_emergency(task):
            raise NotFound(f"{'/'.join(identity)} is no emergency access.")
        new = await change(task)
        if new == task:
            return task
        stored = await _write(ctx, transaction, Write("update", *identity, new, found.version))
        if new["executionPeriod"] != task["executionPeriod"]:
            await _put_down(ctx, transaction, stored, EMERGENCY_STOPPED, "emergency access ended")
    ctx.node.consents.touch()
    return stored


def _reason(call: Invocation) -> str:
    reason = call.parameters.needed("reason")
    if reason not in reasons():
        raise Invalid(f"The reason is one of: {', '.join(reasons())}.")
    return reason


def reasons() -> Mapping[str, str]:
    """The coded reasons and their words."""
    (included,) = profiles.load("ValueSet-break-glass-reason.json")["compose"]["include"]
    return {one["code"]: one["display"] for one in included["concept"]}


def _comment(call: Invocation) -> str:
    comment = call.parameters.needed("comment").strip()
    if not SHORTEST_COMMENT <= len(comment) <= LONGEST_COMMENT:
        raise Invalid(f"Say it in words: {SHORTEST_COMMENT} to {LONGEST_COMMENT} characters.")
    return comment


def _minutes(call: Invocation) -> int:
    settings = call.ctx.node.settings
    asked = call.parameters.number("minutes")
    minutes = settings.emergency_minutes if asked is None else asked
    if not 1 <= minutes <= settings.max_emergency_minutes:
        raise Invalid(f"Emergency access lasts 1 to {settings.max_emergency_minutes} minutes.")
    return minutes


async def _patient(call: Invocation, everything: Repository) -> str:
    """The id of the one patient meant. Raises NotFound, Gone, Invalid."""
    if call.resource_id is None:
        return await _by_number(call, everything)
    version = await everything.read(str(call.resource_type), call.resource_id)
    patient = version.resource_id if version.resource_type == "Patient" else version.patient
    meant = version.resource_type == "Patient" or is_case(_parsed(version))
    if version.quarantined or patient is None or not meant:
        raise NotFound(f"{version.reference} is not known.")
    return patient


async def _by_number(call: Invocation, everything: Repository) -> str:
    """Two marks of a person, so that nobody opens a stranger's record by a slip of the pen."""
    if call.resource_type != "Patient":
        raise Invalid("Whose? Name the patient or the case.")
    asked = [(name, call.parameters.needed(name)) for name in ("identifier", "birthdate")]
    query = call.ctx.node.parser.parse("Patient", asked)
    found = [one for one in (await everything.search(query)).matches if not one.quarantined]
    if len(found) != 1:
        raise NotFound("No one patient has this number and this date of birth.")
    return found[0].resource_id


async def _open_already(ctx: Context, everything: Repository, patient: str) -> Document | None:
    asked = [
        ("code", f"{SYSTEM}|{BREAK_GLASS}"),
        ("focus", str(ctx.caller.fhir_user)),
        ("patient", f"Patient/{patient}"),
        ("_sort", "-_lastUpdated"),
    ]
    found = await everything.search(ctx.node.parser.parse("Task", asked))
    tasks = [_parsed(version) for version in found.matches]
    held = ((task, emergency_of(task)) for task in tasks)
    return next((task for task, one in held if one and one.start <= ctx.now < one.end), None)


def _task(person: str, patient: str, why: tuple[str, str], period: tuple[int, int]) -> Document:
    reason, comment = why
    start, until = (instant(moment) for moment in period)
    return {
        "resourceType": "Task",
        "id": str(uuid4()),
        "status": "requested",
        "intent": "order",
        "priority": "asap",
        "code": _coded(BREAK_GLASS),
        "focus": {"reference": person},
        "for": {"reference": f"Patient/{patient}"},
        "executionPeriod": {"start": start, "end": until},
        "authoredOn": start,
        "requester": {"reference": person},
        "reasonCode": {"coding": [{"system": SYSTEM, "code": reason, "display": reasons()[reason]}], "text": comment},
    }


def _ended(ctx: Context, task: Document) -> Document:
    """The Task with an access that is over; one that is over already stays as it is."""
    emergency = emergency_of(task)
    if emergency is None or emergency.end <= ctx.now:
        return task
    return task | {"executionPeriod": task["executionPeriod"] | {"end": instant(ctx.now)}}


def _is_own(call: Invocation, task: Document) -> bool:
    return bool(task["focus"]["reference"] == call.ctx.caller.fhir_user)


def _coded(code: str) -> Document:
    return {"coding": [{"system": SYSTEM, "code": code}]}


def _parsed(version: Version) -> Document:
    document: Document = wire.loads(version.content or b"{}")
    return document


async def _write(ctx: Context, transaction: Transaction, write: Write) -> Document:
    """Store it whoever the caller is: the checks are those of this file."""
    writer = ctx.writer(transaction, Everything(ctx.caller, ctx.node.numbers))
    (version,) = await writer.write([write], ctx.now)
    return _parsed(version)


async def _put_down(ctx: Context, transaction: Transaction, task: Document, code: str, said: str) -> None:
    """A security alert in the journal, for the purpose of breaking the glass."""
    if not ctx.node.journal.enabled:
        return
    patient = task["for"]["reference"].partition("/")[2]
    origin = ctx.trail.origin._replace(emergencies=frozenset({patient}))
    happening = Happening(code, ctx.now, f"Task/{task['id']}", problem=said, kind=SECURITY)
    await audit.append(transaction, [event_row(origin, happening, patient)])


PLACES = ("Patient", "Task")
OPERATIONS = (
    OperationDefinition(
        BREAK_GLASS,
        begin,
        PLACES,
        ("type", "instance"),
        ("reason", "comment", "minutes", "identifier", "birthdate"),
        affects_state=True,
        definition=f"{BASE}/break-glass",
    ),
    OperationDefinition(
        "break-glass-end",
        end,
        ("Task",),
        ("instance",),
        ("comment",),
        affects_state=True,
        definition=f"{BASE}/break-glass-end",
    ),
    OperationDefinition(
        "break-glass-review",
        review,
        ("Task",),
        ("instance",),
        ("verdict", "comment"),
        affects_state=True,
        definition=f"{BASE}/break-glass-review",
    ),
)
