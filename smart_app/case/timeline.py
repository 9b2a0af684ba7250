"""The activity of a case: every version of its Tasks that changed where it stands, and its messages, by day."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from smart_app.case.deeds import deed
from smart_app.case.messages import Thread
from smart_app.case.retrieval import retrieval_of, values_of
from smart_app.case.states import state_code
from smart_app.case.view import Case, child_code, named_in, people_of
from smart_app.fhir import FhirClient, Resource
from smart_app.words import Clock, counted, parse_moment, person_name

Name = Callable[[str], str]
KINDS = {"case": "Steps", "imaging": "Imaging", "message": "Messages"}
EPOCH = datetime.fromtimestamp(0, UTC)
ICONS = {
    "submitted": "send",
    "awaiting-records": "hourglass",
    "reconciling": "git-compare",
    "ready-for-triage": "checklist",
    "offered": "user-question",
    "assigned": "user-check",
    "in-review": "book",
    "info-requested": "message-question",
    "report-signed": "signature",
    "report-amended": "signature",
    "acknowledged": "circle-check",
    "declined": "ban",
    "unable": "ban",
    "withdrawn": "ban",
    "entered-in-error": "alert-triangle",
}


@dataclass(frozen=True, slots=True)
class Event:
    """One line: when, what, with an icon; `detail` is what was said about it.

    `kept` is when our server kept the version that tells of it: what it says of when it happened is the client's word.
    """

    moment: str
    text: str
    icon: str
    kind: str = "case"
    detail: str = ""
    kept: str = ""


async def load_timeline(fhir: FhirClient, case: Case, thread: Thread) -> list[Event]:
    """All events, newest first."""
    names = [case.reference, *(f"Task/{each['id']}" for each in case.children)]
    histories = await asyncio.gather(*(fhir.history(name) for name in names))
    people = await people_of(fhir, set().union(*(named_in(each) for history in histories for each in history)))

    def name(reference: str) -> str:
        return person_name(people.get(reference)) if reference in people else "somebody"

    events = case_events(histories[0], name)
    for history in histories[1:]:
        events.extend(child_events(history, name))
    return newest_first([*in_step(events), *message_events(thread)])


def newest_first(events: Iterable[Event]) -> list[Event]:
    """By when they happened; of one moment, what was kept last comes first."""
    moments = [(parse_moment(each.moment) or EPOCH, parse_moment(each.kept) or EPOCH, each) for each in events]
    return [each for _, _, each in sorted(moments, key=lambda one: one[:2], reverse=True)]


def in_step(events: Iterable[Event]) -> list[Event]:
    """No event later than what followed from it: a step may be written down later than it was taken.

    The arrival of images, which only the server dates, then stands where it was kept: before the step that came next.
    """
    latest, placed = "", []
    for each in sorted(events, key=lambda one: parse_moment(one.kept) or EPOCH, reverse=True):
        after = latest and (parse_moment(each.moment) or EPOCH) > (parse_moment(latest) or EPOCH)
        placed.append(replace(each, moment=latest) if after else each)
        latest = placed[-1].moment
    return placed


def by_day(events: Iterable[Event], clock: Clock) -> list[tuple[str, list[Event]]]:
    """Events under the day on which they happened here."""
    days: dict[str, list[Event]] = {}
    for event in events:
        local = clock.local(event.moment)
        days.setdefault(local.date().isoformat() if local else "", []).append(event)
    return list(days.items())


def case_events(history: Sequence[Resource], name: Name) -> list[Event]:
    """Changes of the case's own state and owner, from its versions (newest first, as history gives them)."""
    events: list[Event] = []
    before: Resource | None = None
    for version in reversed(history):
        if before is None or _standing(version) != _standing(before):
            state, stepped = state_code(version), version.get("lastModified")
            reason = "" if state == "info-requested" else str(version.get("statusReason", {}).get("text", ""))
            told = before is None or stepped != before.get("lastModified")
            moment = str(stepped) if stepped and told else _moment(version)
            done, icon = deed(version, before, name), ICONS.get(state, "circle-dot")
            events.append(Event(moment, done, icon, "case", reason, _moment(version)))
        before = version
    return events


def child_events(history: Sequence[Resource], name: Name) -> list[Event]:
    """What became of a study to fetch, of a comparison, or of what an amendment asked to be confirmed."""
    events: list[Event] = []
    before = ""
    for version in reversed(history):
        status = str(version.get("status"))
        text = _child_words(version, name) if status != before else ""
        if text:
            icon = {"imaging-retrieval": "photo-scan", "acknowledgement": "circle-check"}.get(child_code(version))
            kind = "case" if child_code(version) == "acknowledgement" else "imaging"
            kept = _moment(version)
            events.append(Event(kept, text, icon or "git-compare", kind, kept=kept))
        before = status
    return events


def message_events(thread: Thread) -> list[Event]:
    """Messages that are neither question nor answer: those are steps already."""
    return [
        Event(each.sent, f"{'You' if each.mine else each.name} wrote a message", "message", "message", each.text)
        for each in thread.messages
        if each.kind == "message"
    ]


def _child_words(version: Resource, name: Name) -> str:
    code, status = child_code(version), version.get("status")
    if code == "imaging-retrieval":
        return _retrieval_words(version, str(status))
    if code == "acknowledgement" and status == "requested":
        return "The requester is asked to confirm the amended report"
    if code == "reconciliation" and status == "completed":
        outputs = values_of(version.get("output", []), "task-output")
        owner = str(version.get("owner", {}).get("reference", ""))
        who = name(owner) if owner else "Health information staff"
        if outputs.get("decision") == "accept":
            return f"{who} accepted outside imaging for this patient"
        return f"{who} rejected outside imaging{': ' + outputs['reason'] if outputs.get('reason') else ''}"
    return ""


def _retrieval_words(version: Resource, status: str) -> str:
    found = retrieval_of(version)
    texts = {
        "requested": f"{found.description} was asked for",
        "in-progress": f"Fetching {found.description}",
        "completed": f"{found.description}: {counted(found.received, 'image')} arrived",
        "failed": f"{found.description} could not be fetched: {found.cause or 'no cause given'}",
        "cancelled": f"{found.description} is no longer wanted",
    }
    return texts.get(status, "")


def _standing(version: Resource) -> tuple[str, str]:
    return state_code(version), str(version.get("owner", {}).get("reference", ""))


def _moment(version: Resource) -> str:
    return str(version.get("meta", {}).get("lastUpdated", ""))
