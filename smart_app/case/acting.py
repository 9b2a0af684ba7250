"""Steps a person takes on a case: one conditional update, or one transaction where several resources go together.

Every step leaves a note on the Task with who took it, so that the activity and a conflict can name a person.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from smart_app.case.codes import own_code
from smart_app.case.deeds import author_of, deed
from smart_app.case.states import state_code, state_title, task_status
from smart_app.case.view import Case, named_in, people_of
from smart_app.errors import AppError, Changed, FhirFailure
from smart_app.fhir import FhirClient, Resource
from smart_app.words import Clock, person_name

__all__ = ["LOOK", "Actor", "author_of", "moved", "step", "who_changed"]

LOOK = "Here is the case as it stands."


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
        text = str((elements.get("statusReason") or {}).get("text") or state_title(state))
        note = {"authorReference": {"reference": self.person}, "time": now, "text": text}
        notes = [*case.task.get("note", []), *([note] if self.person else [])]
        return moved(case.task, state, now, note=notes or None, **elements)

    async def _unless_changed(self, case: Case, write: Callable[[], Any]) -> Resource:
        try:
            written: Resource = await write()
        except FhirFailure as failure:
            if failure.status in (409, 412):
                raise Changed(await who_changed(self.fhir, case, self.clock, self.person), LOOK) from failure
            raise
        return written


async def step(fhir: FhirClient, case: Case, state: str, clock: Clock, **elements: Any) -> Resource:
    """Move the case without a note of who did it: the state says it, since only one person can take the step."""
    return await Actor(fhir, "", clock).step(case, state, **elements)


async def who_changed(fhir: FhirClient, case: Case, clock: Clock, reader: str = "") -> str:
    """`Rosa Castillo offered it to Dr. Ito a minute ago.`, as far as the Task tells."""
    try:
        versions = await fhir.history(case.reference)
    except AppError:
        versions = []
    if not versions:
        return "The case is no longer yours to see: it was given to somebody else, or has ended."
    people = await people_of(fhir, named_in(versions[0]))
    before = next((each for each in versions if state_code(each) != state_code(versions[0])), None)
    said = deed(versions[0], before, lambda name: person_name(people.get(name)), reader)
    return f"{said} {clock.ago(str(versions[0].get('lastModified', '')))}."


def _entry(resource: Resource) -> Resource:
    url = f"{resource['resourceType']}/{resource['id']}"
    request = {"method": "PUT", "url": url}
    if version := resource.get("meta", {}).get("versionId"):
        request["ifMatch"] = f'W/"{version}"'
    return {"fullUrl": f"urn:uuid:{resource['id']}", "resource": resource, "request": request}


def _bundle(entries: list[Resource]) -> Resource:
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}
