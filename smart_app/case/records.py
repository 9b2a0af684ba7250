"""Records that a case hands over: what the request and the case name, as far as the viewer may see them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from smart_app.case.codes import own_system
from smart_app.case.material import by_reference, search_all
from smart_app.case.view import Case
from smart_app.fhir import FhirClient, Resource
from smart_app.request.chart import GROUP_TITLES, Chart, Item, items
from smart_app.words import Clock, code_in


@dataclass(frozen=True)
class Records:
    """The records by reference, their lines by group, and the imaging studies apart."""

    resources: Mapping[str, Resource]
    groups: Sequence[tuple[str, Sequence[Item]]]
    studies: Sequence[Resource]

    def of(self, resource_type: str) -> list[Resource]:
        """All records of one type."""
        return [each for each in self.resources.values() if each["resourceType"] == resource_type]


async def load_records(fhir: FhirClient, case: Case, clock: Clock) -> Records:
    """Read everything the case names, and the values that its reports consist of."""
    found = await search_all(fhir, named_by(case), {"DiagnosticReport": "DiagnosticReport:result"})
    resources = by_reference([*found.matches, *found.included])
    kinds = {each["resourceType"] for each in resources.values()}
    chart = Chart({kind: [each for each in resources.values() if each["resourceType"] == kind] for kind in kinds})
    lines = items(chart, clock.now().date())
    groups = [(title, [line for line in lines if line.group == group]) for group, title in GROUP_TITLES.items()]
    studies = sorted(chart.of("ImagingStudy"), key=lambda each: each.get("started", ""), reverse=True)
    return Records(resources, [(title, several) for title, several in groups if several], studies)


def named_by(case: Case) -> list[str]:
    """References in the request's reasonReference and supportingInfo, and in the case's input."""
    references = [*case.request.get("reasonReference", []), *case.request.get("supportingInfo", [])]
    references += [each["valueReference"] for each in case.task.get("input", []) if "valueReference" in each]
    return list(dict.fromkeys(each["reference"] for each in references if "/" in each.get("reference", "")))


def attached_studies(case: Case) -> list[str]:
    """`ImagingStudy/x` that HIM staff accepted into the case."""
    inputs = [each for each in case.task.get("input", []) if _is_study(each)]
    return [each["valueReference"]["reference"] for each in inputs if "valueReference" in each]


def study_uid(study: Mapping[str, Any]) -> str:
    """The Study Instance UID of an ImagingStudy."""
    values = [each["value"] for each in study.get("identifier", []) if each.get("system") == "urn:dicom:uid"]
    return str(next(iter(values), "")).removeprefix("urn:oid:")


def _is_study(parameter: Mapping[str, Any]) -> bool:
    return code_in(parameter.get("type"), own_system("task-input")) == "imaging-study"
