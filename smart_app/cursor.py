"""The durable cursor over our server's Task history: finds signed reports, whoever signed them, however long ago.

It asks from a little before where it stood, because versions may become visible out of order, and remembers what it has
seen since then.  The position and what was found are written in one transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from konsil.outbox import NewJob
from smart_app.case.codes import CASE_TASK, own_system
from smart_app.fhir import FhirClient, Resource
from smart_app.store.writebacks import WritebackStore
from smart_app.words import code_in, parse_moment

NAME = "signed-reports"
OVERLAP = timedelta(seconds=60)
SIGNED = frozenset({"report-signed", "report-amended"})


@dataclass(frozen=True, slots=True)
class Found:
    """A signed version of a case."""

    case_id: str
    report: str

    @property
    def job(self) -> NewJob:
        """The outbox row: one for each report version, one at a time for each case."""
        payload = {"case": self.case_id, "report": self.report}
        return NewJob("writeback", payload, f"writeback {self.case_id} {self.report}", f"case {self.case_id}")

    @property
    def row(self) -> dict[str, str]:
        """The row people see."""
        return {"case_id": self.case_id, "report": self.report, "tenant": ""}


async def advance(fhir: FhirClient, store: WritebackStore) -> int:
    """Read what is new, enqueue what was signed, move on.  Returns how many versions were new."""
    since, seen = store.position(NAME)
    versions = await fhir.type_history("Task", since)
    fresh = [each for each in versions if version_key(each) not in seen]
    if not fresh:
        return 0
    newest = max(each["meta"]["lastUpdated"] for each in versions)
    moved = _earlier(newest)
    remembered = {version_key(each) for each in versions if each["meta"]["lastUpdated"] >= moved}
    found = signed_in(fresh)
    store.advance(NAME, moved, remembered, [(each.job, each.row) for each in found])
    return len(fresh)


def signed_in(versions: Sequence[Resource]) -> list[Found]:
    """The signed cases among versions of Tasks."""
    return [
        Found(str(each["id"]), report)
        for each in versions
        if _is_case(each) and code_in(each.get("businessStatus"), own_system("business-status")) in SIGNED
        if (report := _report(each))
    ]


def version_key(resource: Resource) -> str:
    """`id/version`."""
    return f"{resource['id']}/{resource['meta']['versionId']}"


def _is_case(task: Resource) -> bool:
    return code_in(task.get("code"), CASE_TASK["system"]) == CASE_TASK["code"]


def _report(task: Resource) -> str:
    outputs = [
        each for each in task.get("output", []) if code_in(each.get("type"), own_system("task-output")) == "report"
    ]
    return str(outputs[-1].get("valueReference", {}).get("reference", "")) if outputs else ""


def _earlier(moment: str) -> str:
    parsed = parse_moment(moment)
    return (parsed - OVERLAP).isoformat().replace("+00:00", "Z") if parsed else moment
