"""`cases/{case}/imaging`: studies on their way and attached, with a picture of each; what can be done about them."""

from dataclasses import dataclass

from starlette.responses import Response

from smart_app.case.material import study_title
from smart_app.case.records import load_records, study_uid
from smart_app.case.retrieval import Retrieval, retrieval_of
from smart_app.case.view import Case, load_case
from smart_app.errors import Changed, FhirFailure, NotFound
from smart_app.fhir import Resource
from smart_app.gateway import gateway_of
from smart_app.pages.case import tab
from smart_app.pages.steps import as_it_stands, clock_of
from smart_app.visit import Visit, page


@dataclass(frozen=True, slots=True)
class Study:
    """A study attached to the case."""

    resource: Resource
    title: str
    uid: str


async def imaging(visit: Visit) -> Response:
    """Studies on their way, waiting to be compared, and attached."""
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    return await tab(visit, "imaging", case=case, studies=await studies_of(visit, case))


async def studies_of(visit: Visit, case: Case) -> list[Study]:
    """The attached studies that this person may see, newest first."""
    found = (await load_records(visit.fhir, case, clock_of(visit))).studies
    return [Study(each, _title(each), study_uid(each)) for each in found]


async def images(visit: Visit) -> Response:
    """One study in the viewer, with the way back."""
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    study = await _study(visit, case, visit.request.query_params.get("study", ""))
    return await tab(visit, "images", case=case, study=study.uid)


async def thumbnail(visit: Visit) -> Response:
    """A small picture of an attached study, with this person's own right to it."""
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    study = await _study(visit, case, visit.request.path_params["study"])
    picture = await (await gateway_of(visit)).study_thumbnail(study.uid)
    return Response(picture, media_type="image/jpeg", headers={"cache-control": "private, max-age=3600"})


async def cancel(visit: Visit) -> Response:
    """POST: do not fetch this study."""
    case, found = await _retrieval(visit)
    if found.status == "cancelled":
        return visit.go(f"cases/{case.id}/imaging")
    if not found.may_cancel(visit.launch.roles):
        raise Changed(f"{found.description} can no longer be stopped.")
    await _move(visit, found, "cancelled")
    return visit.go(f"cases/{case.id}/imaging", said=f"{found.description} is no longer fetched.")


async def again(visit: Visit) -> Response:
    """POST: try a failed retrieval again."""
    case, found = await _retrieval(visit)
    if not found.may_repeat(visit.launch.roles):
        raise Changed(f"{found.description} is being fetched already.")
    await _move(visit, found, "requested")
    return visit.go(f"cases/{case.id}/imaging", said=f"{found.description} is fetched again.")


async def _move(visit: Visit, found: Retrieval, status: str) -> None:
    task = {name: value for name, value in found.task.items() if name != "statusReason"} | {"status": status}
    try:
        await visit.fhir.update(task)
    except FhirFailure as failure:
        if failure.status in (409, 412):
            raise Changed(f"{found.description} moved on in the meantime.", "Here it is as it stands.") from failure
        raise


async def _retrieval(visit: Visit) -> tuple[Case, Retrieval]:
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    wanted = visit.request.path_params["task"]
    found = next((each for each in case.retrievals() if each.task["id"] == wanted), None)
    if found is None:
        raise NotFound("This case fetches no such study.")
    return case, retrieval_of(found.task)


async def _study(visit: Visit, case: Case, uid: str) -> Study:
    found = next((each for each in await studies_of(visit, case) if each.uid == uid), None)
    if found is None:
        raise NotFound("These images are not part of the case.")
    return found


def _title(study: Resource) -> str:
    return study_title([each.get("code", "") for each in study.get("modality", [])], study.get("description", ""))


routes = [
    page("cases/{case}/imaging", imaging),
    page("cases/{case}/images", images),
    page("cases/{case}/studies/{study}/thumbnail", thumbnail),
    page("cases/{case}/retrievals/{task}/cancel", as_it_stands(cancel), ("POST",)),
    page("cases/{case}/retrievals/{task}/again", as_it_stands(again), ("POST",)),
]
