"""`/l/{launch}/requests` and `/patient`: what the requester asked for, what waits for them first, drafts among it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from anyio.to_thread import run_sync
from starlette.responses import Response

from smart_app.banner import Banner, banner_of
from smart_app.case.messages import unread_by_case
from smart_app.case.states import FINISHED
from smart_app.case.status import Promise, Status, promise_of, status_of
from smart_app.case.view import Case, load_cases
from smart_app.fhir import Resource
from smart_app.listing import Choice, Column, Listing, Plan, listing
from smart_app.store.drafts import Draft
from smart_app.visit import NavItem, Visit, page
from smart_app.words import Clock, concept, parse_moment

GROUPS = ("Waiting for you", "Not sent yet", "Running", "Closed")
NEEDING, UNSENT, RUNNING, CLOSED = range(len(GROUPS))
STAGES = {
    "info-requested": "Question for you",
    "report-signed": "Report to read",
    "report-amended": "Report to read",
    "declined": "Declined",
    "submitted": "Records",
    "awaiting-records": "Records",
    "reconciling": "Records",
    "ready-for-triage": "Choosing a consultant",
    "offered": "Choosing a consultant",
}
OPENS = {"info-requested": "/messages", "report-signed": "/report", "report-amended": "/report"}
FETCHING = frozenset({"submitted", "awaiting-records", "reconciling"})
DECLINED_FRESH = timedelta(days=14)
MOST = 300


@dataclass(frozen=True)
class Row:
    """One line of the list: a case, or a draft that is still to be sent."""

    banner: Banner
    place: int
    stage: str
    question: str
    status: Status
    specialty: str = ""
    number: str = ""
    promised: str = ""
    promise: Promise | None = None
    case: Case | None = None
    opens: str = ""  # the page behind the row; empty when it opens from another patient's chart only
    unread: int = 0
    draft: Draft | None = None

    @property
    def group(self) -> str:
        """Whom it waits for."""
        return GROUPS[self.place]


PLAN: Plan[Row] = Plan(
    columns=(
        Column("patient", "Patient", lambda row: row.banner.name),
        Column("question", "Question and where it stands"),
        Column("specialty", "Specialty", lambda row: row.specialty),
        Column("promised", "Promised", lambda row: "" if row.place == CLOSED else row.promised),
    ),
    choices=(
        Choice("stage", "Stage", lambda row: row.stage),
        Choice("specialty", "Specialty", lambda row: row.specialty),
    ),
    text=lambda row: " ".join(
        (row.banner.name, row.banner.written, row.banner.number, row.question, row.number, row.specialty)
        + ((row.case.diagnosis, row.case.name_of(row.case.owner) if row.case.owner else "") if row.case else ())
    ),
)


@dataclass(frozen=True)
class Mine:
    """The list as it is shown, how many each group has in all, and how many closed ones are folded away."""

    list: Listing[Row]
    counts: Mapping[str, int]
    folded: int


async def requests(visit: Visit) -> Response:
    """All that this person asked for and began to ask."""
    cases = await load_cases(visit.fhir, {"requester": visit.launch.practitioner}, MOST)
    rows = await rows_of(visit, cases, await unsent(visit))
    return visit.render("requests.html", mine=mine_of(rows, visit.request.query_params), of_patient=False)


async def patient(visit: Visit) -> Response:
    """Where a launch with a patient lands: the running case, the list if there are several, else a new request."""
    criteria = {"patient": visit.launch.patient or "", "requester": visit.launch.practitioner}
    cases = await load_cases(visit.fhir, criteria, MOST)
    running = [case for case in cases if case.state not in FINISHED]
    if not cases:
        return visit.go("new")
    if len(running) == 1:
        return visit.go(f"cases/{running[0].id}")
    drafts = [draft for draft in await unsent(visit) if draft.patient == visit.launch.patient]
    mine = mine_of(await rows_of(visit, cases, drafts), visit.request.query_params)
    return visit.render("requests.html", mine=mine, banner=banner_of(cases[0].patient), of_patient=True)


async def unsent(visit: Visit) -> list[Draft]:
    """The requests that this person has begun."""
    return await run_sync(visit.services.drafts.unsent, visit.launch.practitioner, "request")


def mine_of(rows: Sequence[Row], query: Mapping[str, str]) -> Mine:
    """The list that the address asks for.  Closed requests are folded away until they are wanted: by their link, by a
    search, by a filter; or when there is nothing else."""
    found = listing(replace(PLAN, per_page=len(rows) or 1), rows, query)
    current = [row for row in rows if row.place != CLOSED]
    counts = Counter(row.group for row in found.rows)
    if found.narrowed or query.get("closed") == "shown" or not current:
        return Mine(listing(PLAN, rows, query), counts, 0)
    return Mine(replace(listing(PLAN, current, query), choices=found.choices), counts, len(rows) - len(current))


async def rows_of(visit: Visit, cases: Sequence[Case], drafts: Sequence[Draft]) -> list[Row]:
    """The rows in the order of the groups; within one those with news first, then by the promised day, closed ones as
    they came: the last changed first."""
    clock = Clock(visit.services.settings.time_zone)
    marks = await run_sync(visit.services.seen.of_person, visit.launch.practitioner)
    unread = await unread_by_case(visit.fhir, visit.launch.practitioner, marks)
    rows = [of_case(case, clock, unread.get(case.id, 0)) for case in await with_children(visit, cases)]
    rows += await rows_of_drafts(visit, drafts, clock)
    return sorted(rows, key=lambda row: (row.place, not row.unread, "" if row.place == CLOSED else row.promised or "9"))


def of_case(case: Case, clock: Clock, unread: int) -> Row:
    """The row of a case."""
    place = place_of(case, clock.now())
    return Row(
        banner=banner_of(case.patient),
        place=place,
        stage=STAGES.get(case.state, "Closed" if case.state in FINISHED else "Reading"),
        question=case.question or "No question was written",
        status=status_of(case, clock),
        specialty=case.specialty,
        number=case.number,
        promised=case.promised,
        promise=promise_of(case, clock) if place != CLOSED else None,
        case=case,
        opens=f"cases/{case.id}{OPENS.get(case.state, '')}",
        unread=unread,
    )


def place_of(case: Case, now: datetime) -> int:
    """The group of a case.  A declined one waits for its requester for two weeks, then it is closed like others."""
    if case.state == "declined":
        since = parse_moment(str(case.task.get("lastModified", "")))
        return NEEDING if since and now - since < DECLINED_FRESH else CLOSED
    if case.state in FINISHED:
        return CLOSED
    return NEEDING if case.state in OPENS else RUNNING


async def with_children(visit: Visit, cases: Sequence[Case]) -> list[Case]:
    """The cases, those whose images are on their way with their children: all of them in one answer."""
    parents = [case.reference for case in cases if case.state in FETCHING]
    if not parents:
        return list(cases)
    found = await visit.fhir.search("Task", {"part-of": ",".join(parents)}, most=1000)
    of_parent: dict[str, list[Resource]] = {}
    for child in sorted(found.matches, key=lambda each: (each.get("authoredOn", ""), each["id"])):
        for parent in child.get("partOf", []):
            of_parent.setdefault(str(parent.get("reference", "")), []).append(child)
    return [replace(case, children=of_parent.get(case.reference, [])) for case in cases]


async def rows_of_drafts(visit: Visit, drafts: Sequence[Draft], clock: Clock) -> list[Row]:
    """The rows of what was begun, the last saved first; a draft opens from its own patient's chart only."""
    people = await named(visit, [draft.patient for draft in drafts])
    lines = await named(visit, [str(draft.content.get("service") or "") for draft in drafts])
    return [
        Row(
            banner=banner_of(people.get(draft.patient, {})),
            place=UNSENT,
            stage="Draft",
            question=str(draft.content.get("question") or ""),
            status=draft_status(draft, clock),
            specialty=specialty_of(lines.get(str(draft.content.get("service") or ""), {})),
            number=str(draft.content.get("case_number") or ""),
            opens="new" if draft.patient == visit.launch.patient else "",
            draft=draft,
        )
        for draft in drafts
    ]


