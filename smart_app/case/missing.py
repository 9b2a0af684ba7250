"""What a case still lacks, most urgent first, as sentences with the tab that shows more.  Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from smart_app.case.records import Records
from smart_app.case.retrieval import OPEN_STATES, Retrieval
from smart_app.case.states import FINISHED, SIGNED
from smart_app.case.status import Tone
from smart_app.case.view import Case


@dataclass(frozen=True, slots=True)
class Gap:
    """One thing that is missing."""

    sentence: str
    tab: str
    tone: Tone
    icon: str


def missing(case: Case, records: Records) -> list[Gap]:
    """What is missing; nothing once the report is signed or the case has ended."""
    if case.state in FINISHED | SIGNED:
        return []
    return [*_failed(case.retrievals()), *_coming(case), *_request(case, records)]


def _failed(retrievals: list[Retrieval]) -> Iterator[Gap]:
    for each in retrievals:
        if each.status == "failed":
            said = f"{each.description} could not be fetched: {each.cause or 'no cause given'}"
            yield Gap(said, "imaging", "danger", "alert-triangle")
        elif each.missing:
            said = f"{each.description}: {each.missing} of {each.received + each.missing} images are missing"
            yield Gap(said, "imaging", "attention", "photo-scan")


def _coming(case: Case) -> Iterator[Gap]:
    running = sum(each.running for each in case.retrievals())
    if running:
        yield Gap(f"{_studies(running)} on the way", "imaging", "active", "arrow-down")
    waiting = sum(each.get("status") in OPEN_STATES for each in case.reconciliations())
    if waiting:
        verb = "waits" if waiting == 1 else "wait"
        yield Gap(f"{_studies(waiting)} {verb} to be compared with the patient", "imaging", "active", "git-compare")


def _request(case: Case, records: Records) -> Iterator[Gap]:
    if not case.diagnosis:
        yield Gap("The request names no diagnosis", "overview", "attention", "stethoscope")
    if not records.groups and not records.studies:
        yield Gap("No record goes along", "records", "attention", "files")
    elif not records.studies and not case.retrievals():
        yield Gap("No imaging goes along", "imaging", "neutral", "photo-scan")


def _studies(number: int) -> str:
    return f"{number} outside {'study' if number == 1 else 'studies'}"
