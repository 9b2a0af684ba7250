"""The rules of the second-opinion case.  docs/case.md

`enforce` is called once a transaction, before commit, with all its changes.  It refuses with 422 and the rule's number,
and gives back the changes that the server itself makes in the same transaction (a revoked request cancels its Task).
Rule 1 stands in `steps`, `children` and `submission`, rules 3 and 5 in `material` and `release`, rule 4 in `opinion`,
rule 9 in `messages`.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import uuid4

from fhir_server.caller import Caller
from fhir_server.rules import children, material, messages, opinion, release, steps
from fhir_server.rules.change import Change, Resource, Store, View, reference, refuse, unless
from fhir_server.rules.pair import (
    Case,
    business_status,
    case_changes,
    cases,
    has_ended,
    request_changes,
    tasks_of,
)
from fhir_server.rules.states import BUSINESS_STATUS, TASK_CODE, table

__all__ = ["RULED", "Change", "Store", "enforce"]

# The types whose every change is looked at; of others only the label of quarantine and the comparison are.
RULED = frozenset({"Communication", "Consent", "DiagnosticReport", "Provenance", "ServiceRequest", "Task"})


async def enforce(changes: Sequence[Change], caller: Caller, store: Store) -> list[Change]:
    """Check every rule on a transaction; return what the server adds to it.  Raises Unprocessable.

    The store is unrestricted and inside the transaction; its `load` and `find` may give the state before or after it,
    and `load` locks ServiceRequests and Tasks until commit.  What is returned is written without asking whether the
    caller may.
    """
    asked = View(changes, caller, store)
    added = [change async for change in _other_halves(asked)]
    view = View([*changes, *added], caller, store)
    await _check_requests(view)
    taken = [(case, await steps.check(view, case)) async for case in cases(view)]
    await children.check(view)
    await material.check(view)
    release.check(view)
    await opinion.check(view, taken)
    await messages.check(view, taken)
    added += [_acknowledgement(case) for case, step in taken if step and "acknowledgement" in step.server]
    return added + [change async for change in children.cancelled(view, [case for case, step in taken if step])]


async def _other_halves(view: View) -> AsyncIterator[Change]:
    """Complete a step of which the caller wrote one half, where the table says that the server writes the other."""
    for change in request_changes(view):
        if change.old and change.new and change.old.get("status") != change.new.get("status"):
            for task in await tasks_of(view, change.reference):
                if view.change(f"Task/{task['id']}") is None and (half := _task_half(task, change.new)):
                    yield Change("update", task, half)
    for change in case_changes(view):
        request = await view.load(reference(change.resource.get("focus")) or "")
        if change.old and change.new and request and view.change(f"ServiceRequest/{request['id']}") is None:
            half = _request_half(change.old, change.new, request)
            if half:
                yield Change("update", request, half)


def _task_half(task: Resource, request: Resource) -> Resource | None:
    source, states = business_status(task), table().states
    for step in table().steps:
        fits = request.get("status") in states[step.target].request and len(states[step.target].request) == 1
        if "Task" in step.server and source in step.sources and fits:
            return task | {"status": states[step.target].task[0], "businessStatus": _business_status(step.target)}
    return None


def _request_half(old: Resource, new: Resource, request: Resource) -> Resource | None:
    source, target = business_status(old), business_status(new)
    for step in table().leading(source, target or ""):
        wanted = table().states[step.target].request
        if "ServiceRequest" in step.server and request.get("status") not in wanted:
            return request | {"status": wanted[0]}
    return None


def _business_status(code: str) -> dict[str, Any]:
    return {"coding": [{"system": BUSINESS_STATUS, "code": code, "display": table().states[code].title}]}


async def _check_requests(view: View) -> None:
    """Nothing of a case is deleted; a request has one open case, and changes content only by who asked."""
    for change in (*request_changes(view), *case_changes(view)):
        unless(change.new is not None, 1, "nothing of a case is deleted; HIM staff may mark it as entered in error")
    for change in request_changes(view):
        _check_content(view, change)
        tasks = await tasks_of(view, change.reference)
        if all(has_ended(task) and view.change(f"Task/{task['id']}") is None for task in tasks):
            _check_without_case(view, change)
    for change in case_changes(view):
        focus = reference(change.resource.get("focus"))
        tasks = await tasks_of(view, focus) if focus and change.old is None else []
        open_tasks = [task for task in tasks if not has_ended(task)]
        unless(len(open_tasks) <= 1, 1, "a request has one open case")


def _check_content(view: View, change: Change) -> None:
    """The request belongs to who asked: others change its status at most, by a step."""
    old, new = change.old, change.new or {}
    if old is None:
        return
    changed = {name for name in {*old, *new} - {"meta"} if old.get(name) != new.get(name)}
    fixed = changed & {"subject", "requester", "intent", "authoredOn"}
    unless(not fixed, 1, f"ServiceRequest.{min(fixed, default='')} does not change")
    theirs = bool(view.caller.roles & {"requester", "interface-engine"})
    unless(theirs or changed <= {"status"}, 1, "the content of a request is for the requester to change")
    settled = old.get("status") in {"completed", "revoked", "entered-in-error"} and changed - {"status"}
    unless(not settled, 1, f"a request that is {old.get('status')} does not change")


def _check_without_case(view: View, change: Change) -> None:
    """A request without an open case can only be withdrawn, or marked as an error."""
    before, after = (change.old or {}).get("status"), (change.new or {}).get("status")
    if change.old is None:
        refuse(1, "a request comes with its case Task, in one transaction")
    by = {"revoked": {"requester", "interface-engine"}, "entered-in-error": {"him"}}.get(str(after), set())
    by = by if after == "entered-in-error" or before in {"draft", "active"} else set()
    unless(before == after or bool(view.caller.roles & by), 1, f"no step leads a request from {before} to {after}")


def _acknowledgement(case: Case) -> Change:
    """The new acknowledgement that an amended report asks for."""
    code = {"system": TASK_CODE, "code": "acknowledgement", "display": "Acknowledgement"}
    task = {
        "resourceType": "Task",
        "id": str(uuid4()),
        "status": "requested",
        "intent": "order",
        "code": {"coding": [code]},
        "partOf": [{"reference": case.task}],
        "focus": {"reference": case.request},
        "for": case.task_new.get("for"),
        "requester": case.task_new.get("requester"),
    }
    return Change("create", None, task)
