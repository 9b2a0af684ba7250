"""Imaging on its way: what the retrieval and reconciliation Tasks of a case say, in numbers and words.  Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from smart_app.case.codes import own_system
from smart_app.words import code_in, counted, parse_moment

OPEN_STATES = frozenset({"requested", "received", "accepted", "ready", "in-progress", "on-hold"})
BADGES = {
    "failed": ("could not be fetched", "danger", "alert-triangle"),
    "cancelled": ("cancelled", "neutral", "ban"),
    "entered-in-error": ("entered in error", "neutral", "ban"),
}
GRADES = {
    "A": "complete: both lists of the archive agree and every image is here",
    "B": "the counts agree; the archive gave no full list",
    "C": "only the archive's own counters say so",
    "D": "images are missing, or the archive gave nothing to check against",
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
    decision: str = ""
    reason: str = ""

    @property
    def missing(self) -> int:
        """How many images the archive has, as far as known, and did not bring."""
        return max(self.failed, (self.expected or 0) - self.received) if self.status == "completed" else 0

    @property
    def badge(self) -> tuple[str, str, str]:
        """Where it stands in a word or two, with tone and icon."""
        if self.decision == "reject":
            return "not added", "danger", "x"
        if self.status == "completed":
            return ("arrived in part", "attention", "alert-triangle") if self.missing else ("arrived", "good", "check")
        if self.running and self.cause:
            return "tried again soon", "attention", "clock-pause"
        return BADGES.get(self.status, ("on its way", "active", "arrow-down"))

    @property
    def running(self) -> bool:
        """Whether it is not over yet."""
        return self.status in OPEN_STATES

    def may_cancel(self, roles: Collection[str]) -> bool:
        """Whether a person of these roles may stop it: a requester only before the first image was asked for."""
        early = "requester" in roles and self.status in ("requested", "accepted")
        return early or ("him" in roles and self.running)

    def may_repeat(self, roles: Collection[str]) -> bool:
        """Whether a person of these roles may have it fetched once more."""
        return "him" in roles and self.status == "failed"

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
            came = f"{self.received:,} of {counted(self.received + self.missing, 'image')}"
            return f"{came} here" if self.missing else f"{counted(self.received, 'image')} here"
        if self.running and self.cause:
            return f"{self.cause.rstrip('.')}; it is asked again by itself"
        if not self.expected:
            return f"{counted(self.received, 'image')} so far" if self.received else "asking the archive what there is"
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
        decision=str(outputs.get("decision", "")),
        reason=str(outputs.get("reason", "")),
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
