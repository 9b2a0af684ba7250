"""A case as its reader sees it: the case, its records, the values that they consist of, and the reader's own draft."""

from collections.abc import Mapping
from dataclasses import dataclass

from anyio.to_thread import run_sync

from smart_app.case import material
from smart_app.case.material import Record
from smart_app.case.view import Case, load_case
from smart_app.fhir import Resource
from smart_app.reading.timeline import Timeline, timeline
from smart_app.report.form import label
from smart_app.store.drafts import Draft
from smart_app.visit import Visit

WRITTEN_IN = frozenset({"in-review", "ancillary-read", "info-requested"})


@dataclass(frozen=True)
class Room:
    """What lies on the desk."""

    case: Case
    records: list[Record]
    results: Mapping[str, Resource]

    @property
    def citable(self) -> list[Record]:
        """The records, then each value that they consist of."""
        return self.records + [Record(0, reference, each) for reference, each in self.results.items()]

    @property
    def labels(self) -> dict[str, str]:
        """What a citation of each is called."""
        return {each.reference: label(each) for each in self.citable}

    @property
    def timeline(self) -> Timeline:
        """The records on their axis."""
        return timeline(self.records, self.results)


async def enter(visit: Visit) -> Room:
    """The room of the case in the address.  Raises NotFound when the case is not the reader's to see."""
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    return await furnished(visit, case)


async def furnished(visit: Visit, case: Case) -> Room:
    """The room of a case that is at hand."""
    records, results = await material.with_results(visit.fhir, case.task, case.request)
    return Room(case, records, results)


async def draft_of(visit: Visit, case: Case) -> Draft:
    """This consultant's unsigned report on the case."""
    who, patient = visit.launch.practitioner, str(case.task["for"]["reference"])
    return await run_sync(visit.services.drafts.current, who, "report", case.reference, patient)
