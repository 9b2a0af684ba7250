"""POSTs that move a case: each asks whether the step is still possible and nothing moved since the page was shown."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.responses import Response

from smart_app.case.acting import LOOK, Actor, author_of, who_changed
from smart_app.case.moves import possible
from smart_app.case.states import table
from smart_app.case.view import Case, load_case
from smart_app.errors import AppError, Changed, Invalid
from smart_app.visit import Visit, page
from smart_app.words import Clock


def clock_of(visit: Visit) -> Clock:
    """The clock of this house."""
    return Clock(visit.services.settings.time_zone)


def actor_of(visit: Visit) -> Actor:
    """The person of this visit as one who takes steps."""
    return Actor(visit.fhir, visit.launch.practitioner, clock_of(visit))


async def case_for(visit: Visit, *steps: str) -> Case:
    """The case of this page, if one of the steps can be taken now and nothing moved since the page was shown.

    Raises Changed, which says who moved it.
    """
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    shown = str((await visit.form()).get("standing", ""))
    may = possible(case, visit.launch.roles, case.owner == visit.launch.practitioner)
    if not may & set(steps) or (shown and shown != case.standing):
        raise Changed(await who_changed(visit.fhir, case, clock_of(visit), visit.launch.practitioner), LOOK)
    return case


def as_it_stands(handler: Callable[[Visit], Awaitable[Response]]) -> Callable[[Visit], Awaitable[Response]]:
    """What somebody else changed in between is said on the case's page as it is now, not on an error page."""

    async def settled(visit: Visit) -> Response:
        try:
            return await handler(visit)
        except Changed as changed:
            return await _case_as_it_stands(visit, changed)

    return settled


async def _case_as_it_stands(visit: Visit, changed: Changed) -> Response:
    case_id = visit.request.path_params["case"]
    try:
        await load_case(visit.fhir, case_id)
    except AppError:
        return visit.go("", said=changed.sentence, tone="attention")
    return visit.go(f"cases/{case_id}", said=f"{changed.sentence} {changed.remedy}".strip(), tone="attention")


async def taken_already(visit: Visit, state: str) -> bool:
    """Whether this very person brought the case to this state already: a second click, or the back button."""
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    return case.state == state and author_of(case.task) == visit.launch.practitioner


async def reason_of(visit: Visit, why: str) -> str:
    """The reason that was typed.  Raises Invalid when there is none to speak of."""
    reason = str((await visit.form()).get("reason", "")).strip()
    if len(reason) < 5:
        raise Invalid(why, "Go back and write one sentence that says why.")
    return reason[:500]


async def move(visit: Visit, step: str, said: str, **elements: Any) -> Response:
    """Take a step of the table and show the case again."""
    state = next(each["to"] for each in table()["steps"] if each["name"] == step)
    if not await taken_already(visit, state):
        case = await case_for(visit, step)
        await actor_of(visit).step(case, state, **elements)
    return visit.go(f"cases/{visit.request.path_params['case']}", said=said)


async def accept(visit: Visit) -> Response:
    """The owner accepts."""
    return await move(visit, "accept", "The case is yours.")


async def decline(visit: Visit) -> Response:
    """The owner gives the case back, with a reason; it is no longer the owner's to see."""
    case = await case_for(visit, "decline")
    reason = str((await visit.form()).get("reason", "")).strip()[:500]
    told = {"statusReason": {"text": reason}} if reason else {}
    await actor_of(visit).step(case, "ready-for-triage", owner=None, **told)
    return visit.go("worklist", said="The case went back to the coordinator.")


async def acknowledge(visit: Visit) -> Response:
    """The requester has read the report; the loop is closed."""
    if not await taken_already(visit, "acknowledged"):
        await actor_of(visit).acknowledge(await case_for(visit, "acknowledge"))
    return visit.go(f"cases/{visit.request.path_params['case']}/report", said="Acknowledged. Thank you.")


async def withdraw(visit: Visit) -> Response:
    """The requester takes the request back before anybody accepted it."""
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    if case.state != "withdrawn":
        await actor_of(visit).withdraw(await case_for(visit, "cancel"))
    return visit.go(f"cases/{case.id}", said="The request is withdrawn.")


async def ask_to_withdraw(visit: Visit) -> Response:
    """The requester asks to withdraw what a consultant has accepted; the reading pauses."""
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    reason = {"text": await reason_of(visit, "The coordinator needs a reason.")}
    said = "The coordinator decides; you see the answer here."
    return await move(visit, "ask-to-cancel", said, status=case.task["status"], statusReason=reason)


async def confirm_withdrawal(visit: Visit) -> Response:
    """The coordinator agrees."""
    return await move(visit, "confirm-cancel", "The request is withdrawn.")


async def keep_reading(visit: Visit) -> Response:
    """The coordinator lets the reading go on."""
    return await move(visit, "keep-reading", "The reading goes on.")


async def reject(visit: Visit) -> Response:
    """The coordinator declines the request, with a reason that the requester reads."""
    reason = {"text": await reason_of(visit, "The requester needs a reason.")}
    return await move(visit, "reject", "The request is declined.", owner=None, statusReason=reason)


async def unable(visit: Visit) -> Response:
    """The consultant or the coordinator cannot deliver the opinion."""
    reason = {"text": await reason_of(visit, "The requester needs a reason.")}
    return await move(visit, "fail", "The case is closed without an opinion.", statusReason=reason)


async def wrong_patient(visit: Visit) -> Response:
    """HIM staff mark a case as entered for the wrong patient."""
    reason = {"text": await reason_of(visit, "Say what was wrong.")}
    return await move(visit, "wrong-patient", "The case is marked as an error.", statusReason=reason)


HANDLERS = {
    "accept": accept,
    "decline": decline,
    "acknowledge": acknowledge,
    "withdraw": withdraw,
    "ask-to-withdraw": ask_to_withdraw,
    "confirm-withdrawal": confirm_withdrawal,
    "keep-reading": keep_reading,
    "reject": reject,
    "unable": unable,
    "wrong-patient": wrong_patient,
}
routes = [page(f"cases/{{case}}/{name}", as_it_stands(handler), ("POST",)) for name, handler in HANDLERS.items()]
