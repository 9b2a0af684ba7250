"""What a case still lacks, most urgent first, as sentences with the tab that shows more.  Pure."""

from dataclasses import dataclass

from smart_app.case.records import Records
from smart_app.case.retrieval import OPEN_STATES
from smart_app.case.states import FINISHED, SIGNED
from smart_app.case.status import Tone
from smart_app.case.view import Case
from smart_app.words import counted


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
    return [*_imaging(case), *_request(case, records)]


def _imaging(case: Case) -> list[Gap]:
    found = [
        Gap(
            f"{each.description} could not be fetched: {each.cause or 'no cause given'}",
            "imaging",
            "danger",
            "alert-triangle",
        )
        for each in case.retrievals()
        if each.status == "failed"
    ]
    found += [
        Gap(
            f"{each.description}: {each.received} of {each.expected} images arrived",
            "imaging",
            "attention",
            "photo-scan",
        )
        for each in case.retrievals()
        if each.status == "completed" and each.expected and each.received < each.expected
    ]
    running = [each.description for each in case.retrievals() if each.running]
    if running:
        found.append(
            Gap(
                f"{counted(len(running), 'outside study').replace('studys', 'studies')} on the way",
                "imaging",
                "active",
                "arrow-down",
            )
        )
    waiting = sum(each.get("status") in OPEN_STATES for each in case.reconciliations())
    if waiting:
        verb = "waits" if waiting == 1 else "wait"
        found.append(
            Gap(
                f"{waiting} outside {'study' if waiting == 1 else 'studies'} {verb} to be compared with the patient",
                "imaging",
                "active",
                "git-compare",
            )
        )
    return found


def _request(case: Case, records: Records) -> list[Gap]:
    found = []
    if not case.diagnosis:
        found.append(Gap("The request names no diagnosis", "overview", "attention", "stethoscope"))
    if not records.groups and not records.studies:
        found.append(Gap("No record goes along", "records", "attention", "files"))
    elif not records.studies and not case.retrievals():
        found.append(Gap("No imaging goes along", "imaging", "neutral", "photo-scan"))
    return found
