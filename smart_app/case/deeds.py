"""Who brought a case to where it stands, in words: `Rosa Castillo offered it to Dr. Ito`.  Pure."""

from collections.abc import Callable

from smart_app.case.states import state_code, state_title
from smart_app.fhir import Resource

RENEWED = frozenset({"assigned", "in-review", "info-requested"})
Name = Callable[[str], str]
OWNERS = frozenset({"assigned", "in-review", "ancillary-read", "info-requested", "report-signed", "report-amended"})
"""States to which the consultant brings a case."""
REQUESTERS = frozenset({"intake", "submitted", "acknowledged", "cancel-requested"})
"""States to which the requester brings it."""
WORDS = {
    "submitted": "sent the request",
    "awaiting-records": "asked for more records",
    "reconciling": "put it back for comparison with the patient",
    "ready-for-triage": "made it ready for the coordinator",
    "assigned": "accepted it",
    "in-review": "began to read",
    "ancillary-read": "asked for a second read",
    "info-requested": "asked a question",
    "cancel-requested": "asked to withdraw it",
    "report-signed": "signed the report",
    "report-amended": "amended the report",
    "acknowledged": "acknowledged the report",
    "closed": "closed it",
    "declined": "declined it",
    "unable": "could not deliver it",
    "withdrawn": "withdrew it",
    "entered-in-error": "marked it as entered for the wrong patient",
}
BY_ITSELF = {
    "submitted": "The request was sent",
    "awaiting-records": "Outside records are being fetched",
    "reconciling": "Outside material arrived and waits to be compared with the patient",
    "ready-for-triage": "Ready to be given to a consultant",
    "consent-lapsed": "What released the records has ended; the case rests",
    "withdrawn": "The request was withdrawn",
}
"""What is said where no person is known to have done it."""


def author_of(task: Resource) -> str:
    """Who moved a version of a case's Task to where it stands: as it notes, else as its state implies; else empty."""
    when = task.get("lastModified")
    noted = [each for each in task.get("note", []) if each.get("time") == when]
    if noted:
        return str(noted[-1].get("authorReference", {}).get("reference", ""))
    state = state_code(task)
    element = "owner" if state in OWNERS else "requester" if state in REQUESTERS else ""
    return str(task.get(element, {}).get("reference", ""))


def deed(task: Resource, before: Resource | None, name: Name, reader: str = "") -> str:
    """What happened last, as a sentence without its full stop; `before` is the version before, if it is known."""
    author, state = author_of(task), state_code(task)
    if before is not None and state_code(before) == "consent-lapsed" and state in RENEWED:
        return "The records are released again; the case goes on"
    if not author:
        return BY_ITSELF.get(state, state_title(state))
    who = "You" if author == reader else name(author)
    return f"{who} {_words(task, before, state, name)}"


def _words(task: Resource, before: Resource | None, state: str, name: Name) -> str:
    owner = task.get("owner", {}).get("reference", "")
    came_from = state_code(before) if before else ""
    if state == "offered":
        return "took it from the list" if owner == author_of(task) else f"offered it to {name(owner)}"
    if state == "ready-for-triage" and came_from in ("offered", "assigned"):
        return "gave the case back"
    if state == "in-review" and came_from == "info-requested":
        return "answered the question" if author_of(task) != owner else "read on without the answer"
    if state == "in-review" and came_from == "cancel-requested":
        return "let the reading go on in spite of the request to withdraw"
    return WORDS.get(state, state_title(state).lower())
