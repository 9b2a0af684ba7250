"""Images on their way in and out, as the gateway tells it, in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from smart_app.fhir import Resource
from smart_app.words import counted, person_name

RUNNING = frozenset({"requested", "listing", "fetching", "verifying", "waiting", "due", "sending"})
STATES = {
    "requested": ("Waits for its turn", "active", "clock"),
    "listing": ("Asking what there is", "active", "loader-2"),
    "fetching": ("Coming", "active", "arrow-down"),
    "verifying": ("Checking that all came", "active", "checklist"),
    "waiting": ("Tries again soon", "attention", "clock-pause"),
    "completed": ("Here", "good", "check"),
    "failed": ("Failed", "danger", "alert-triangle"),
    "cancelled": ("Cancelled", "neutral", "ban"),
    "due": ("Waits for its turn", "active", "clock"),
    "sending": ("Going out", "active", "arrow-up"),
    "sent": ("Sent", "good", "check"),
    "withheld": ("Held back", "attention", "hand-stop"),
}
UNITS = ("bytes", "kB", "MB", "GB", "TB")


@dataclass(frozen=True)
class Transfer:
    """One study coming from an archive, or going to one."""

    found: Mapping[str, Any]
    patient: Resource | None
    incoming: bool

    @property
    def state(self) -> str:
        """The gateway's word for where it stands."""
        return str(self.found["state"])

    @property
    def running(self) -> bool:
        """Whether it is not over yet."""
        return self.state in RUNNING

    @property
    def incomplete(self) -> bool:
        """Whether it came, and some images did not."""
        return self.state == "completed" and bool(self.found.get("failed"))

    @property
    def words(self) -> tuple[str, str, str]:
        """State, tone and icon."""
        if self.incomplete:
            return "Here in part", "attention", "alert-triangle"
        if self.state == "due" and self.found.get("cause"):
            return STATES["waiting"]
        return STATES.get(self.state, (self.state, "neutral", "circle"))

    @property
    def group(self) -> str:
        """What the list is filtered by."""
        if self.running:
            return "Running"
        return "Needs a look" if self.state in ("failed", "withheld") or self.incomplete else "Done"

    @property
    def direction(self) -> str:
        """From outside, or to a destination."""
        return "From outside" if self.incoming else "To a destination"

    @property
    def title(self) -> str:
        """What it is."""
        return str(self.found.get("description") or "Study")

    @property
    def peer(self) -> str:
        """The other side."""
        return str(self.found.get("title") or self.found.get("peer", ""))

    @property
    def person(self) -> str:
        """Whose it is meant to be."""
        return person_name(self.patient) if self.patient else ""

    @property
    def done(self) -> int:
        """How many images made it."""
        return int(self.found.get("received", self.found.get("sent", 0)) or 0)

    @property
    def wanted(self) -> int:
        """How many there are; 0 when nobody knows yet."""
        return int(self.found.get("expected", self.found.get("total", 0)) or 0)

    @property
    def amount(self) -> str:
        """`212 of 300 images`."""
        if not self.wanted:
            return counted(self.done, "image") if self.done else ""
        return counted(self.done, "image") if self.done == self.wanted else f"{self.done:,} of {self.wanted:,} images"

    @property
    def moment(self) -> str:
        """When something last happened."""
        return str(self.found.get("changed_at") or self.found.get("updated_at") or "")

    @property
    def task(self) -> str:
        """The id of its Task, empty for one that goes out."""
        return str(self.found.get("task", "")).removeprefix("Task/")

    @property
    def case(self) -> str:
        """The id of the case that asked for it."""
        return str(self.found.get("case", "")).removeprefix("Task/")


def size_in_words(number: float) -> str:
    """`1.4 GB`."""
    unit = 0
    while number >= 1000 and unit < len(UNITS) - 1:
        number, unit = number / 1000, unit + 1
    return f"{number:.0f} {UNITS[unit]}" if unit < 2 or number >= 100 else f"{number:.1f} {UNITS[unit]}"
