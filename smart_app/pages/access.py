"""`/l/{launch}/access`: who saw this patient, and what did this person see, for privacy officers."""

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import unquote_plus

from starlette.responses import Response

from smart_app.fhir import Resource
from smart_app.launches import ROLE_TITLES
from smart_app.visit import NavItem, Visit, page
from smart_app.words import Clock, person_name

SEEING = ("privacy-officer", "administrator")
PERIODS = {"1": "Last day", "7": "Last week", "30": "Last month", "365": "Last year", "": "All time"}
BY = {"": "People", "all": "People and programs"}
KINDS = {"": "Everything", "seen": "Seen", "written": "Written", "refused": "Refused", "sign-ins": "Sign-ins"}
NARROWED = {
    "seen": {"type": "rest", "action": "R,E", "outcome": "0"},
    "written": {"type": "rest", "action": "C,U,D"},
    "refused": {"outcome": "4,8,12"},
    "sign-ins": {"type": "110114"},
}
VERBS = {
    "read": "read",
    "vread": "read a former version of",
    "create": "made",
    "update": "changed",
    "patch": "changed",
    "delete": "deleted",
    "history-instance": "read the history of",
    "operation": "ran an operation on",
    "batch": "read in a batch",
    "transaction": "read in a transaction",
    "110122": "signed in",
    "110123": "signed out",
    "110107": "imported",
}
PROGRAM = "system"
AT_ONCE = 50
MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class Line:
    """One event in words. `whom` is the patient's name, `asked` the question of a search, `refused` why it failed."""

    moment: str
    who: str
    role: str
    what: str
    whom: str
    asked: str
    client: str
    address: str
    refused: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What the form asks for."""

    patient: str
    person: str
    days: str
    kind: str
    by: str

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "Asked":
        """The form's fields; a month of everything when nothing was chosen."""
        days, kind, by = query.get("days", "30"), query.get("kind", ""), query.get("by", "")
        return cls(
            query.get("patient", "").strip()[:100],
            query.get("person", "").strip()[:100],
            days if days in PERIODS else "30",
            kind if kind in KINDS else "",
            by if by in BY else "",
        )


async def access(visit: Visit) -> Response:
    """The newest events that fit, in pages."""
    visit.require(*SEEING)
    query = visit.request.query_params
    asked = Asked.of(query)
    patients = await _named(visit, "Patient", asked.patient)
    people = await _named(visit, "Practitioner", asked.person)
    lines: list[Line] = []
    following = None
    if (patients or not asked.patient) and (people or not asked.person):
        parameters = _parameters(visit, asked, patients, people)
        cursor = {"_cursor": query["cursor"]} if "cursor" in query else {}
        events, following = await visit.fhir.page("AuditEvent", parameters | cursor)
        lines = await _lines(visit, events)
    values = {"asked": asked, "lines": lines, "following": following, "paged": "cursor" in query}
    return visit.render("access.html", periods=PERIODS, kinds=KINDS, by=BY, patients=patients, people=people, **values)


async def _named(visit: Visit, resource_type: str, text: str) -> list[Resource]:
    """Who has this name or number; nobody was asked for when it is empty."""
    if not text:
        return []
    by = {"identifier": text} if re.search(r"\d", text) else {"name": text}
    return (await visit.fhir.search(resource_type, by, most=MOST_NAMED)).matches


def _parameters(visit: Visit, asked: Asked, patients: list[Resource], people: list[Resource]) -> dict[str, str]:
    parameters = {"_sort": "-date", "_count": str(AT_ONCE), "_total": "none"} | NARROWED.get(asked.kind, {})
    if patients:
        parameters["patient"] = ",".join(f"Patient/{each['id']}" for each in patients)
    if people:
        parameters["agent"] = ",".join(f"Practitioner/{each['id']}" for each in people)
    if not asked.by:
        parameters["agent-role:not"] = PROGRAM
    if asked.days:
        since = Clock(visit.services.settings.time_zone).now().date() - timedelta(days=int(asked.days))
        parameters["date"] = f"ge{since.isoformat()}"
    return parameters


