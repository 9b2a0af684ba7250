"""Steps a person takes on a case: one conditional update, or one transaction where several resources go together.

Every step leaves a note on the Task with who took it, so that the activity and a conflict can name a person.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from smart_app.case.codes import own_code
from smart_app.case.states import state_code, state_title, task_status
from smart_app.case.view import Case
from smart_app.errors import Changed, FhirFailure
from smart_app.fhir import FhirClient, Resource
from smart_app.words import Clock, person_name

CHANGED = "Somebody else changed the case in the meantime."
LOOK = "Here is the case as it stands; repeat what is still right."


def moved(task: Resource, state: str, now: str, **elements: Any) -> Resource:
    """The Task in a new state; an element given as None is removed.  A reason does not outlive its state."""
    changed = {
        **task,
        "status": task_status(state),
        "businessStatus": own_code("business-status", state, state_title(state)),
        "lastModified": now,
        "statusReason": None,
        **elements,
    }
    return {name: value for name, value in changed.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Actor:
    """A person who takes steps, with the own token.  All raise Changed, and FhirFailure (the server's rule)."""

    fhir: FhirClient
    person: str
    clock: Clock

    async def step(self, case: Case, state: str, **elements: Any) -> Resource:
        """Move the case, on the version that the person saw."""
        task = self.moved(case, state, **elements)
        return await self._unless_changed(case, lambda: self.fhir.update(task))

    async def say(self, case: Case, message: Resource, state: str = "", **elements: Any) -> Resource:
        """Send a message, together with a step if it goes with one.  The message has its id: sent twice it is one."""
        entries = [_entry(message)]
        if state:
            entries.append(_entry(self.moved(case, state, **elements)))
        return await self._unless_changed(case, lambda: self.fhir.transaction(_bundle(entries)))

    async def acknowledge(self, case: Case) -> Resource:
        """Close the loop in one transaction: case, request, and what an amendment asked to be confirmed."""
        task = self.moved(case, "acknowledged")
        request = {**case.request, "status": "completed"}
        open_ones = [
            {**each, "status": "completed"} for each in case.acknowledgements() if each["status"] == "requested"
        ]
        entries = [_entry(each) for each in (request, task, *open_ones)]
        return await self._unless_changed(case, lambda: self.fhir.transaction(_bundle(entries)))

    async def withdraw(self, case: Case) -> Resource:
        """Take a request back before acceptance; the server cancels the Task itself."""
        revoked = {**case.request, "status": "revoked"}
        return await self._unless_changed(case, lambda: self.fhir.update(revoked))

    def moved(self, case: Case, state: str, **elements: Any) -> Resource:
        """The Task of a case in a new state, with a note of who moved it when."""
        now = self.clock.now().isoformat(timespec="milliseconds")
        note = {"authorReference": {"reference": self.person}, "time": now, "text": state_title(state)}
        notes = [*case.task.get("note", []), *([note] if self.person else [])]
        return moved(case.task, state, now, note=notes or None, **elements)

    async def _unless_changed(self, case: Case, write: Callable[[], Any]) -> Resource:
        try:
            written: Resource = await write()
        except FhirFailure as failure:
            if failure.status in (409, 412):
                raise Changed(await who_changed(self.fhir, case, self.clock), LOOK) from failure
            raise
        return written


async def step(fhir: FhirClient, case: Case, state: str, clock: Clock, **elements: Any) -> Resource:
    """Move the case without a note of who did it: the state says it, since only one person can take the step."""
    return await Actor(fhir, "", clock).step(case, state, **elements)


async def who_changed(fhir: FhirClient, case: Case, clock: Clock) -> str:
    """`Rosa Castillo moved it a minute ago: Offered to a consultant.`, as far as the Task tells."""
    task = await fhir.find(case.reference)
    if task is None:
        return "The case is no longer yours to see: it was given to somebody else, or has ended."
    title, when = state_title(state_code(task)), clock.ago(str(task.get("lastModified", "")))
    author = author_of(task)
    name = person_name(await fhir.find(author)) if author else ""
    who = f"{name} changed the case {when}" if name else f"The case changed {when}"
    return f"{who}. It is now: {title}."


def author_of(version: Resource) -> str:
    """Who moved a version of a case's Task to where it stands; empty when no person did."""
    when = version.get("lastModified")
    notes = [each for each in version.get("note", []) if each.get("time") == when]
    return str(notes[-1].get("authorReference", {}).get("reference", "")) if notes else ""


def _entry(resource: Resource) -> Resource:
    url = f"{resource['resourceType']}/{resource['id']}"
    request = {"method": "PUT", "url": url}
    if version := resource.get("meta", {}).get("versionId"):
        request["ifMatch"] = f'W/"{version}"'
    return {"fullUrl": f"urn:uuid:{resource['id']}", "resource": resource, "request": request}


def _bundle(entries: list[Resource]) -> Resource:
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}
