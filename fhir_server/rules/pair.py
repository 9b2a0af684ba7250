"""The case as a pair: its ServiceRequest and its Task, before and after a transaction."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from fhir_server.rules.change import Change, Resource, View, codes, reference, reference_of
from fhir_server.rules.states import BUSINESS_STATUS, HL7_TASK_CODE, PRODUCT, State, table


@dataclass(frozen=True, slots=True)
class Case:
    """Request and Task as they were and as they will be; what the transaction leaves alone is the same twice."""

    task_old: Resource | None
    task_new: Resource
    request_old: Resource | None
    request_new: Resource

    @property
    def source(self) -> str | None:
        """The state that the transaction found, None for a new case."""
        return business_status(self.task_old) if self.task_old else None

    @property
    def target(self) -> str:
        """The state it leads to; empty if the Task names none."""
        return business_status(self.task_new) or ""

    @property
    def task(self) -> str:
        """The Task's reference."""
        return reference_of(self.task_new)

    @property
    def request(self) -> str:
        """The ServiceRequest's reference."""
        return reference_of(self.request_new)


def is_case(task: Resource | None) -> bool:
    """Whether a Task is a case rather than a child of one."""
    return task is not None and "fulfill" in codes(task.get("code"), HL7_TASK_CODE)


def is_request(request: Resource | None) -> bool:
    """Whether a ServiceRequest asks for a second opinion: it has a product code."""
    return request is not None and bool(codes(request.get("code"), PRODUCT))


def business_status(task: Resource) -> str | None:
    """The state that a case Task names."""
    return next(iter(codes(task.get("businessStatus"), BUSINESS_STATUS)), None)


def state_of(task: Resource) -> State | None:
    """The state of a case Task, None if the table does not know it."""
    return table().states.get(business_status(task) or "")


def has_ended(task: Resource) -> bool:
    """Whether a case Task is declined, withdrawn or the like, so that its request may have another."""
    state = state_of(task)
    return state is not None and state.stage == "ended"


def case_changes(view: View) -> Iterator[Change]:
    """Changes of Tasks that are or were a case."""
    return (change for change in view.of_type("Task") if is_case(change.old) or is_case(change.new))


def request_changes(view: View) -> Iterator[Change]:
    """Changes of ServiceRequests that ask or asked for a second opinion."""
    return (change for change in view.of_type("ServiceRequest") if is_request(change.old) or is_request(change.new))


async def tasks_of(view: View, request: str) -> list[Resource]:
    """The case Tasks of a request, as they will be; each is loaded, so that another transaction cannot move it."""
    found = [task for task in await view.find("Task", "focus", request, "focus") if is_case(task)]
    loaded = [await view.load(reference_of(task)) for task in sorted(found, key=reference_of)]
    return [task for task in loaded if task is not None and is_case(task)]


async def cases(view: View) -> AsyncIterator[Case]:
    """Every case that the transaction touches: by its Task, or by its request while its Task has not ended."""
    seen: set[str] = set()
    for change in case_changes(view):
        if change.new:
            seen.add(change.reference)
            yield await _case(view, change.old, change.new)
    for change in request_changes(view):
        for task in await tasks_of(view, change.reference):
            if reference_of(task) not in seen and not has_ended(task):
                yield await _case(view, task, task)


async def _case(view: View, old: Resource | None, new: Resource) -> Case:
    request = reference(new.get("focus")) or ""
    change = view.change(request)
    if change:
        return Case(old, new, change.old, change.new or {})
    stored = await view.load(request)
    return Case(old, new, stored, stored or {})
