"""The timeline of a case: every version of its Tasks that changed where it stands.  Pure apart from `load`."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from smart_app.case.retrieval import retrieval_of, values_of
from smart_app.case.states import state_code, state_title
from smart_app.case.view import Case, child_code
from smart_app.fhir import FhirClient, Resource
from smart_app.words import counted, parse_moment


@dataclass(frozen=True, slots=True)
class Event:
    """One line: when, what, with an icon."""

    moment: str
    text: str
    icon: str


EPOCH = datetime.fromtimestamp(0, UTC)
ICONS = {
    "submitted": "send",
    "awaiting-records": "hourglass",
    "reconciling": "git-compare",
    "ready-for-triage": "checklist",
    "offered": "user-question",
    "assigned": "user-check",
    "in-review": "book",
    "report-signed": "signature",
    "acknowledged": "circle-check",
    "declined": "ban",
    "withdrawn": "ban",
}


async def load_timeline(fhir: FhirClient, case: Case) -> list[Event]:
    """All events, newest first."""
    names = [case.reference, *(f"Task/{each['id']}" for each in case.children)]
    histories = await asyncio.gather(*(fhir.history(name) for name in names))
    events = case_events(case, histories[0])
    for history in histories[1:]:
        events.extend(child_events(history))
    return sorted(events, key=lambda event: parse_moment(event.moment) or EPOCH, reverse=True)


def case_events(case: Case, history: Sequence[Resource]) -> list[Event]:
    """Changes of the case's own state, from its versions (newest first, as history gives them)."""
    events: list[Event] = []
    before, modified = "", ""
    for version in reversed(history):
        state, stepped = state_code(version), str(version.get("lastModified", ""))
        if state != before:
            moment = stepped if stepped != modified else _moment(version)
            events.append(Event(moment, _words(case, version, state), ICONS.get(state, "circle-dot")))
        before, modified = state, stepped
    return events


def child_events(history: Sequence[Resource]) -> list[Event]:
    """What became of a study to fetch, or of a comparison."""
    events: list[Event] = []
    before = ""
    for version in reversed(history):
        status = str(version.get("status"))
        text = _child_words(version) if status != before else ""
        if text:
            events.append(
                Event(
                    _moment(version),
                    text,
                    "photo-scan" if child_code(version) == "imaging-retrieval" else "git-compare",
                )
            )
        before = status
    return events


def _words(case: Case, version: Resource, state: str) -> str:
    owner = version.get("owner", {}).get("reference", "")
    who = case.name_of(owner) if owner in case.people else "the consultant"
    texts = {
        "submitted": f"{case.name_of(case.requester)} sent the request",
        "awaiting-records": "Outside records are being fetched",
        "reconciling": "Outside material arrived and waits to be compared with the patient",
        "ready-for-triage": "Ready to be given to a consultant",
        "offered": f"Offered to {who}",
        "assigned": f"{who} accepted the case",
        "in-review": f"{who} began to read",
        "report-signed": f"{who} signed the report",
        "acknowledged": "The report was acknowledged",
    }
    return texts.get(state, state_title(state))


def _child_words(version: Resource) -> str:
    code, status = child_code(version), version.get("status")
    if code == "imaging-retrieval":
        return _retrieval_words(version, str(status))
    if code == "reconciliation" and status == "completed":
        outputs = values_of(version.get("output", []), "task-output")
        reason = f": {outputs['reason']}" if outputs.get("reason") else ""
        accepted = outputs.get("decision") == "accept"
        return "Outside imaging accepted for this patient" if accepted else f"Outside imaging rejected{reason}"
    return ""


def _retrieval_words(version: Resource, status: str) -> str:
    found = retrieval_of(version)
    texts = {
        "in-progress": f"Fetching {found.description}",
        "completed": f"{found.description}: {counted(found.received, 'image')} arrived",
        "failed": f"{found.description} could not be fetched: {found.cause or 'no cause given'}",
        "cancelled": f"{found.description} is no longer wanted",
    }
    return texts.get(status, "")


def _moment(version: Resource) -> str:
    return str(version.get("meta", {}).get("lastUpdated", ""))
