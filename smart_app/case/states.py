"""States and steps of a case, read from profiles/case-states.json: the same file that the server's rules read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import profiles
from smart_app.case.codes import own_system
from smart_app.words import code_in

Place = Literal["done", "here", "ahead", "ended"]
FINISHED = frozenset({"acknowledged", "follow-up-due", "closed", "declined", "unable", "withdrawn", "entered-in-error"})
ENDED = frozenset({"closed", "declined", "unable", "withdrawn", "entered-in-error"})
SIGNED = frozenset({"report-signed", "report-amended", "acknowledged", "follow-up-due", "closed"})


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the road, and whether the case is past it, in it, or before it."""

    code: str
    title: str
    place: Place


@dataclass(frozen=True, slots=True)
class Step:
    """A step that a person may take now, by name and in words."""

    name: str
    title: str
    to: str


@cache
def table() -> Mapping[str, Any]:
    """The whole file."""
    content: Mapping[str, Any] = profiles.load("case-states.json")
    return content


def state_code(task: Mapping[str, Any]) -> str:
    """Where a case is: its businessStatus."""
    return code_in(task.get("businessStatus"), own_system("business-status")) or "intake"


def state_title(code: str) -> str:
    """A state in words."""
    return str(table()["states"].get(code, {}).get("title", code))


def road(code: str) -> list[Stage]:
    """The whole road with the place where the case stands; an ended case shows where it stopped."""
    stages = [stage for stage in table()["stages"] if stage["code"] != "ended"]
    stage = table()["states"].get(code, {}).get("stage", "request")
    if stage == "ended":
        return [Stage(stages[0]["code"], stages[0]["title"], "done"), Stage("ended", state_title(code), "ended")]
    at = next((place for place, each in enumerate(stages) if each["code"] == stage), 0)
    finished = at == len(stages) - 1
    return [Stage(each["code"], each["title"], _place(index, at, finished)) for index, each in enumerate(stages)]


def steps_from(code: str, roles: Sequence[str], owns: bool) -> list[Step]:
    """What the roles may do next; the owner's steps if the person owns the case.  The server decides again."""
    wanted = {*roles, *(["owner"] if owns else [])}
    return [
        Step(step["name"], step["title"], step["to"])
        for step in table()["steps"]
        if code in step["from"] and wanted & set(step["by"])
    ]


def task_status(code: str) -> str:
    """The Task.status that goes with a state."""
    return str(table()["states"][code]["Task"][0])


def _place(index: int, at: int, finished: bool) -> Place:
    if index < at or (finished and index == at):
        return "done"
    return "here" if index == at else "ahead"
