"""`reconcile/{task}`: an outside study beside the local patient; accept, reject or put off."""

import asyncio
from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import Any

from anyio.to_thread import run_sync
from starlette.responses import Response

from smart_app.arrivals import (
    OPEN,
    RECONCILIATION,
    Arrival,
    code_of,
    following,
    input_of,
    is_retrieval,
    issuers,
    one,
    waiting,
)
from smart_app.case.view import Case
from smart_app.errors import AppError, Changed, Invalid, NotFound, Unavailable
from smart_app.fhir import Resource
from smart_app.gateway import gateway_of
from smart_app.pages.inbox import STAFF, clock_of
from smart_app.request.priors import Study
from smart_app.request.relevance import need_of, reasons, rules_from
from smart_app.visit import Visit, page
from smart_app.words import person_name

DECISIONS = {"accept", "reject"}
CANONICAL = "https://konsil.example/fhir"
REASONS = {
    "other-person": "It is another person.",
    "same-name": "It is another person of the same name.",
    "undecided": "The records do not tell whose it is.",
    "unusable": "The images cannot be used.",
    "not-asked": "Nobody asked for this study.",
}


async def show(visit: Visit) -> Response:
    """Side by side, with what would change in the images, tag by tag."""
    visit.require(*STAFF)
    task_id, now = str(visit.request.path_params["task"]), clock_of(visit).now()
    arrival, (comparison, problem), arrivals, tenants = await asyncio.gather(
        one(visit, task_id), compare(visit, task_id), waiting(visit, now), run_sync(visit.services.provisioned.tenants)
    )
    task, patient = arrival.task, arrival.patient or {}
    return visit.render(
        "reconcile.html",
        arrival=replace(arrival, found=comparison or {}),
        task=task,
        patient=patient,
        comparison=comparison,
        problem=problem,
        titles=issuers(tenants, patient, comparison or {}),
        reasons=REASONS,
        open=task["status"] in OPEN,
        decider=person_name(arrival.decider) if arrival.decider else "Somebody",
        others=len([each for each in arrivals if each.id != task_id]),
        following=following(arrivals, task_id, now),
        relevance=relevance(visit, arrival, comparison, now),
        now=now,
    )


def relevance(visit: Visit, arrival: Arrival, comparison: Any, now: datetime) -> str:
    """Why the case needs this study, by the rules that suggest studies; empty when none speaks for it."""
    if not comparison or not arrival.case:
        return ""
    found, case = comparison["study"], Case(arrival.case, {}, {})
    study = Study("", "", found["date"] or "", modalities=tuple(found["modalities"]), description=found["description"])
    rules = rules_from(visit.services.settings.prior_rules)
    return reasons(rules, [study], need_of(case, now.date())).get(study.key, "")


async def compare(visit: Visit, task_id: str) -> tuple[Any, AppError | None]:
    """The gateway's comparison, or why there is none."""
    try:
        return await (await gateway_of(visit)).reconciliation(task_id), None
    except (Unavailable, NotFound) as failure:
        return None, failure


async def thumbnail(visit: Visit) -> Response:
    """One preview out of quarantine, not kept by the browser."""
    params = visit.request.path_params
    found = await (await gateway_of(visit)).thumbnail(params["task"], int(params["number"]))
    return Response(found, media_type="image/png", headers={"cache-control": "no-store"})


async def image(visit: Visit) -> Response:
    """One image out of quarantine in full, not kept by the browser."""
    params = visit.request.path_params
    found = await (await gateway_of(visit)).image(params["task"], int(params["number"]))
    return Response(found, media_type="image/png", headers={"cache-control": "no-store"})


async def decide(visit: Visit) -> Response:
    """Record the decision on the version that was looked at; the gateway carries it out.  The next arrival opens."""
    form = await visit.form()
    decision, reason = (
        str(form.get("decision", "")),
        reason_of(str(form.get("choice", "")), str(form.get("reason", ""))),
    )
    if decision not in DECISIONS:
        raise Invalid("Choose to accept or to reject.")
    if decision == "reject" and not reason:
        raise Invalid("Say why the study is rejected.", "Go back and choose a reason.")
    task = await reconciliation(visit)
    await require_unchanged(visit, task, str(form.get("version", "")))
    if decision == "accept":
        await require_sure(visit, task, str(form.get("confirmed", "")))
    arrivals = await waiting(visit, clock_of(visit).now())
    await visit.fhir.update(decided(task, decision, reason, visit.launch.practitioner))
    patient = person_name(await visit.fhir.find(task["for"]["reference"]))
    said = f"Accepted for {patient}." if decision == "accept" else f"Rejected; it stays away from {patient}."
    return onward(visit, arrivals, task, said)


def onward(visit: Visit, arrivals: list[Arrival], task: Resource, said: str, undo: str = "") -> Response:
    """To the next arrival: in the inbox for whoever came from there, else its own page."""
    after = following(arrivals, task["id"], clock_of(visit).now())
    from_inbox = visit.request.query_params.get("from") == "inbox"
    path = f"inbox?at={after}" if from_inbox or not after else f"reconcile/{after}"
    return visit.go(path if after else "inbox", said=said, undo=undo)