async def _lines(visit: Visit, events: list[Resource]) -> list[Line]:
    names = await _names(visit, {reference for event in events for reference in _references(event)})
    return [_line(event, names) for event in events]


async def _names(visit: Visit, references: Iterable[str]) -> dict[str, str]:
    """The names of patients and practitioners, by reference."""
    names: dict[str, str] = {}
    for resource_type in ("Patient", "Practitioner"):
        ids = sorted(each.partition("/")[2] for each in references if each.startswith(f"{resource_type}/"))
        if ids:
            found = await visit.fhir.search(resource_type, {"_id": ",".join(ids)}, most=len(ids))
            names |= {f"{resource_type}/{each['id']}": person_name(each) for each in found.matches}
    return names


def _references(event: Resource) -> Iterable[str]:
    for part in (*event.get("agent", ()), *event.get("entity", ())):
        reference = (part.get("who") or part.get("what") or {}).get("reference", "")
        if reference.startswith(("Patient/", "Practitioner/")):
            yield reference


def _line(event: Resource, names: Mapping[str, str]) -> Line:
    agents = event.get("agent", [])
    nobody: Resource = {}
    person = next((each for each in agents if each.get("requestor")), nobody)
    client = next((each for each in agents if not each.get("requestor") and "network" in each), nobody)
    entities = event.get("entity", [])
    patient = next((each["what"]["reference"] for each in entities if _has_role(each, "1")), "")
    object_ = next((each["what"]["reference"] for each in entities if _has_role(each, "4")), "")
    query = next((each["query"] for each in entities if "query" in each), "")
    return Line(
        moment=event.get("recorded", ""),
        who=_who(person, names),
        role=", ".join(_roles(person)),
        what=_what(event, object_, query),
        whom=names.get(patient, patient),
        asked=unquote_plus(base64.b64decode(query).decode(errors="replace")) if query else "",
        client=_identified(client),
        address=client.get("network", {}).get("address", ""),
        refused="" if event.get("outcome", "0") == "0" else event.get("outcomeDesc", "refused"),
    )


def _has_role(entity: Resource, code: str) -> bool:
    return entity.get("role", {}).get("code") == code and "what" in entity


def _who(person: Resource, names: Mapping[str, str]) -> str:
    reference = person.get("who", {}).get("reference", "")
    return names.get(reference) or person.get("who", {}).get("display") or reference or _identified(person) or "unknown"


def _identified(agent: Resource) -> str:
    return str(agent.get("who", {}).get("identifier", {}).get("value", ""))


def _roles(person: Resource) -> Iterable[str]:
    for role in person.get("role", ()):
        code = next((str(each.get("code", "")) for each in role.get("coding", ())), "")
        yield "Program" if code == PROGRAM else ROLE_TITLES.get(code, code)


def _what(event: Resource, reference: str, query: str) -> str:
    """`read Diagnostic Report`, `searched Observation`, `signed in`."""
    code = next((str(each.get("code", "")) for each in event.get("subtype", ())), "")
    resource_type = reference.partition("/")[0]
    if code.startswith(("search", "history")) and query:
        path = base64.b64decode(query).decode(errors="replace").partition("?")[0]
        verb = "searched" if code.startswith("search") else "read the history of"
        return f"{verb} {_spaced(path.split('/')[0]) or 'everything'}"
    verb = VERBS.get(code, code or event.get("type", {}).get("display", "did something"))
    return f"{verb} {_spaced(resource_type)}".strip()


def _spaced(resource_type: str) -> str:
    """`DiagnosticReport` as people write it."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", resource_type)


routes = [page("access", access)]
nav = [NavItem("Who looked", "access", "eye", SEEING)]
