"""Imaging on its way: what the retrieval and reconciliation Tasks of a case say, in numbers and words.  Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from smart_app.case.codes import own_system
from smart_app.words import code_in, counted, parse_moment

OPEN_STATES = frozenset({"requested", "received", "accepted", "ready", "in-progress", "on-hold"})
GRADES = {
    "A": "complete: both lists of the archive agree and every image is here",
    "B": "the counts agree; the archive gave no full list",
    "C": "only the archive's own counters say so",
    "D": "the archive gave nothing to check against",
}


@dataclass(frozen=True)
class Retrieval:
    """One study being fetched."""

    task: Mapping[str, Any]
    description: str
    peer: str
    study_instance_uid: str
    status: str
    expected: int | None
    received: int
    failed: int
    completeness: str
    cause: str
    remedy: str

    @property
    def running(self) -> bool:
        """Whether it is not over yet."""
        return self.status in OPEN_STATES

    @property
    def grade(self) -> str:
        """What the completeness letter means."""
        return GRADES.get(self.completeness, "")

    def sentence(self, now: datetime) -> str:
        """`212 of 300 images, about 2 minutes`."""
        if self.status == "requested":
            return "waiting for its turn"
        if self.status == "failed":
            return self.cause or "the archive could not send it"
        if self.status == "completed":
            return f"{counted(self.received, 'image')} here"
        if not self.expected:
            return (
                "asking the archive what there is" if not self.received else f"{counted(self.received, 'image')} so far"
            )
        rest = self._rest(now)
        return f"{self.received:,} of {counted(self.expected, 'image')}{', ' + rest if rest else ''}"

    def _rest(self, now: datetime) -> str:
        """How long it will take, by the rate so far; nothing before a rate can be told."""
        begun = parse_moment(self.task.get("executionPeriod", {}).get("start") or self.task.get("authoredOn", ""))
        if begun is None or not self.expected or self.received < 10:
            return ""
        seconds = (now - begun).total_seconds() * (self.expected - self.received) / self.received
        return f"about {counted(round(seconds / 60), 'minute')}" if seconds >= 60 else "less than a minute"


def retrieval_of(task: Mapping[str, Any]) -> Retrieval:
    """Read an imaging-retrieval Task."""
    inputs, outputs = values_of(task.get("input", []), "task-input"), values_of(task.get("output", []), "task-output")
    expected = outputs.get("instances-expected")
    return Retrieval(
        task=task,
        description=str(inputs.get("description") or task.get("description", "Study")),
        peer=str(inputs.get("peer", "")),
        study_instance_uid=str(inputs.get("study-instance-uid", "")),
        status=str(task.get("status", "")),
        expected=int(expected) if expected is not None else None,
        received=int(outputs.get("instances-received", 0)),
        failed=int(outputs.get("instances-failed", 0)),
        completeness=str(outputs.get("completeness", "")),
        cause=str(outputs.get("cause") or task.get("statusReason", {}).get("text", "")),
        remedy=str(outputs.get("remedy", "")),
    )


def values_of(parameters: Sequence[Mapping[str, Any]], system: str) -> dict[str, Any]:
    """Task.input or Task.output by code; of several with one code the last."""
    return {
        code: value
        for each in parameters
        if (code := code_in(each.get("type"), own_system(system)))
        for name, value in each.items()
        if name.startswith("value")
    }
