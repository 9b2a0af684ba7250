"""`cases/{case}/report`: the answer first, both opinions side by side, the signed PDF, where it went, acknowledge."""

import base64
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from smart_app.case.codes import own_system
from smart_app.case.view import load_case
from smart_app.errors import NotFound
from smart_app.fhir import Resource
from smart_app.pages.case import tab
from smart_app.report.opinion import QUESTIONS
from smart_app.visit import Visit, page
from smart_app.words import code_in, concept

ACUTE = frozenset({"refined", "changed", "modified", "alternative", "inadequate", "low"})


@dataclass(frozen=True, slots=True)
class Answer:
    """One line of the concordance; `differs` when it does not confirm the first opinion."""

    title: str
    value: str
    differs: bool


@dataclass(frozen=True)
class Report:
    """A signed report as a page shows it."""

    resource: Resource
    answers: list[Answer]
    reviewed: list[dict[str, Any]]
    signed: str
    has_pdf: bool

    @property
    def conclusion(self) -> str:
        """The answer to the question."""
        return str(self.resource.get("conclusion", ""))


async def report(visit: Visit) -> Response:
    """The report, or that there is none yet."""
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    found = await visit.fhir.find(case.report)
    if found is None:
        return await tab(visit, "report", case=case, report=None)
    results = [await visit.fhir.find(each.get("reference")) for each in found.get("result", [])]
    shown = report_of(found, next((each for each in results if each), {}))
    return await tab(visit, "report", case=case, report=shown)


async def pdf(visit: Visit) -> Response:
    """The signed PDF, byte for byte as it stands in the DiagnosticReport."""
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    found = await visit.fhir.find(case.report)
    form = pdf_of(found or {})
    if form is None:
        raise NotFound("There is no signed PDF for this case yet.")
    name = f'inline; filename="second-opinion-{case.number or case.id}.pdf"'
    return Response(base64.b64decode(form["data"]), media_type="application/pdf", headers={"content-disposition": name})


def pdf_of(resource: Resource) -> Resource | None:
    """The PDF among a report's presented forms."""
    forms: list[Resource] = resource.get("presentedForm", [])
    return next((each for each in forms if each.get("contentType") == "application/pdf" and each.get("data")), None)


def report_of(resource: Resource, concordance: Resource) -> Report:
    """Read a DiagnosticReport and its concordance Observation."""
    extensions = [each["valueReference"] for each in resource.get("extension", []) if "valueReference" in each]
    return Report(
        resource=resource,
        answers=[_answer(each) for each in concordance.get("component", [])],
        reviewed=[*resource.get("imagingStudy", []), *extensions],
        signed=resource.get("issued", ""),
        has_pdf=pdf_of(resource) is not None,
    )


def _answer(component: Resource) -> Answer:
    question = code_in(component.get("code"), own_system("concordance")) or ""
    value = code_in(component.get("valueCodeableConcept"), own_system("concordance-value")) or ""
    title = QUESTIONS.get(question, (concept(component.get("code")), ()))[0]
    return Answer(title, concept(component.get("valueCodeableConcept")), value in ACUTE)


routes = [page("cases/{case}/report", report), page("cases/{case}/report.pdf", pdf)]
