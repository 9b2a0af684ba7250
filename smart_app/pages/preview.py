"""`drafts/{draft}/preview/{type}/{id}`: a report or document of the chart, looked at before it goes along."""

from starlette.responses import Response

from smart_app.case.material import date_of, title_of
from smart_app.errors import NotFound
from smart_app.fhir import Resource
from smart_app.pages.record import SHOWN_AS_FILE, attachments, lines, part
from smart_app.request.desk import draft_of, open_desk
from smart_app.visit import Visit, page


async def preview(visit: Visit) -> Response:
    """The record as the consultant will see it."""
    desk = await open_desk(visit, await draft_of(visit, visit.request.path_params["draft"]))
    resource = _picked(desk.chart.find(_wanted(visit)))
    results = [desk.chart.find(each.get("reference", "")) for each in resource.get("result", [])]
    address = visit.url(f"drafts/{desk.draft.id}/preview/{_wanted(visit)}")
    return visit.render(
        "record.html",
        resource=resource,
        results=lines([each for each in results if each]),
        title=title_of(resource),
        date=date_of(resource),
        parts=[part(each, f"{address}/{place}") for place, each in enumerate(attachments(resource))],
    )


async def attachment(visit: Visit) -> Response:
    """One attachment's bytes, fetched from the hospital's server with the launch's token."""
    desk = await open_desk(visit, await draft_of(visit, visit.request.path_params["draft"]))
    found = attachments(_picked(desk.chart.find(_wanted(visit))))
    place = int(visit.request.path_params["place"])
    if place >= len(found):
        raise NotFound("The record has no such attachment.")
    content, content_type = await visit.ehr.attachment(found[place])
    shown = content_type in SHOWN_AS_FILE
    headers = {} if shown else {"content-disposition": "attachment"}
    return Response(content, media_type=content_type if shown else "application/octet-stream", headers=headers)


def _wanted(visit: Visit) -> str:
    return f"{visit.request.path_params['type']}/{visit.request.path_params['id']}"


def _picked(resource: Resource | None) -> Resource:
    if resource is None:
        raise NotFound("The chart holds no such record.")
    return resource


routes = [
    page("drafts/{draft}/preview/{type}/{id}", preview),
    page("drafts/{draft}/preview/{type}/{id}/{place:int}", attachment),
]
