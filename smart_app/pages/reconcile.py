"""`reconcile/{task}`: an outside study beside the local patient; accept or reject, once."""

from typing import Any

from starlette.responses import Response

from smart_app.errors import Changed, Invalid, NotFound, Unavailable
from smart_app.fhir import Resource
from smart_app.gateway import gateway_of
from smart_app.pages.inbox import RECONCILIATION, code_of
from smart_app.visit import Visit, page

OPEN = {"requested", "accepted", "in-progress"}
DECISIONS = {"accept", "reject"}
CANONICAL = "https://konsil.example/fhir"


async def show(visit: Visit) -> Response:
    """Side by side, with what would change in the images, tag by tag."""
    visit.require("him", "administrator")
    task = await reconciliation(visit)
    patient = await visit.fhir.read(task["for"]["reference"])
    try:
        comparison: Any = await (await gateway_of(visit)).reconciliation(task["id"])
        problem = None
    except (Unavailable, NotFound) as failure:
        comparison, problem = None, failure
    return visit.render(
        "reconcile.html",
        task=task,
        patient=patient,
        comparison=comparison,
        problem=problem,
        open=task["status"] in OPEN,
    )


async def thumbnail(visit: Visit) -> Response:
    """One preview out of quarantine, not kept by the browser."""
    params = visit.request.path_params
    picture = await (await gateway_of(visit)).thumbnail(params["task"], int(params["number"]))
    return Response(picture, media_type="image/png", headers={"cache-control": "no-store"})


async def decide(visit: Visit) -> Response:
    """Record the decision on the version that was looked at; the gateway carries it out."""
    form = await visit.form()
    decision, reason = str(form.get("decision", "")), str(form.get("reason", "")).strip()
    if decision not in DECISIONS:
        raise Invalid("Choose to accept or to reject.")
    if decision == "reject" and not reason:
        raise Invalid("Say why the study is rejected.", "Go back and write a reason.")
    task = await reconciliation(visit)
    if task["status"] not in OPEN or task["meta"]["versionId"] != form.get("version"):
        raise Changed("Somebody else decided or changed this in the meantime.", "Open it again to see what happened.")
    await visit.fhir.update(decided(task, decision, reason, visit.launch.practitioner))
    return visit.go(f"reconcile/{task['id']}")


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
    page("reconcile/{task}/thumbnails/{number:int}", thumbnail),
]