async def require_unchanged(visit: Visit, task: Resource, version: str) -> None:
    """Nobody else decided or changed the Task since it was looked at.  Raises Changed, which says who did what."""
    if task["status"] in OPEN and task["meta"]["versionId"] == version:
        return
    who = await visit.fhir.find(task.get("owner", {}).get("reference"))
    name, when = person_name(who) if who else "Somebody else", clock_of(visit).ago(task["meta"]["lastUpdated"])
    decision = next((str(each["valueCode"]) for each in task.get("output", []) if code_of(each) == "decision"), "")
    if decision:
        done = {"accept": "accepted", "reject": "rejected"}[decision]
        raise Changed(f"{name} {done} this study {when}.", "Your decision was not recorded. Go on with the next one.")
    raise Changed(f"{name} changed this {when}.", "Open it again to see how it stands now.")


async def require_sure(visit: Visit, task: Resource, confirmed: str) -> None:
    """What is not plainly the same person needs a yes of its own, to the very band that was shown.

    Raises Invalid, and Changed when the comparison gives another band by now.
    """
    comparison = await (await gateway_of(visit)).reconciliation(task["id"])
    if comparison["filed"]:
        raise Invalid(
            "This study is filed with another patient here, so it cannot be accepted for this one.",
            "Reject it here, or have the earlier decision reversed first.",
        )
    band = comparison["match"]["band"]
    if band != "same" and confirmed != band:
        if confirmed:
            raise Changed("The comparison has changed since you looked.", "Open it again and look at the differences.")
        raise Invalid(
            f"{comparison['match']['title']}: {comparison['match']['sentence']}", "Open it, look, and confirm."
        )


def reason_of(choice: str, text: str) -> str:
    """The chosen reason with what was written besides."""
    return " ".join(part for part in (REASONS.get(choice, ""), text.strip()) if part)[:500]


async def defer(visit: Visit) -> Response:
    """POST: let it rest until the next working morning; it comes back by itself."""
    task = await reconciliation(visit)
    await require_unchanged(visit, task, str((await visit.form()).get("version", "")))
    until = next_morning(clock_of(visit).now())
    arrivals = await waiting(visit, clock_of(visit).now())
    who = {"owner": {"reference": visit.launch.practitioner}}
    await visit.fhir.update({**task, **who, "restriction": {"period": {"start": until.isoformat(timespec="seconds")}}})
    said = f"Put off until {clock_of(visit).moment(until.isoformat())}."
    return onward(visit, arrivals, task, said, undo=f"reconcile/{task['id']}/resume")


async def resume(visit: Visit) -> Response:
    """POST: it waits again; the undo of putting off."""
    task = await reconciliation(visit)
    if task["status"] in OPEN:
        await visit.fhir.update({name: value for name, value in task.items() if name not in ("restriction", "owner")})
    return visit.go(f"inbox?at={task['id']}")


async def again(visit: Visit) -> Response:
    """POST: fetch a rejected study once more, to be compared anew; what was rejected never left the quarantine."""
    task = await reconciliation(visit)
    uid, case = input_of(task, "study-instance-uid"), task["partOf"][0]["reference"]
    found = await visit.fhir.search("Task", {"part-of": case}, most=100)
    asked = [each for each in found.matches if is_retrieval(each) and input_of(each, "study-instance-uid") == uid]
    if not asked:
        raise NotFound("Nobody asked for this study any more.", "Ask the requester to name it again.")
    await visit.fhir.create(once_more(asked[-1], clock_of(visit).now()))
    return visit.go("inbox", said="The study is fetched again. It comes back to the inbox when it is here.")


def once_more(task: Resource, now: datetime) -> Resource:
    """A Task that asks for the same study as another did."""
    kept = ("resourceType", "intent", "code", "priority", "description", "partOf", "focus", "for", "requester", "input")
    fresh = {name: task[name] for name in kept if name in task}
    return {**fresh, "status": "requested", "authoredOn": now.isoformat(timespec="seconds")}


def next_morning(now: datetime) -> datetime:
    """08:00 of the next working day."""
    day = now.date() + timedelta(days=1)
    while day.weekday() > 4:
        day += timedelta(days=1)
    return datetime.combine(day, time(8), tzinfo=now.tzinfo)


async def reconciliation(visit: Visit) -> Resource:
    """The Task, which must be a reconciliation.  Raises NotFound."""
    task = await visit.fhir.read(f"Task/{visit.request.path_params['task']}")
    system, _, code = RECONCILIATION.partition("|")
    if not any(each.get("system") == system and each.get("code") == code for each in task["code"]["coding"]):
        raise NotFound("This is not a reconciliation.")
    return task


def decided(task: Resource, decision: str, reason: str, who: str) -> Resource:
    """The Task with the decision as output, owned by whoever decided."""
    kept = [each for each in task.get("output", []) if code_of(each) not in ("decision", "reason")]
    outputs = [*kept, {"type": output_type("decision"), "valueCode": decision}]
    if reason:
        outputs.append({"type": output_type("reason"), "valueString": reason})
    return task | {"status": "completed", "owner": {"reference": who}, "output": outputs}


def output_type(code: str) -> Resource:
    """A type of Task.output."""
    return {"coding": [{"system": f"{CANONICAL}/CodeSystem/task-output", "code": code}]}


routes = [
    page("reconcile/{task}", show),
    page("reconcile/{task}", decide, ("POST",)),
    page("reconcile/{task}/defer", defer, ("POST",)),
    page("reconcile/{task}/resume", resume, ("POST",)),
    page("reconcile/{task}/again", again, ("POST",)),
    page("reconcile/{task}/thumbnails/{number:int}", thumbnail),
    page("reconcile/{task}/images/{number:int}", image),
]
