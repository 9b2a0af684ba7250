"""What a person may do with a case now: one primary action, and the ways out, each with what it will do.  Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from smart_app.case.states import steps_from
from smart_app.case.view import Case


@dataclass(frozen=True, slots=True)
class Action:
    """The primary action of a page: a link, or a form that takes a step."""

    title: str
    icon: str
    path: str
    posts: bool = False


@dataclass(frozen=True, slots=True)
class Way:
    """A way out of the road: asked about in a dialog that says what will happen; `reason` asks for one, and why."""

    step: str
    path: str
    title: str
    ask: str
    tells: str
    verb: str
    icon: str
    reason: str = ""
    danger: bool = False


WAYS = (
    Way(
        "decline",
        "decline",
        "Give the case back",
        "Give this case back?",
        "It returns to the coordinator and leaves your list at once. What you wrote stays with you.",
        "Give the case back",
        "arrow-back-up",
        reason="Why, for the coordinator",
    ),
    Way(
        "cancel",
        "withdraw",
        "Withdraw the request",
        "Withdraw this request?",
        "Nothing more is fetched and nobody else will see the case. This cannot be taken back.",
        "Withdraw the request",
        "arrow-back-up",
        danger=True,
    ),
    Way(
        "ask-to-cancel",
        "ask-to-withdraw",
        "Ask to withdraw",
        "Ask to withdraw this request?",
        "A consultant has accepted it already, so the coordinator decides. The reading pauses until then.",
        "Ask to withdraw",
        "hand-stop",
        reason="Why, for the coordinator and the consultant",
    ),
    Way(
        "keep-reading",
        "keep-reading",
        "Let the reading go on",
        "Let the reading go on?",
        "The requester is told that the opinion will be finished.",
        "Let the reading go on",
        "book",
    ),
    Way(
        "reject",
        "reject",
        "Decline the request",
        "Decline this request?",
        "The requester reads your reason. This cannot be taken back; they can send a new request.",
        "Decline the request",
        "ban",
        reason="The reason, for the requester",
        danger=True,
    ),
    Way(
        "fail",
        "unable",
        "Cannot be delivered",
        "Close this case without an opinion?",
        "The requester reads your reason. This cannot be taken back.",
        "Close without an opinion",
        "ban",
        reason="The reason, for the requester",
        danger=True,
    ),
    Way(
        "wrong-patient",
        "wrong-patient",
        "Entered for the wrong patient",
        "Mark this case as entered for the wrong patient?",
        "It ends at once for everybody, and what it asked to fetch is no longer fetched. This cannot be taken back.",
        "Mark it as an error",
        "alert-triangle",
        reason="What was wrong",
        danger=True,
    ),
)


def possible(case: Case, roles: Sequence[str], owns: bool) -> set[str]:
    """The names of the steps that this person may take now."""
    return {step.name for step in steps_from(case.state, roles, owns)}


def primary_action(case: Case, may: Collection[str], owns: bool, tab: str) -> Action | None:
    """What this person does next here; nothing when it is somebody else's turn."""
    here = f"cases/{case.id}"
    room = Action("Open the reading room", "book", f"{here}/read")
    report = Action("Read the report", "report-medical", f"{here}/report")
    acknowledge = Action("Acknowledge the report", "circle-check", f"{here}/acknowledge", posts=True)
    answer = Action("Answer the question", "message", f"{here}/messages#write")
    choices = {
        "confirm-cancel": Action("Confirm the withdrawal", "ban", f"{here}/confirm-withdrawal", posts=True),
        "answer": room if owns else answer,
        "accept": Action("Accept the case", "user-check", f"{here}/accept", posts=True),
        "read": Action("Start reading", "book", f"{here}/read", posts=True),
        "sign": Action("Continue reading", "book", f"{here}/read"),
        "acknowledge": acknowledge if tab == "report" else report,
        "offer": Action("Offer to a consultant", "user-question", f"{here}/offer"),
        "transfer": Action("Give to another consultant", "user-question", f"{here}/offer"),
    }
    found = next((action for name, action in choices.items() if name in may), None)
    return None if found and found.path.endswith(f"/{tab}") and not found.posts else found


def ways_out(may: Collection[str]) -> list[Way]:
    """The ways out that this person has now."""
    return [way for way in WAYS if way.step in may]
