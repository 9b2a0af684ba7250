"""`/l/{launch}/find?q=`: cases, patients and pages, for the palette that Ctrl K opens."""

from dataclasses import dataclass
from urllib.parse import quote

from starlette.responses import Response

from smart_app.banner import banner_of
from smart_app.case.states import state_title
from smart_app.case.view import Case, load_cases
from smart_app.fhir import Resource
from smart_app.listing import fold
from smart_app.visit import Visit, page
from smart_app.words import age, counted, name_in_other_script, person_name

MOST = 8


@dataclass(frozen=True, slots=True)
class Found:
    """One line: what it is, what stands beside it, and where it leads."""

    title: str
    detail: str
    path: str
    icon: str
    edge: int | None = None


async def find(visit: Visit) -> Response:
    """What fits all words; without words the newest cases and the pages.  FHIR decides what the person may see."""
    words = fold(visit.request.query_params.get("q", "")[:100]).split()
    cases = await load_cases(visit.fhir, {}, most=200)
    groups = [
        ("Cases", [_case(case) for case in cases if _fits(words, _text(case))][:MOST]),
        ("Patients", _patients(visit, words, cases)[:MOST] if words else []),
        ("Pages", [each for each in _pages(visit) if _fits(words, f"{each.title} {each.detail}")]),
    ]
    return visit.render("find.html", groups=[(title, lines) for title, lines in groups if lines])


def _patients(visit: Visit, words: list[str], cases: list[Case]) -> list[Found]:
    """Patients of the cases, each once: a line leads to the only case, or to the list narrowed to the patient."""
    by_patient: dict[str, list[Case]] = {}
    for case in cases:
        if case.patient and _fits(words, f"{_names(case.patient)} {banner_of(case.patient).number}"):
            by_patient.setdefault(case.patient["id"], []).append(case)
    lists = next(iter(visit.navigation()), None)
    return [_patient(mine, lists.path if lists else "requests") for mine in by_patient.values()]


def _pages(visit: Visit) -> list[Found]:
    items = [Found(item.title, "", item.path, item.icon) for item in visit.navigation()]
    new = [Found("New request", "for the patient of this chart", "new", "plus")] if visit.launch.ehr_patient else []
    return [*items, *new, Found("How konsil works", "help", "help", "book")]


def _case(case: Case) -> Found:
    who = " ".join(part for part in (person_name(case.patient), age(case.patient.get("birthDate"))) if part)
    edge = banner_of(case.patient).edge if case.patient else None
    detail = ", ".join(part for part in (state_title(case.state), case.number) if part)
    return Found(f"{who}: {case.question or 'no question'}", detail, f"cases/{case.id}", "report-medical", edge)


def _patient(cases: list[Case], lists: str) -> Found:
    banner, number = banner_of(cases[0].patient), len(cases)
    detail = ", ".join(part for part in (banner.age, banner.sex, banner.number, counted(number, "case")) if part)
    path = f"cases/{cases[0].id}" if number == 1 else f"{lists}?q={quote(banner.name)}"
    return Found(banner.name, detail, path, "user", banner.edge)


def _names(patient: Resource) -> str:
    return f"{person_name(patient)} {name_in_other_script(patient)}"


def _text(case: Case) -> str:
    people = " ".join(person_name(each) for each in case.people.values())
    return f"{_names(case.patient)} {case.question} {case.number} {case.diagnosis} {case.specialty} {people}"


def _fits(words: list[str], text: str) -> bool:
    folded = fold(text)
    return all(word in folded for word in words)


routes = [page("find", find)]
