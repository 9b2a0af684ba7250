"""`/l/{launch}/worklist`: the consultant's cases: offered, being read, with a question open, signed, done."""

from collections.abc import Sequence
from dataclasses import dataclass

from anyio.to_thread import run_sync
from starlette.responses import Response

from smart_app.banner import Banner, banner_of
from smart_app.case.material import read_all, references
from smart_app.case.messages import unread_by_case
from smart_app.case.status import Promise, Status, promise_of, status_of
from smart_app.case.view import Case, load_cases
from smart_app.fhir import Resource
from smart_app.listing import Choice, Column, Listing, Plan, listing
from smart_app.visit import NavItem, Visit, page
from smart_app.words import Clock, counted, sentence_list

GROUPS = (
    ("Offered to you", ("offered",)),
    ("Yours to read", ("assigned", "in-review", "ancillary-read")),
    ("Waiting for others", ("info-requested", "consent-lapsed", "cancel-requested")),
    ("Signed, not acknowledged", ("report-signed", "report-amended")),
    ("Done", ("acknowledged", "follow-up-due", "closed", "unable", "withdrawn")),
)
DONE = len(GROUPS) - 1


@dataclass(frozen=True)
class Row:
    """One case of the list."""

    case: Case
    banner: Banner
    status: Status
    promise: Promise | None
    place: int
    studies: Sequence[Resource]
    unread: int

    @property
    def group(self) -> str:
        """What the case waits for."""
        return GROUPS[self.place][0]

    @property
    def asker(self) -> str:
        """Who asks."""
        return self.case.name_of(self.case.requester)

    @property
    def modalities(self) -> list[str]:
        """`CT`, `MR`: the kinds of images, each once."""
        found = (each.get("code", "") for study in self.studies for each in study.get("modality", []))
        return list(dict.fromkeys(code for code in found if code))

    @property
    def images(self) -> int:
        """How many images there are."""
        return sum(int(study.get("numberOfInstances", 0)) for study in self.studies)

    @property
    def imaging(self) -> str:
        """`CT and MR, 431 images`; empty without imaging."""
        return f"{sentence_list(self.modalities)}, {counted(self.images, 'image')}" if self.studies else ""


PLAN: Plan[Row] = Plan(
    columns=(
        Column("patient", "Patient", lambda row: row.banner.name),
        Column("question", "Question and state"),
        Column("imaging", "Imaging", lambda row: row.images, numeric=True),
        Column("asked", "Asked by", lambda row: row.asker),
        Column("promised", "Promised", lambda row: (row.place == DONE, row.case.promised or "9")),
    ),
    choices=(
        Choice("state", "State", lambda row: row.group),
        Choice("imaging", "Imaging", lambda row: ", ".join(row.modalities) or "none"),
    ),
    text=lambda row: " ".join(
        (row.banner.name, row.banner.written, row.banner.number, row.case.question, row.case.diagnosis)
        + (row.case.number, row.asker, row.imaging)
    ),
)


async def worklist(visit: Visit) -> Response:
    """The cases whose owner this person is, by what they wait for; the nearest promise first within it."""
    visit.require("consultant", "radiologist")
    cases = await load_cases(visit.fhir, {"owner": visit.launch.practitioner}, most=200)
    shown: Listing[Row] = listing(PLAN, await rows_of(visit, cases), visit.request.query_params)
    return visit.render("worklist.html", list=shown, grouped=not shown.sort)


async def rows_of(visit: Visit, cases: Sequence[Case]) -> list[Row]:
    """The rows in the order of the groups."""
    clock = Clock(visit.services.settings.time_zone)
    named = {
        case.id: [one for one in references(case.task, case.request) if one.startswith("Imaging")] for case in cases
    }
    studies = await read_all(visit.fhir, [one for several in named.values() for one in several])
    marks = await run_sync(visit.services.seen.of_person, visit.launch.practitioner)
    unread = await unread_by_case(visit.fhir, visit.launch.practitioner, marks)
    rows = [
        Row(
            case,
            banner_of(case.patient),
            status_of(case, clock),
            promise_of(case, clock),
            place_of(case),
            [studies[one] for one in named[case.id] if one in studies],
            unread.get(case.id, 0),
        )
        for case in cases
    ]
    return sorted(rows, key=lambda row: (row.place, not row.unread, row.case.promised or "9"))


def place_of(case: Case) -> int:
    """The number of the group that a case belongs to."""
    return next((place for place, (_, states) in enumerate(GROUPS) if case.state in states), DONE)


routes = [page("worklist", worklist)]
nav = [NavItem("Worklist", "worklist", "list-check", ("consultant", "radiologist"))]
