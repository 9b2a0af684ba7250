"""Rule 1: which step a case takes, and whether this caller may take it."""

from fhir_server.caller import Caller
from fhir_server.rules import submission
from fhir_server.rules.change import Resource, View, reference, refuse, unless
from fhir_server.rules.pair import Case, is_request
from fhir_server.rules.states import State, Step, table


async def check(view: View, case: Case) -> Step | None:
    """Find the step of a case; None if it stays where it is.  Raises Unprocessable."""
    unless(is_request(case.request_new), 1, "the focus of a case is the ServiceRequest of a second opinion")
    state = table().states.get(case.target)
    if state is None:
        refuse(1, f"'{case.target}' is no businessStatus of a case")
    _check_pair(case, state)
    step = _step(view.caller, case)
    _check_edits(view.caller, case, step)
    await submission.check(view, case, step)
    return step


def _check_pair(case: Case, state: State) -> None:
    """Request, Task and owner go with the businessStatus."""
    request, task = case.request_new.get("status"), case.task_new.get("status")
    unless(request in state.request, 1, f"ServiceRequest.status {request} does not go with {state.code}")
    unless(task in state.task, 1, f"Task.status {task} does not go with {state.code}")
    owned = owner_of(case.task_new) is not None
    unless(
        state.owner == "any" or owned == (state.owner == "one"),
        1,
        f"a case that is {state.code} has {state.owner} owner",
    )


def _step(caller: Caller, case: Case) -> Step | None:
    steps = table().leading(case.source, case.target)
    if case.source == case.target and not (steps and _output_changed(case)):
        _check_unmoved(case)
        return None
    unless(bool(steps), 1, f"no step leads from {case.source or 'nothing'} to {case.target}")
    allowed = [step for step in steps if may_take(caller, case.task_old, step.by)]
    who = ", ".join(sorted(set().union(*(step.by for step in steps))))
    unless(bool(allowed), 1, f"the step from {case.source or 'nothing'} to {case.target} is for: {who}")
    fitting = [step for step in allowed if _owner_fits(caller, case, step)]
    unless(bool(fitting), 1, f"the step {allowed[0].name} must {allowed[0].owner} the owner of the Task")
    return fitting[0]


def may_take(caller: Caller, task: Resource | None, by: frozenset[str]) -> bool:
    """Whether the caller has one of the roles, or is the consultant who owns the Task."""
    owns = task is not None and caller.fhir_user is not None and owner_of(task) == caller.fhir_user
    return bool(caller.roles & by) or ("owner" in by and owns and "consultant" in caller.roles)


def owner_of(task: Resource) -> str | None:
    """The reference in Task.owner."""
    return reference(task.get("owner"))


def _owner_fits(caller: Caller, case: Case, step: Step) -> bool:
    old = owner_of(case.task_old) if case.task_old else None
    new = owner_of(case.task_new)
    fits = {
        "any": True,
        "keep": new == old,
        "clear": new is None,
        "set": new is not None and new.startswith("Practitioner/"),
        "self": new is not None and new == caller.fhir_user,
        "change": new is not None and new.startswith("Practitioner/") and new != old,
    }
    return fits[step.owner]


def _check_unmoved(case: Case) -> None:
    """Without a step neither status nor owner changes."""
    pairs = ((case.request_old, case.request_new), (case.task_old, case.task_new))
    for old, new in pairs:
        before, after = (old or {}).get("status"), new.get("status")
        kind = new.get("resourceType")
        unless(
            before == after,
            1,
            f"no step changes {kind}.status from {before} to {after} and leaves the case {case.target}",
        )
    same_owner = owner_of(case.task_old or {}) == owner_of(case.task_new)
    unless(same_owner, 1, f"no step changes the owner of a case that stays {case.target}")


def _check_edits(caller: Caller, case: Case, step: Step | None) -> None:
    """Elements of the Task that are fixed, or belong to some roles, or grow only."""
    old = case.task_old
    if old is None:
        unless("output" not in case.task_new, 1, "a new case has no output")
        return
    changed = {name for name in {*old, *case.task_new} if old.get(name) != case.task_new.get(name)}
    for name in sorted(changed & table().fixed):
        refuse(1, f"Task.{name} of a case does not change")
    for name, by in table().editors.items():
        unless(name not in changed or may_take(caller, old, by), 1, f"Task.{name} is not for this caller to change")
    kept = all(one in case.task_new.get("input", []) for one in old.get("input", []))
    unless(kept or "him" in caller.roles, 1, "Task.input only grows")
    signing = step is not None and "signed-report" in step.needs
    unless("output" not in changed or signing, 1, "Task.output changes only when a report is signed")


def _output_changed(case: Case) -> bool:
    return (case.task_old or {}).get("output") != case.task_new.get("output")
