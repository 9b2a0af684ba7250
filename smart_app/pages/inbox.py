"""`inbox`: what came from outside and waits for HIM staff, oldest first; below, what they decided."""

from dataclasses import dataclass

from starlette.responses import Response

from smart_app.case.material import title_of
from smart_app.fhir import Found, Resource
from smart_app.visit import NavItem, Visit, page

RECONCILIATION = "https://konsil.example/fhir/CodeSystem/task-code|reconciliation"
OPEN = "requested,accepted,in-progress"
SHOWN = 50


@dataclass(frozen=True, slots=True)
class Arrival:
    """One row: the Task, what arrived, and for whom it is meant."""

    task: Resource
    material: Resource | None
    patient: Resource | None

    @property
    def title(self) -> str:
        """What arrived, in words."""
        return title_of(self.material) if self.material else str(self.task.get("description", "Outside material"))

    @property
    def source(self) -> str:
        """The archive or person it came from."""
        return input_of(self.task, "peer") or "unknown source"

    @property
    def decision(self) -> str:
        """accept or reject, once somebody decided."""
        return next(
            (str(each.get("valueCode", "")) for each in self.task.get("output", []) if code_of(each) == "decision"), ""
        )


async def inbox(visit: Visit) -> Response:
    """Open arrivals first."""
    visit.require("him", "administrator")
    waiting = await tasks(visit, {"status": OPEN, "_sort": "authored-on"})
    decided = await tasks(visit, {"status": "completed", "_sort": "-_lastUpdated"})
    return visit.render("inbox.html", waiting=waiting, decided=decided[:10])


async def tasks(visit: Visit, parameters: dict[str, str]) -> list[Arrival]:
    """Reconciliation Tasks with what they are about."""
    wanted = {"code": RECONCILIATION, "_include": ["Task:focus", "Task:patient"], **parameters}
    found = await visit.fhir.search("Task", wanted, most=SHOWN)
    return [arrival(task, found) for task in found.matches]


def arrival(task: Resource, found: Found) -> Arrival:
    """A Task with its focus and its patient out of what came along."""
    known = {f"{each['resourceType']}/{each['id']}": each for each in found.included}
    focus, patient = task.get("focus", {}).get("reference", ""), task.get("for", {}).get("reference", "")
    return Arrival(task, known.get(focus), known.get(patient))


def input_of(task: Resource, code: str) -> str:
    """The string input of a type of the project's own."""
    return next((str(each.get("valueString", "")) for each in task.get("input", []) if code_of(each) == code), "")


def code_of(parameter: Resource) -> str:
    """The code of a Task input or output."""
    return str((parameter.get("type", {}).get("coding") or [{}])[0].get("code", ""))


routes = [page("inbox", inbox)]
nav = [NavItem("Inbox", "inbox", "inbox", ("him", "administrator"))]
