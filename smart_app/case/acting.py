"""Steps a person takes on a case: one conditional update, or one transaction where request and Task go together."""

from collections.abc import Callable
from typing import Any

from smart_app.case.codes import own_code
from smart_app.case.states import state_title, task_status
from smart_app.case.view import Case
from smart_app.errors import Changed, FhirFailure
from smart_app.fhir import FhirClient, Resource
from smart_app.words import Clock

CHANGED = "Somebody else changed the case in the meantime."
LOOK = "The page shows it as it is now; look again and repeat what is still right."


def moved(task: Resource, state: str, now: str, **elements: Any) -> Resource:
    """The Task in a new state; an element given as None is removed."""
    changed = {
        **task,
        "status": task_status(state),
        "businessStatus": own_code("business-status", state, state_title(state)),
        "lastModified": now,
        **elements,
    }
    return {name: value for name, value in changed.items() if value is not None}


async def step(fhir: FhirClient, case: Case, state: str, clock: Clock, **elements: Any) -> Resource:
    """Move the case, on the version that the person saw.  Raises Changed, FhirFailure (the server's rule)."""
    task = moved(case.task, state, _now(clock), **elements)
    return await _if_unchanged(lambda: fhir.update(task))


async def acknowledge(fhir: FhirClient, case: Case, clock: Clock) -> Resource:
    """Close the loop: Task acknowledged and ServiceRequest completed, in one transaction.  case-model.md"""
    task = moved(case.task, "acknowledged", _now(clock))
    request = {**case.request, "status": "completed"}
    return await _together(fhir, [task, request])


async def withdraw(fhir: FhirClient, case: Case) -> Resource:
    """Take a request back before acceptance; the server cancels the Task itself."""
    return await _if_unchanged(lambda: fhir.update({**case.request, "status": "revoked"}))


async def _together(fhir: FhirClient, resources: list[Resource]) -> Resource:
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [_put(each) for each in resources]}
    return await _if_unchanged(lambda: fhir.transaction(bundle))


def _put(resource: Resource) -> Resource:
    url = f"{resource['resourceType']}/{resource['id']}"
    request = {"method": "PUT", "url": url, "ifMatch": f'W/"{resource["meta"]["versionId"]}"'}
    return {"resource": resource, "request": request}


async def _if_unchanged(write: Callable[[], Any]) -> Resource:
    try:
        written: Resource = await write()
    except FhirFailure as failure:
        if failure.status in (409, 412):
            raise Changed(CHANGED, LOOK) from failure
        raise
    return written


def _now(clock: Clock) -> str:
    return clock.now().isoformat(timespec="milliseconds")