def draft_status(draft: Draft, clock: Clock) -> Status:
    """When a draft was saved, or that it is on its way."""
    since = clock.moment(datetime.fromtimestamp(draft.updated_at, UTC).isoformat())
    if draft.state == "sending":
        return Status(f"Being sent since {since}.", "active", "send")
    return Status(f"Draft, saved {since}.", "neutral", "pencil")


def specialty_of(line: Mapping[str, Any]) -> str:
    """The specialty of a service line, in the words that a case has for it."""
    return concept(next(iter(line.get("specialty", [])), None)) or str(line.get("name", ""))


async def named(visit: Visit, references: Sequence[str]) -> dict[str, Resource]:
    """Resources of one type by their references, in one answer; what this person may not see is not among them."""
    kinds = {each.partition("/")[0]: None for each in references if "/" in each}
    found: dict[str, Resource] = {}
    for kind in kinds:
        ids = sorted({each.partition("/")[2] for each in references if each.startswith(f"{kind}/")})
        answer = await visit.fhir.search(kind, {"_id": ",".join(ids)}, most=MOST)
        found |= {f"{kind}/{each['id']}": each for each in answer.matches}
    return found


routes = [page("requests", requests), page("patient", patient)]
nav = [NavItem("My requests", "requests", "inbox", ("requester",))]
