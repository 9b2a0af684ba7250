"""`cases/{case}/read`: the reading room.  Question, story and records left; images or document right; report below."""

from anyio.to_thread import run_sync
from starlette.responses import Response

from smart_app.case import material
from smart_app.case.loaded import Case, load
from smart_app.errors import Changed, NotFound
from smart_app.fhir import Resource
from smart_app.gateway import gateway_of
from smart_app.report.form import opinion_of
from smart_app.report.opinion import QUESTIONS, VALUES
from smart_app.store.drafts import Draft
from smart_app.visit import Visit, page
from smart_app.words import human_name

READABLE = {"in-review", "ancillary-read", "info-requested"}


async def read(visit: Visit) -> Response:
    """The room, with the newest imaging open."""
    case = await load(visit.fhir, visit.request.path_params["case"])
    records = await material.of(visit.fhir, case.task, case.request)
    draft = await draft_of(visit, case)
    studies = sorted((each for each in records if each.study_instance_uid), key=lambda each: each.date, reverse=True)
    return visit.render(
        "reading.html",
        case=case,
        banner=banner(case),
        records=sorted(records, key=lambda each: each.date, reverse=True),
        studies=studies,
        documents=[each for each in records if each.is_document],
        draft=draft.content,
        version=draft.version,
        gaps=opinion_of(draft.content, records).missing(),
        questions=QUESTIONS,
        values=VALUES,
        writable=case.owner == visit.launch.practitioner and case.state in READABLE,
    )


async def viewer(visit: Visit) -> Response:
    """The frame's first page: a form that carries the single-use code to the gateway by POST, never in an address."""
    case = await load(visit.fhir, visit.request.path_params["case"])
    records = await material.of(visit.fhir, case.task, case.request)
    wanted = set(visit.request.query_params.getlist("study"))
    studies = [each.study_instance_uid for each in records if each.study_instance_uid in wanted]
    if not studies or len(studies) != len(wanted):
        raise NotFound("These images are not part of the case.")
    gateway = await gateway_of(visit)
    code = await gateway.viewer_code(studies, f"Task/{case.id}")
    return visit.render("viewer.html", code=code["code"], address=code["viewer_url"])


async def draft_of(visit: Visit, case: Case) -> Draft:
    """This consultant's unsigned report on the case."""
    who, patient = visit.launch.practitioner, f"Patient/{case.patient['id']}"
    return await run_sync(visit.services.drafts.current, who, "report", f"Task/{case.id}", patient)


async def start(visit: Visit) -> Response:
    """Accepted becomes in-progress, and the room opens."""
    case = await load(visit.fhir, visit.request.path_params["case"])
    if case.state == "assigned":
        await visit.fhir.update(case.task | {"status": "in-progress", "businessStatus": status_concept("in-review")})
    elif case.state not in READABLE:
        raise Changed("This case cannot be read now.", "Look at the case to see where it stands.")
    return visit.go(f"cases/{case.id}/read")


def status_concept(code: str) -> dict[str, object]:
    """A businessStatus."""
    return {"coding": [{"system": "https://konsil.example/fhir/CodeSystem/business-status", "code": code}]}


def banner(case: Case) -> dict[str, object]:
    """What the patient banner shows."""
    identifier: Resource = next(iter(case.patient.get("identifier", [])), {})
    return {
        "name": human_name((case.patient.get("name") or [{"text": "Name unknown"}])[0]),
        "birth_date": case.patient.get("birthDate"),
        "age": "",
        "sex": case.patient.get("gender"),
        "number": identifier.get("value"),
        "issuer": identifier.get("assigner", {}).get("display"),
        "allergies": None,
        "edge": sum(case.patient["id"].encode()) % 8,
    }


routes = [
    page("cases/{case}/read", read),
    page("cases/{case}/read", start, ("POST",)),
    page("cases/{case}/viewer", viewer),
]
