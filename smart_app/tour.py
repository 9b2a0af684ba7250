"""The guided first visit: a few steps for each role on its first pages, shown once to each person."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, delete, insert, select

from konsil.database import reader
from smart_app.launches import Launch
from smart_app.store.models import tour


@dataclass(frozen=True, slots=True)
class Step:
    """What a step speaks of (a CSS selector; a step whose place is not on the page is left out), and what it says."""

    at: str
    title: str
    text: str


FIND = Step(
    "#find", "Find anything", "Ctrl K finds any case, patient or page. The question mark key shows all other keys."
)
TOURS: Mapping[str, Sequence[Step]] = {
    "requester": (
        Step("#why", "Start with the question", "What do you want to know, and what will you do with the answer?"),
        Step(
            "#what, #records",
            "The records are ticked already",
            "Problems, results and letters come from this chart. Untick what should stay.",
        ),
        Step("#who", "Who answers, and when", "The service line and the urgency set the promised day."),
        Step(
            ".k-letter-column, .k-letter",
            "The letter as the consultant reads it",
            "It grows as you type and is saved as you go. What is still missing stands above it.",
        ),
        Step(
            "a[href$='/requests']",
            "Your requests",
            "What needs you comes first. The signed report is also filed among the notes of the chart.",
        ),
        FIND,
    ),
    "coordinator": (
        Step(
            ".k-board, .k-list, .k-page-head",
            "All running cases by where they stand",
            "Each card tells how long the promise still holds and what the case waits for.",
        ),
        Step(
            ".k-column:nth-of-type(2), [data-row]",
            "Ready means that somebody can answer",
            "Offer shows who fits, with the reasons: specialty, licence and open cases.",
        ),
        Step(
            ".k-page-head .btn-group, .k-list-tools",
            "Board or list",
            "The list sorts and filters; its address keeps what you chose.",
        ),
        FIND,
    ),
    "radiologist": (
        Step(".k-page-head, .k-list", "Your worklist", "Cases whose images you are asked to read."),
        Step(
            "[data-row]",
            "Current and prior side by side",
            "Opening a case shows the images with the timeline of the disease beside them. The key w sends them to "
            "your own workstation by DICOM.",
        ),
        FIND,
    ),
    "consultant": (
        Step(
            ".k-page-head, .k-list",
            "Your worklist",
            "New offers first, the nearest promise on top. Open a case to accept it or give it back.",
        ),
        Step(
            "[data-row]",
            "Question first",
            "Every case opens with the question. Reading puts images, records and your report on one screen.",
        ),
        FIND,
    ),
    "him": (
        Step(
            "#arrivals, .k-list, .k-page-head",
            "What came from outside",
            "Nobody sees this material before you have compared it with the patient.",
        ),
        Step(
            "[data-row]",
            "Compare, then decide",
            "Open an arrival: each field side by side, the images, and what will be changed in them.",
        ),
        Step(
            "nav a:nth-of-type(2)",
            "Sources and transfers",
            "Which archives answer, what is running, and what failed and why.",
        ),
        FIND,
    ),
}
PAGES = frozenset({"new", "requests", "patient", "triage", "worklist", "inbox"})


def role_of(launch: Launch) -> str:
    """The role whose tour a person gets, a radiologist's before a consultant's; empty when there is none for theirs."""
    return next((role for role in TOURS if launch.has_role(role)), "")


class TourStore:
    """Who has left which tour."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.reads = reader(engine)

    def steps(self, launch: Launch) -> Sequence[Step]:
        """The steps that a person still has before them; none once they left the tour."""
        role = role_of(launch)
        left = select(tour.c.left_at).where(tour.c.person == launch.practitioner, tour.c.role == role)
        with self.reads.connect() as connection:
            return () if not role or connection.execute(left).first() else TOURS[role]

    def leave(self, launch: Launch) -> None:
        """The person has seen enough."""
        row = {"person": launch.practitioner, "role": role_of(launch)}
        with self.engine.begin() as connection:
            connection.execute(delete(tour).where(tour.c.person == row["person"], tour.c.role == row["role"]))
            connection.execute(insert(tour).values(**row, left_at=time.time()))

    def again(self, launch: Launch) -> None:
        """The person wants to be shown round once more."""
        with self.engine.begin() as connection:
            connection.execute(delete(tour).where(tour.c.person == launch.practitioner))
