"""Rule 1 for the Tasks below a case: who opens them, how they go on, and that only a person reconciles."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from fhir_server.access.emergency import is_emergency
from fhir_server.rules.change import Change, Resource, View, codes, reference, reference_of, refuse, unless
from fhir_server.rules.pair import Case, has_ended, is_case
from fhir_server.rules.states import TASK_CODE, TASK_OUTPUT, Child, table
from fhir_server.rules.steps import may_take

OPEN = frozenset({"requested", "accepted", "in-progress", "on-hold"})


async def check(view: View) -> None:
    """Check every child Task that the transaction writes.  Raises Unprocessable."""
    for change in view.of_type("Task"):
        emergency = any(is_emergency(state) for state in (change.old, change.new) if state)
        unless(not emergency, 1, "emergency access is opened, ended and reviewed by its operations only")
        code = next(iter(codes(change.resource.get("code"), TASK_CODE)), None)
        if code is not None and change.new is not None:
            await _check_child(view, change, code)


async def cancelled(view: View, moved: Sequence[Case]) -> AsyncIterator[Change]:
    """What was still to be fetched for cases that end here; nothing more is disclosed for them."""
    for case in moved:
        tasks = await view.find("Task", "part-of", case.task, "partOf") if has_ended(case.task_new) else []
        for found in sorted(tasks, key=reference_of):
            task = await view.load(reference_of(found)) or found
            wanted = codes(task.get("code"), TASK_CODE) & table().cancels and task.get("status") in OPEN
            if wanted and view.change(reference_of(task)) is None:
                yield Change("update", task, task | {"status": "cancelled"})


async def _check_child(view: View, change: Change, code: str) -> None:
    child, new = table().children.get(code), change.new or {}
    if child is None:
        refuse(1, f"'{code}' is no child of a case")
    if change.old is None:
        await _check_new(view, child, new)
    else:
        unless(codes(change.old.get("code"), TASK_CODE) == {code}, 1, "Task.code does not change")
        _check_step(view, child, change.old, new)
    if code == "reconciliation":
        _check_decision(view, change.old, new)


async def _check_new(view: View, child: Child, task: Resource) -> None:
    case = await _parent(view, task)
    unless(is_case(case), 1, "a child Task is partOf a case")
    same = reference((case or {}).get("for")) == reference(task.get("for"))
    unless(same, 1, "a child Task is for the same Patient as its case")
    unless(may_take(view.caller, case, child.creators), 1, f"this child Task is opened by: {_who(child.creators)}")
    unless(task.get("status") == "requested", 1, "a child Task begins as requested")


async def _parent(view: View, task: Resource) -> Resource | None:
    parents = [reference(one) for one in task.get("partOf", [])]
    return await view.load(parents[0]) if len(parents) == 1 and parents[0] else None


def _check_step(view: View, child: Child, old: Resource, new: Resource) -> None:
    before, after = old.get("status"), new.get("status")
    steps = [step for step in child.steps if before == after or (before in step.sources and after in step.targets)]
    unless(bool(steps), 1, f"no step leads a child Task from {before} to {after}")
    by = frozenset[str]().union(*(step.by for step in steps))
    unless(may_take(view.caller, old, by), 1, f"the step from {before} to {after} is for: {_who(by)}")
    for name in ("partOf", "for", "focus"):
        unless(old.get(name) == new.get(name), 1, f"Task.{name} does not change")


def _check_decision(view: View, old: Resource | None, new: Resource) -> None:
    """A reconciliation is decided once, by HIM staff, with a reason if it rejects.  Rule 5"""
    before, after = outputs(old or {}, "decision"), outputs(new, "decision")
    unless(before == after or ("him" in view.caller.roles and not before), 5, "only HIM staff decide, and once")
    if new.get("status") == "completed":
        unless(after in (["accept"], ["reject"]), 5, "a completed reconciliation carries the decision accept or reject")
        reasoned = after != ["reject"] or bool(outputs(new, "reason"))
        unless(reasoned, 5, "a rejection needs a reason")


def outputs(task: Resource, kind: str) -> list[Any]:
    """The values of a Task's outputs of one kind."""
    found = [one for one in task.get("output", []) if kind in codes(one.get("type"), TASK_OUTPUT)]
    return [value for one in found for key, value in one.items() if key.startswith("value")]


def _who(by: frozenset[str]) -> str:
    return ", ".join(sorted(by))
