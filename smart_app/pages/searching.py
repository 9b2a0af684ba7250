"""`cases/{case}/search`: HIM staff ask all outside archives for a case's patient, by other values than ours too."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from typing import Any

import orjson
from starlette.datastructures import FormData
from starlette.responses import Response, StreamingResponse

from smart_app.case.codes import own_code
from smart_app.case.view import Case, load_case
from smart_app.errors import AppError, Invalid
from smart_app.fhir import Resource
from smart_app.gateway import gateway_of
from smart_app.pages.case import tab
from smart_app.pages.request import LINES
from smart_app.pages.steps import clock_of
from smart_app.request.priors import Priors, Study, priors_from, with_told
from smart_app.request.relevance import need_of, reasons, rules_from
from smart_app.visit import Visit, page

STAFF = ("him",)
CRITERIA = ("name", "birth_date", "number", "from", "until")
MOST = 20


async def choose(visit: Visit) -> Response:
    """The form: empty fields ask for the patient as we know them."""
    visit.require(*STAFF)
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    return await _page(visit, case, {}, Priors())


async def search(visit: Visit) -> Response:
    """POST: ask; the page's script gets the list anew whenever an archive has answered, as a line of JSON each.
    Without script the page comes when all have.
    """
    visit.require(*STAFF)
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    criteria = criteria_of(await visit.form())
    if LINES in visit.request.headers.get("accept", ""):
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(_lists(visit, case, criteria), media_type=LINES, headers=headers)
    found, failure = Priors(), None
    try:
        async for known in _told(visit, case, criteria):
            found = known
    except AppError as error:
        failure = error
    return await _page(visit, case, criteria, found, failure)


def criteria_of(form: FormData) -> dict[str, str]:
    """What to ask by, as it was written; a name is turned into family name and given names.  PS3.5 6.2.1"""
    given = {name: str(form.get(name, "")).strip()[:64] for name in CRITERIA}
    return {name: value for name, value in given.items() if value}


def asked_by(criteria: dict[str, str]) -> dict[str, str]:
    """The same as the gateway wants it: `Muster, Anna Maria` becomes `Muster^Anna Maria`."""
    name = "^".join(part.strip() for part in criteria.get("name", "").split(",", 1))
    return criteria | ({"name": name} if name else {})


async def _told(visit: Visit, case: Case, criteria: dict[str, str]) -> AsyncGenerator[Priors]:
    content: dict[str, Any] = {}
    gateway = await gateway_of(visit)
    async with aclosing(gateway.priors(f"Patient/{case.patient['id']}", asked_by(criteria))) as told:
        async for each in told:
            content = with_told(content, each)
            yield priors_from(content)


async def _lists(visit: Visit, case: Case, criteria: dict[str, str]) -> AsyncGenerator[bytes]:
    found, failure = Priors(), None
    try:
        async with aclosing(_told(visit, case, criteria)) as told:
            async for found in told:
                yield _line(visit, case, found, searching=True)
    except AppError as error:
        failure = error
    yield _line(visit, case, found, failure=failure)


def _line(visit: Visit, case: Case, found: Priors, **values: object) -> bytes:
    html = visit.text("case_search_found.html", case=case, **_values(visit, case, found), **values)
    return orjson.dumps({"html": html}, option=orjson.OPT_APPEND_NEWLINE)


def _values(visit: Visit, case: Case, found: Priors) -> dict[str, Any]:
    rules, need = rules_from(visit.services.settings.prior_rules), need_of(case, clock_of(visit).now().date())
    asked = {each.study_instance_uid for each in case.retrievals()}
    return {"priors": found, "relevant": reasons(rules, found.studies, need), "asked": asked}


async def _page(
    visit: Visit, case: Case, criteria: dict[str, str], found: Priors, failure: AppError | None = None
) -> Response:
    values = _values(visit, case, found)
    return await tab(visit, "search", case=case, tab="imaging", criteria=criteria, failure=failure, **values)


async def fetch(visit: Visit) -> Response:
    """POST: fetch the ticked studies for the case; they land in quarantine, to be compared like all others."""
    visit.require(*STAFF)
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    known = {each.study_instance_uid for each in case.retrievals()}
    ticked = [value.split("|", 3) for value in map(str, (await visit.form()).getlist("study"))]
    wanted = [each for each in ticked[:MOST] if len(each) == 4 and each[1] not in known]
    if not wanted:
        raise Invalid("No study was ticked that is not fetched already.", "Go back and tick what the case needs.")
    for peer, uid, day, title in wanted:
        study = Study(peer, uid, day, description=title[:200])
        await visit.fhir.create(retrieval_task(case, study, visit.launch.practitioner, clock_of(visit).now()))
    said = f"{wanted[0][3]} is fetched." if len(wanted) == 1 else f"{len(wanted)} studies are fetched."
    return visit.go(f"cases/{case.id}/imaging", said=said)


def retrieval_task(case: Case, study: Study, who: str, now: datetime) -> Resource:
    """A Task that asks the gateway to fetch a study for a case; staff ask, so the requester's order is not changed."""
    moment = now.isoformat(timespec="seconds")
    inputs = {"peer": study.peer, "study-instance-uid": study.study_instance_uid, "description": study.description}
    return {
        "resourceType": "Task",
        "partOf": [{"reference": case.reference}],
        "status": "requested",
        "intent": "order",
        "priority": case.task.get("priority", "routine"),
        "code": own_code("task-code", "imaging-retrieval", "Imaging retrieval"),
        "description": f"Fetch {study.description}",
        "focus": case.task["focus"],
        "for": case.task["for"],
        "authoredOn": moment,
        "lastModified": moment,
        "requester": {"reference": who},
        "input": [{"type": own_code("task-input", name), "valueString": value} for name, value in inputs.items()],
    }


routes = [
    page("cases/{case}/search", choose),
    page("cases/{case}/search", search, ("POST",)),
    page("cases/{case}/search/fetch", fetch, ("POST",)),
]
