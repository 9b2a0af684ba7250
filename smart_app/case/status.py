"""Where a case stands, as a sentence with a date and a name.  Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from smart_app.case.retrieval import OPEN_STATES
from smart_app.case.states import FINISHED, state_title
from smart_app.case.view import Case
from smart_app.words import Clock, counted, parse_moment

Tone = Literal["neutral", "active", "attention", "good", "danger"]


@dataclass(frozen=True, slots=True)
class Status:
    """The sentence, with the tone and the icon that go along."""

    sentence: str
    tone: Tone = "neutral"
    icon: str = "clock"


def status_of(case: Case, clock: Clock) -> Status:
    """The status of a case for anybody who may see it."""
    writer = SENTENCES.get(case.state)
    return writer(case, clock) if writer else Status(f"{state_title(case.state)} since {_since(case, clock)}.")


def _submitted(case: Case, clock: Clock) -> Status:
    running = [each for each in case.retrievals() if each.running]
    asked = f"Sent {_since(case, clock)}"
    if running:
        return Status(f"{asked}; {_studies(len(running))} to fetch.", "active", "send")
    return Status(f"{asked}; waiting for the coordinator.", "active", "send")


def _awaiting(case: Case, clock: Clock) -> Status:
    running = [each for each in case.retrievals() if each.running]
    if not running:
        return Status(f"Waiting for records since {_since(case, clock)}.", "active", "hourglass")
    first = max(running, key=lambda each: each.received)
    more = f", and {len(running) - 1} more" if len(running) > 1 else ""
    return Status(f"Waiting for {first.description} ({first.sentence(clock.now())}){more}.", "active", "hourglass")


def _reconciling(case: Case, clock: Clock) -> Status:
    waiting = [each for each in case.reconciliations() if each.get("status") in OPEN_STATES]
    what = f"{_studies(len(waiting), 'outside ')}" if waiting else "Outside imaging"
    verb = "is" if len(waiting) < 2 else "are"
    return Status(
        f"{what} {verb} being compared with the patient by health information staff since {_since(case, clock)}.",
        "active",
        "git-compare",
    )


def _ready(case: Case, clock: Clock) -> Status:
    return Status(f"Ready since {_since(case, clock)}; the coordinator chooses a consultant.", "active", "users")


def _offered(case: Case, clock: Clock) -> Status:
    who = case.name_of(case.owner)
    return Status(f"Offered to {who} {_since(case, clock)}; no answer yet.", "active", "user-question")


def _assigned(case: Case, clock: Clock) -> Status:
    return Status(f"{case.name_of(case.owner)} took the case {_since(case, clock)}.", "active", "user-check")


def _in_review(case: Case, clock: Clock) -> Status:
    return Status(f"{case.name_of(case.owner)} is reading since {_since(case, clock)}.", "active", "book")


def _question(case: Case, clock: Clock) -> Status:
    said = f"{case.name_of(case.owner)} asked a question {_since(case, clock)}"
    return Status(f"{said}: “{case.asked}”" if case.asked else f"{said}.", "attention", "message-question")


def _signed(case: Case, clock: Clock) -> Status:
    who = case.name_of(case.owner)
    return Status(f"{who} signed the report {_since(case, clock)}; not acknowledged yet.", "attention", "signature")


def _amended(case: Case, clock: Clock) -> Status:
    who, reason = case.name_of(case.owner), str(case.task.get("statusReason", {}).get("text", "")).rstrip(".")
    said = f"{who} amended the report {_since(case, clock)}{': ' + reason if reason else ''}; not acknowledged yet."
    return Status(said, "attention", "signature")


def _lapsed(case: Case, clock: Clock) -> Status:
    said = f"What released the records has ended {_since(case, clock)}; the case rests until it is renewed."
    return Status(said, "attention", "player-pause")


def _cancelling(case: Case, clock: Clock) -> Status:
    who, reason = case.name_of(case.requester), str(case.task.get("statusReason", {}).get("text", ""))
    said = f"{who} wants to withdraw since {_since(case, clock)}; the coordinator decides"
    return Status(f"{said}: “{reason}”" if reason else f"{said}.", "attention", "hand-stop")


def _acknowledged(case: Case, clock: Clock) -> Status:
    return Status(f"Report read and acknowledged {_since(case, clock)}.", "good", "circle-check")


def _ended(case: Case, clock: Clock) -> Status:
    reason = case.task.get("statusReason", {}).get("text", "")
    words = f"{state_title(case.state)} {_since(case, clock)}{': ' + reason if reason else ''}"
    return Status(words if words.endswith(".") else f"{words}.", "danger", "ban")


SENTENCES: dict[str, Callable[[Case, Clock], Status]] = {
    "submitted": _submitted,
    "awaiting-records": _awaiting,
    "reconciling": _reconciling,
    "ready-for-triage": _ready,
    "offered": _offered,
    "assigned": _assigned,
    "in-review": _in_review,
    "info-requested": _question,
    "consent-lapsed": _lapsed,
    "cancel-requested": _cancelling,
    "report-signed": _signed,
    "report-amended": _amended,
    "acknowledged": _acknowledged,
    "declined": _ended,
    "unable": _ended,
    "withdrawn": _ended,
    "entered-in-error": _ended,
}


@dataclass(frozen=True, slots=True)
class Promise:
    """The promised day and how near it is."""

    day: str
    words: str
    tone: Tone


def promise_of(case: Case, clock: Clock) -> Promise | None:
    """The clock of a case that still runs: `in 3 days`, `today`, `2 days late`."""
    end = parse_moment(case.promised)
    if end is None:
        return None
    if case.report:
        return Promise(case.promised, "delivered", "good")
    if case.state in FINISHED:  # declined or withdrawn: nothing is owed any more
        return None
    days = (end.astimezone(clock.zone).date() - clock.now().date()).days
    if end < clock.now():
        return Promise(case.promised, f"{counted(-days, 'day')} late" if days else "late since today", "danger")
    words = "today" if days == 0 else "tomorrow" if days == 1 else f"in {days} days"
    return Promise(case.promised, words, "attention" if days < 2 else "neutral")


def _studies(number: int, kind: str = "") -> str:
    return f"{number} {kind}{'study' if number == 1 else 'studies'}"


def _since(case: Case, clock: Clock) -> str:
    """When the case came to where it is: Task.lastModified, which every step sets; else the version's moment."""
    moment = case.task.get("lastModified") or case.task.get("meta", {}).get("lastUpdated", "")
    return clock.moment(moment)
