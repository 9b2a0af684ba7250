"""`/l/{launch}/triage`: the coordinator's board, and the offer of a case to a consultant."""

from dataclasses import dataclass

from starlette.responses import Response

from smart_app.case.board import COLUMNS, Card, load_board
from smart_app.case.consultants import candidates
from smart_app.case.states import steps_from
from smart_app.case.view import load_case
from smart_app.errors import Changed, Invalid
from smart_app.listing import Choice, Column, Plan, listing
from smart_app.pages.case import tab
from smart_app.pages.steps import actor_of, as_it_stands, case_for
from smart_app.visit import NavItem, Visit, page
from smart_app.words import Clock, person_name

SEEING = ("coordinator", "programme-manager", "administrator")
HEADS: list[Column[Card]] = [
    Column("patient", "Patient", lambda card: card.banner.name),
    Column("question", "Question"),
    Column("specialty", "Specialty", lambda card: card.specialty),
    Column("state", "Where it stands", lambda card: list(COLUMNS).index(card.column)),
    Column("records", "Records", lambda card: card.records.words),
    Column("licence", "Licence", lambda card: card.licence.words),
    Column("promised", "Promised", lambda card: card.case.promised),
]
CHOICES: list[Choice[Card]] = [
    Choice("specialty", "Specialty", lambda card: card.specialty),
    Choice("urgency", "Urgency", lambda card: card.urgency),
    Choice("when", "Promise", lambda card: card.when),
]
BOARD_MOST = 500
PER_PAGE = 25


@dataclass(frozen=True)
class Lane:
    """One column of the board."""

    title: str
    cards: list[Card]


async def triage(visit: Visit) -> Response:
    """All running cases by where they stand, the most urgent first; the same as a table."""
    visit.require(*SEEING)
    cards = await load_board(visit.fhir, Clock(visit.services.settings.time_zone))
    query = visit.request.query_params
    as_table = query.get("view") == "table"
    choices = [*CHOICES, Choice("state", "Stage", lambda card: card.column)] if as_table else CHOICES
    plan = Plan(HEADS, choices, words_of, per_page=PER_PAGE if as_table else BOARD_MOST)
    shown = listing(plan, cards, query)
    lanes = [Lane(title, [card for card in shown.rows if card.column == title]) for title in COLUMNS]
    return visit.render("triage.html", list=shown, lanes=lanes, as_table=as_table, may_offer=may_offer(visit))


def words_of(card: Card) -> str:
    """What a search looks in."""
    named = (card.banner.name, card.banner.written, card.banner.number, card.case.number, card.case.question)
    return " ".join([*named, card.specialty, card.case.name_of(card.case.owner) if card.case.owner else ""])


def may_offer(visit: Visit) -> bool:
    """Whether this person gives cases to consultants; a programme manager only looks on."""
    return any(step.name == "offer" for step in steps_from("ready-for-triage", visit.launch.roles, owns=False))


async def offer(visit: Visit) -> Response:
    """Who could answer, ranked with reasons: a part of the board for HTMX, else a page of the case."""
    visit.require("coordinator")
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    found = await candidates(visit.fhir, case, Clock(visit.services.settings.time_zone))
    if visit.is_htmx:
        return visit.render("offer_list.html", case=case, candidates=found, in_dialog=True)
    return await tab(visit, "offer", case=case, action=None, candidates=found, in_dialog=False)


async def make_offer(visit: Visit) -> Response:
    """POST: offer the case to the chosen consultant."""
    form = await visit.form()
    practitioner = str(form.get("practitioner", ""))
    if not practitioner.startswith("Practitioner/"):
        raise Invalid("Nobody was chosen.", "Choose a consultant.")
    case = await case_for(visit, "offer", "transfer")
    if case.owner == practitioner:
        raise Changed("The case was offered to this consultant already.", "The board shows where it stands.")
    await actor_of(visit).step(case, "offered", owner={"reference": practitioner})
    name = person_name(await visit.fhir.find(practitioner))
    return visit.go("triage", said=f"Offered to {name}.")


routes = [
    page("triage", triage),
    page("cases/{case}/offer", offer),
    page("cases/{case}/offer", as_it_stands(make_offer), ("POST",)),
]
nav = [NavItem("Triage", "triage", "layout-kanban", SEEING)]
