"""`cases/{case}/workstation`: a reader sends the studies of a case to the own workstation, watches and cancels it."""

from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from smart_app.case.view import load_case
from smart_app.errors import AppError, Invalid
from smart_app.gateway import gateway_of
from smart_app.pages.imaging import Study, studies_of
from smart_app.transfers import Transfer
from smart_app.visit import Visit, page

READERS = ("consultant", "radiologist")


@dataclass(frozen=True, slots=True)
class Sending:
    """A study, and how it stands with a workstation; None before it was ever sent there."""

    study: Study
    transfer: Transfer | None

    @property
    def running(self) -> bool:
        """Whether it is under way."""
        return self.transfer is not None and self.transfer.running


@dataclass(frozen=True, slots=True)
class Workstation:
    """A workstation of this reader, with every study of the case."""

    name: str
    title: str
    sendings: list[Sending]

    @property
    def fresh(self) -> list[Sending]:
        """The studies that were never sent there, or did not get there."""
        return [
            each for each in self.sendings if each.transfer is None or each.transfer.state in ("failed", "cancelled")
        ]


async def workstation(visit: Visit) -> Response:
    """The part of a page that shows the reader's workstations; it asks again by itself while something is under way."""
    visit.require(*READERS)
    return await shown(visit)


async def shown(visit: Visit) -> Response:
    """Every workstation with every study; or why nobody can say."""
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    studies = [each for each in await studies_of(visit, case) if each.uid]
    try:
        found = await (await gateway_of(visit)).workstations([each.uid for each in studies])
    except AppError as failure:
        return visit.render("case_workstation.html", failure.status, case=case, problem=failure)
    places = [
        Workstation(each["name"], each["title"], sendings(each, studies, found)) for each in found["workstations"]
    ]
    running = any(sending.running for place in places for sending in place.sendings)
    return visit.render("case_workstation.html", case=case, problem=None, places=places, running=running)


def sendings(place: dict[str, Any], studies: list[Study], found: dict[str, Any]) -> list[Sending]:
    """How every study stands with one workstation."""
    known = {each["study_instance_uid"]: each for each in found["sendings"] if each["peer"] == place["name"]}
    return [Sending(each, Transfer(known[each.uid], None, False) if each.uid in known else None) for each in studies]


async def send(visit: Visit) -> Response:
    """POST: send the chosen studies; sent twice they go on as they are."""
    visit.require(*READERS)
    form, case = await visit.form(), visit.request.path_params["case"]
    studies = [str(each) for each in form.getlist("study")]
    if not studies:
        raise Invalid("No study is chosen.", "Choose at least one.")
    await (await gateway_of(visit)).send_to(str(form.get("workstation", "")), f"Task/{case}", studies)
    if visit.is_htmx:
        return await shown(visit)
    return visit.go(f"cases/{case}/imaging", said="The images are on their way to the workstation.")


async def cancel(visit: Visit) -> Response:
    """POST: do not send the rest of a study."""
    visit.require(*READERS)
    await (await gateway_of(visit)).cancel_sending(int(visit.request.path_params["forwarding"]))
    if visit.is_htmx:
        return await shown(visit)
    return visit.go(f"cases/{visit.request.path_params['case']}/imaging", said="It is no longer sent.")


routes = [
    page("cases/{case}/workstation", workstation),
    page("cases/{case}/workstation", send, ("POST",)),
    page("cases/{case}/workstation/{forwarding:int}/cancel", cancel, ("POST",)),
]
