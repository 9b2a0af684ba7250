"""The coordinator's board: every running case as a card, with what is still missing and who could answer it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from smart_app.banner import Banner, banner_of
from smart_app.case.codes import URGENCIES
from smart_app.case.consultants import Directory, Reason, directory
from smart_app.case.licences import licence_for, place_of
from smart_app.case.records import attached_studies
from smart_app.case.status import Promise, Status, promise_of, status_of
from smart_app.case.view import Case, load_cases
from smart_app.fhir import FhirClient, Resource
from smart_app.words import Clock, counted

COLUMNS = {
    "Records": ("submitted", "awaiting-records", "reconciling"),
    "Ready": ("ready-for-triage",),
    "Offered": ("offered",),
    "Reading": ("assigned", "in-review", "ancillary-read", "info-requested", "consent-lapsed", "cancel-requested"),
    "Signed": ("report-signed", "report-amended"),
}
UNGIVEN = frozenset({"Records", "Ready"})
RUNNING = "requested,received,accepted,in-progress,on-hold,completed"
MOST = 500
AT_A_TIME = 50
RANKS = {"stat": 0, "asap": 1, "urgent": 2}


@dataclass(frozen=True)
class Card:
    """One case on the board."""

    case: Case
    banner: Banner
    status: Status
    promise: Promise | None
    records: Reason
    licence: Reason

    @property
    def column(self) -> str:
        """The column it stands in; empty when the board does not show it."""
        return next((title for title, states in COLUMNS.items() if self.case.state in states), "")

    @property
    def ungiven(self) -> bool:
        """Whether nobody has it yet."""
        return self.column in UNGIVEN

    @property
    def specialty(self) -> str:
        """What is asked for."""
        return self.case.specialty or "No specialty"

    @property
    def urgency(self) -> str:
        """How urgent it is."""
        return URGENCIES.get(str(self.case.task.get("priority", "routine")), "Routine")

    @property
    def when(self) -> str:
        """How it stands to its promise."""
        if self.promise is None or self.promise.tone == "good":
            return "Delivered" if self.promise else "No promise"
        return {"danger": "Late", "attention": "Due soon"}.get(self.promise.tone, "In time")

    @property
    def rank(self) -> tuple[int, str, str]:
        """Urgency, promised day, then always the same order."""
        return RANKS.get(str(self.case.task.get("priority", "")), 3), self.case.promised or "9", self.case.id


async def load_board(fhir: FhirClient, clock: Clock) -> list[Card]:
    """Every running case, the most urgent first: four searches, however many cases there are."""
    found, known = await asyncio.gather(load_cases(fhir, {"status": RUNNING}, most=MOST), directory(fhir))
    shown = [case for case in found if any(case.state in states for states in COLUMNS.values())]
    gathered = {state for title in UNGIVEN for state in COLUMNS[title]}
    children = await _children(fhir, [case for case in shown if case.state in gathered])
    cards = [_card(replace(case, children=children.get(case.id, [])), known, clock) for case in shown]
    return sorted(cards, key=lambda card: card.rank)


def _card(case: Case, known: Directory, clock: Clock) -> Card:
    licence = licence_state(case, known, clock.now().date())
    banner, status = banner_of(case.patient), status_of(case, clock)
    return Card(case, banner, status, promise_of(case, clock), records_state(case), licence)


def records_state(case: Case) -> Reason:
    """What of the outside imaging is here, on its way, waiting to be compared, or could not be had."""
    fetched = case.retrievals()
    failed = [each for each in fetched if each.status == "failed"]
    running = [each for each in fetched if each.running]
    if running:
        return Reason(f"{_studies(len(running))} on the way", "active", "arrow-down")
    here = len(attached_studies(case))
    undecided = [each for each in fetched if each.status == "completed" and not each.decision and each.received]
    if case.state == "reconciling" or len(undecided) > here:
        return Reason("Images being compared", "active", "git-compare")
    if failed:
        return Reason(f"{_studies(len(failed))} could not be fetched", "attention", "alert-triangle")
    if case.state == "awaiting-records":
        return Reason("More records were asked for", "active", "hourglass")
    return Reason(f"Records complete, {_studies(here)}" if here else "Records complete", "good", "checks")


def licence_state(case: Case, known: Directory, today: date) -> Reason:
    """Whether somebody of the asked specialty is licensed where the patient is; once given, whether the owner is."""
    place = place_of(case.patient)
    names = [case.owner] if case.owner else known.fitting(case)
    if not place:
        return Reason("Patient's place unknown", "neutral", "circle-dashed")
    if not names:
        return Reason("Nobody of this specialty", "attention", "user-x")
    held = [name for name in names if licence_for(known.people.get(name, {}), place, today).held]
    if case.owner:
        return (
            Reason(f"Licensed in {place}", "good", "check")
            if held
            else Reason(f"No licence for {place}", "danger", "alert-triangle")
        )
    if held:
        return Reason(f"{len(held)} of {len(names)} licensed in {place}", "good", "check")
    return Reason(f"Nobody licensed in {place}", "danger", "alert-triangle")


async def _children(fhir: FhirClient, cases: Sequence[Case]) -> dict[str, list[Resource]]:
    """Child Tasks by case: one search for fifty cases."""
    bunches = [cases[at : at + AT_A_TIME] for at in range(0, len(cases), AT_A_TIME)]
    wanted = [",".join(f"Task/{case.id}" for case in bunch) for bunch in bunches]
    found = await asyncio.gather(*(fhir.search("Task", {"part-of": each}, most=500) for each in wanted))
    children: dict[str, list[Resource]] = {}
    for task in (each for answer in found for each in answer.matches):
        for parent in task.get("partOf", []):
            children.setdefault(str(parent.get("reference", "")).removeprefix("Task/"), []).append(task)
    return children


def _studies(number: int) -> str:
    return counted(number, "study").replace("studys", "studies")
