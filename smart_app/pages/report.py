"""`cases/{case}/report`: the answer first, both opinions side by side, what to do, sources, versions; PDF and paper."""

import base64
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from smart_app.banner import banner_of
from smart_app.case.material import title_of
from smart_app.case.records import Records, load_records, named_by, study_uid
from smart_app.case.view import Case, load_case
from smart_app.errors import NotFound
from smart_app.fhir import Resource
from smart_app.pages.case import tab
from smart_app.pages.steps import clock_of
from smart_app.report.shown import Report, Version, pdf_of, report_of, versions_of
from smart_app.visit import Visit, page


@dataclass(frozen=True, slots=True)
class First:
    """The first opinion: the report that was asked about, as far as the case names one."""

    title: str
    date: str
    text: str
    path: str


async def report(visit: Visit) -> Response:
    """The report, or that there is none yet."""
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    values = await _values(visit, case)
    return await tab(visit, "report", case=case, **values)


async def on_paper(visit: Visit) -> Response:
    """The report laid out for paper; `?for=patient` is what the patient takes home."""
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    values = await _values(visit, case)
    if values["report"] is None:
        raise NotFound("There is no signed report for this case yet.")
    whom = "patient" if visit.request.query_params.get("for") == "patient" else "physician"
    return visit.render("report_print.html", case=case, banner=banner_of(case.patient), whom=whom, **values)


async def pdf(visit: Visit) -> Response:
    """The signed PDF, byte for byte as it stands in the DiagnosticReport; `?version=` an earlier one."""
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    wanted = visit.request.query_params.get("version", "")
    reference = f"{_unversioned(case.report)}/_history/{wanted}" if wanted.isdigit() and case.report else case.report
    form = pdf_of(await visit.fhir.find(reference, taken=True) or {})
    if form is None:
        raise NotFound("There is no signed PDF for this case yet.")
    name = f'inline; filename="second-opinion-{case.number or case.id}.pdf"'
    return Response(base64.b64decode(form["data"]), media_type="application/pdf", headers={"content-disposition": name})


async def _values(visit: Visit, case: Case) -> dict[str, Any]:
    found = await visit.fhir.find(case.report)
    if found is None:
        return {"report": None}
    records = await load_records(visit.fhir, case, clock_of(visit))
    results = [await visit.fhir.find(each.get("reference")) for each in found.get("result", [])]
    concordance: Resource = next((each for each in results if each), {})
    uids = {f"ImagingStudy/{each['id']}": study_uid(each) for each in records.studies}
    shown: Report = report_of(found, concordance, set(named_by(case)), uids)
    versions: list[Version] = versions_of(await visit.fhir.history(_unversioned(case.report)))
    return {"report": shown, "versions": versions, "first": first_of(records, concordance)}


def first_of(records: Records, concordance: Resource) -> First | None:
    """The report that the concordance speaks about."""
    named = [each.get("reference", "") for each in concordance.get("focus", [])]
    found = next((records.resources[each] for each in named if each in records.resources), None)
    if found is None:
        return None
    reference = f"{found['resourceType']}/{found['id']}"
    text = str(found.get("conclusion") or "")
    return First(title_of(found), found.get("effectiveDateTime", ""), text, f"records/{reference}")


def _unversioned(reference: str) -> str:
    return reference.partition("/_history")[0]


routes = [
    page("cases/{case}/report", report),
    page("cases/{case}/report/print", on_paper),
    page("cases/{case}/report.pdf", pdf),
]
