"""Rule 9: a message on a case is sent in one's own name, stays as it is, and goes along with the step that needs it."""

from collections.abc import Sequence

from fhir_server.caller import Caller
from fhir_server.rules.change import Change, Resource, View, codes, reference, references, unless
from fhir_server.rules.material import patient_of
from fhir_server.rules.pair import Case, is_case
from fhir_server.rules.states import CANONICAL, Step

MESSAGE = f"{CANONICAL}/CodeSystem/message"
KINDS = {"ask": "question", "answer": "answer"}
"""The steps that need a message, and of which kind."""


async def check(view: View, taken: Sequence[tuple[Case, Step | None]]) -> None:
    """Check every message of a case that the transaction writes, and the steps that need one.  Raises Unprocessable."""
    sent: dict[str, set[str]] = {}
    for change in view.of_type("Communication"):
        case = await _case_of(view, change)
        if case is not None:
            await _check_message(view, change, case)
            sent.setdefault(f"Task/{case['id']}", set()).update(_kinds(change.new))
    for case_, step in taken:
        if step is not None and "message" in step.needs:
            kind = KINDS[step.name]
            unless(kind in sent.get(case_.task, set()), 9, f"{case_.target} needs the {kind} as a message of the case")


async def _case_of(view: View, change: Change) -> Resource | None:
    """The case that a message is or was threaded on."""
    named = references([(state or {}).get("basedOn") for state in (change.old, change.new)])
    for one in sorted(named):
        task = await view.load(one) if one.startswith("Task/") else None
        if task is not None and is_case(task):
            return task
    return None


async def _check_message(view: View, change: Change, case: Resource) -> None:
    message = change.new or {}
    unless(change.old is None, 9, "a message is neither changed nor deleted")
    unless(message.get("status") == "completed", 9, "a message on a case is completed")
    unless(_is_own(view.caller, message, case), 9, "a message is sent in one's own name")
    unless(patient_of(message) == patient_of(case), 9, "a message is about the patient of its case")
    unless(bool(_kinds(message)), 9, "a message is a message, a question or an answer")
    texts = [str(part.get("contentString", "")).strip() for part in message.get("payload", [])]
    unless(bool(texts) and all(texts), 9, "a message has a text")
    for one in sorted(references(message.get("inResponseTo", []))):
        before = await view.load(one) or {}
        same = f"Task/{case['id']}" in references(before.get("basedOn", []))
        unless(same, 9, "a message answers one on the same case")


def _is_own(caller: Caller, message: Resource, case: Resource) -> bool:
    """Persons send for themselves; a machine of the hospital for who asked, one of the platform for anybody."""
    sender = reference(message.get("sender"))
    if "interface-engine" in caller.roles:
        return sender is not None and sender == reference(case.get("requester"))
    return sender is not None and (sender == caller.fhir_user or "system" in caller.roles)


def _kinds(message: Resource | None) -> set[str]:
    found = [codes(one, MESSAGE) for one in (message or {}).get("category", [])]
    return set().union(*found) & {"message", "question", "answer"}
