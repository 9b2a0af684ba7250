"""The state table of the case, `profiles/case-states.json`, as values.  docs/case.md"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import profiles

CANONICAL = "https://konsil.example/fhir"
HL7_TASK_CODE = "http://hl7.org/fhir/CodeSystem/task-code"
BUSINESS_STATUS = f"{CANONICAL}/CodeSystem/business-status"
TASK_CODE = f"{CANONICAL}/CodeSystem/task-code"
TASK_OUTPUT = f"{CANONICAL}/CodeSystem/task-output"
PRODUCT = f"{CANONICAL}/CodeSystem/product"


@dataclass(frozen=True, slots=True)
class State:
    """A businessStatus and the statuses that go with it; `owner` is none, one or any."""

    code: str
    title: str
    stage: str
    request: tuple[str, ...]
    task: tuple[str, ...]
    owner: str


@dataclass(frozen=True, slots=True)
class Step:
    """A way from one state to another: who may take it and what it needs."""

    name: str
    by: frozenset[str]
    sources: frozenset[str | None]
    target: str
    owner: str
    needs: frozenset[str]
    server: frozenset[str]


@dataclass(frozen=True, slots=True)
class ChildStep:
    """A change of status of a child Task."""

    by: frozenset[str]
    sources: frozenset[str]
    targets: frozenset[str]
    needs: frozenset[str]


@dataclass(frozen=True, slots=True)
class Child:
    """A kind of child Task: who opens it and how it goes on."""

    creators: frozenset[str]
    steps: tuple[ChildStep, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """The whole table."""

    states: Mapping[str, State]
    steps: tuple[Step, ...]
    fixed: frozenset[str]
    editors: Mapping[str, frozenset[str]]
    children: Mapping[str, Child]
    cancels: frozenset[str]
    concordance: Mapping[str, frozenset[str]]

    def leading(self, source: str | None, target: str) -> list[Step]:
        """The steps from one state to another, whoever may take them."""
        return [step for step in self.steps if source in step.sources and step.target == target]


@cache
def table() -> Table:
    """Read the table once."""
    data = profiles.load("case-states.json")
    fields = data["fields"]
    return Table(
        states={code: _state(code, one) for code, one in data["states"].items()},
        steps=tuple(_step(one) for one in data["steps"]),
        fixed=frozenset(fields["fixed"]),
        editors={name: frozenset(by) for name, by in fields.items() if name not in {"comment", "fixed"}},
        children={code: _child(one) for code, one in data["children"].items()},
        cancels=frozenset(data["ending"]["cancels"]),
        concordance={code: frozenset(values) for code, values in data["concordance"].items()},
    )


def _state(code: str, data: Mapping[str, Any]) -> State:
    return State(code, data["title"], data["stage"], tuple(data["ServiceRequest"]), tuple(data["Task"]), data["owner"])


def _step(data: Mapping[str, Any]) -> Step:
    return Step(
        name=data["name"],
        by=frozenset(data["by"]),
        sources=frozenset(data["from"]),
        target=data["to"],
        owner=data["owner"],
        needs=frozenset(data["needs"]),
        server=frozenset(data["server"]),
    )


def _child(data: Mapping[str, Any]) -> Child:
    steps = (
        ChildStep(frozenset(one["by"]), frozenset(one["from"]), frozenset(one["to"]), frozenset(one.get("needs", ())))
        for one in data["steps"]
    )
    return Child(frozenset(data["create"]), tuple(steps))
