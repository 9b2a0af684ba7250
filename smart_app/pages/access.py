"""`/l/{launch}/access`: who saw this patient, and what did this person see, for privacy officers."""

import base64
import csv
import io
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import unquote_plus

from starlette.responses import Response

from smart_app.errors import NotFound
from smart_app.fhir import Resource
from smart_app.launches import ROLE_TITLES
from smart_app.unusual import marks
from smart_app.visit import NavItem, Visit, page
from smart_app.words import Clock, person_name

SEEING = ("privacy-officer", "administrator")
PERIODS = {"1": "Last day", "7": "Last week", "30": "Last month", "365": "Last year", "": "All time"}
BY = {"": "People", "all": "People and programs"}
KINDS = {
    "": "Everything",
    "seen": "Seen",
    "imaging": "Imaging",
    "written": "Written",
    "exports": "Taken as a file",
    "refused": "Refused",
    "sign-ins": "Sign-ins",
}
NARROWED = {
    "seen": {"type": "rest,110103,110104,110106", "action": "R,E", "outcome": "0"},
    "exports": {"type": "110106"},
    "imaging": {"type": "110102,110103,110104,110112,110113"},
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
    "110106": "took as a file",
}
IMAGING = {
    ("110102", "E"): "begins to receive",
    ("110103", "R"): "looked at",
    ("110103", "U"): "decided whose they are:",
    ("110104", "C"): "sent us",
    ("110104", "R"): "received",
    ("110112", "E"): "asked for",
    ("110113", "E"): "was refused at the door of",
}
"""What the gateway tells: type and action, of imaging."""
UNUSUAL, WITHOUT_CASE = "1", "no-case"
WHICH = {"": "All", UNUSUAL: "Only unusual ones", WITHOUT_CASE: "Without a case"}
PROGRAM = "system"
PEOPLE = ("Practitioner", "RelatedPerson")
NAMED = ("Patient/", "Practitioner/", "RelatedPerson/")
AT_ONCE = 50
MOST_NAMED = 20
MOST_PAGES, MOST_IN_A_FILE = 30, 5000
COLUMNS = ("When", "Who", "Role", "Did what", "Of whom", "Asked", "Program", "Address", "Refused", "Unusual")


@dataclass(frozen=True, slots=True)
class Line:
    """One event in words. `whom` is the patient's name, `asked` the question of a search, `refused` why it failed.

    `unusual`: in what.
    """

    moment: str
    who: str
    role: str
    what: str
    whom: str
    asked: str
    client: str
    address: str
    refused: str
    unusual: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the form asks for."""

    patient: str
    person: str
    days: str
    kind: str
    by: str
    unusual: str

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "Asked":
        """The form's fields; a month of everything when nothing was chosen."""
        days, kind, by = query.get("days", "30"), query.get("kind", ""), query.get("by", "")
        unusual = query.get("unusual", "")
        return cls(
            query.get("patient", "").strip()[:100],
            query.get("person", "").strip()[:100],
            days if days in PERIODS else "30",
            kind if kind in KINDS else "",
            by if by in BY else "",
            unusual if unusual in WHICH else "",
        )

    @property
    def fields(self) -> dict[str, str]:
        """The form as an address holds it."""
        chosen = {"patient": self.patient, "person": self.person, "days": self.days, "kind": self.kind, "by": self.by}
        return chosen | ({"unusual": self.unusual} if self.unusual else {})


async def access(visit: Visit) -> Response:
    """The newest events that fit, in pages."""
    visit.require(*SEEING)
    query = visit.request.query_params
    asked = Asked.of(query)
    patients = await _named(visit, "Patient", asked.patient)
    people = await _people(visit, asked.person)
    lines: list[Line] = []
    following = None
    if (patients or not asked.patient) and (people or not asked.person):
        parameters = _parameters(visit, asked, patients, people)
        cursor = {"_cursor": query["cursor"]} if "cursor" in query else {}
        look = Look(parameters | cursor, AT_ONCE, unusual=asked.unusual)
        lines, following = await _gathered(visit, look)
    values = {"asked": asked, "lines": lines, "following": following, "paged": "cursor" in query}
    choices = {"periods": PERIODS, "kinds": KINDS, "by": BY, "which": WHICH}
    return visit.render("access.html", patients=patients, people=people, **choices, **values)


@dataclass(frozen=True, slots=True)
class Look:
    """A search for events: its parameters, how many lines are enough, which ones, and whether they leave as a file."""

    parameters: dict[str, str]
    enough: int
    unusual: str = ""
    taken: bool = False


async def _gathered(visit: Visit, look: Look) -> tuple[list[Line], str | None]:
    """Lines, over as many pages of the search as that takes; and where to go on."""
    lines: list[Line] = []
    parameters = dict(look.parameters)
    for _ in range(MOST_PAGES):
        events, following = await visit.fhir.page("AuditEvent", parameters, taken=look.taken)
        if look.unusual == WITHOUT_CASE:
            events = await _without_case(visit, events)
        lines += [line for line in await _lines(visit, events) if line.unusual or look.unusual != UNUSUAL]
        if following is None or len(lines) >= look.enough:
            return lines, following
        parameters["_cursor"] = following
    return lines, following


async def _without_case(visit: Visit, events: list[Resource]) -> list[Resource]:
    """Those of clinicians who are on no case of the patient; the server knows, a privacy officer reads no cases."""
    if not events:
        return []
    said = {"event": ",".join(each["id"] for each in events)}
    answer = await visit.fhir.operate("AuditEvent/$without-case", said)
    found = {each["valueId"] for each in answer.get("parameter", ())}
    return [each for each in events if each["id"] in found]


async def as_file(visit: Visit) -> Response:
    """The events that the form asks for, as CSV (RFC 4180), the newest of them; the audit says that they were taken."""
    visit.require(*SEEING)
    asked = Asked.of(visit.request.query_params)
    patients = await _named(visit, "Patient", asked.patient)
    people = await _people(visit, asked.person)
    if (asked.patient and not patients) or (asked.person and not people):
        raise NotFound("Nobody has this name or number.")
    parameters = _parameters(visit, asked, patients, people) | {"_count": "200"}
    lines, following = await _gathered(visit, Look(parameters, MOST_IN_A_FILE, unusual=asked.unusual, taken=True))
    rows = [COLUMNS, *(_row(line) for line in lines[:MOST_IN_A_FILE])]
    if following is not None:
        rows.append(("There is more: ask for a shorter time.",))
    written = io.StringIO()
    csv.writer(written).writerows([[_plain(cell) for cell in row] for row in rows])
    headers = {"content-disposition": 'attachment; filename="who-looked.csv"', "cache-control": "no-store"}
    return Response("\ufeff" + written.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


def _row(line: Line) -> tuple[str, ...]:
    unusual = "; ".join(line.unusual)
    what = line.moment, line.who, line.role, line.what, line.whom, line.asked
    return (*what, line.client, line.address, line.refused, unusual)


def _plain(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


async def _named(visit: Visit, resource_type: str, text: str) -> list[Resource]:
    """Who has this name or number; nobody was asked for when it is empty."""
    if not text:
        return []
    by = {"identifier": text} if re.search(r"\d", text) else {"name": text}
    return (await visit.fhir.search(resource_type, by, most=MOST_NAMED)).matches


async def _people(visit: Visit, text: str) -> list[Resource]:
    """Who of those that may have looked has this name or number: clinicians, and who acts for a patient."""
    return [person for kind in PEOPLE for person in await _named(visit, kind, text)]


def _parameters(visit: Visit, asked: Asked, patients: list[Resource], people: list[Resource]) -> dict[str, str]:
    parameters = {"_sort": "-date", "_count": str(AT_ONCE), "_total": "none"} | NARROWED.get(asked.kind, {})
    if patients:
        parameters["patient"] = ",".join(f"Patient/{each['id']}" for each in patients)
    if people:
        parameters["agent"] = ",".join(f"{each['resourceType']}/{each['id']}" for each in people)
    if not asked.by:
        parameters["agent-role:not"] = PROGRAM
    if asked.days:
        since = Clock(visit.services.settings.time_zone).now().date() - timedelta(days=int(asked.days))
        parameters["date"] = f"ge{since.isoformat()}"
    return parameters


async def _lines(visit: Visit, events: list[Resource]) -> list[Line]:
    names, families = await _names(visit, {reference for event in events for reference in _references(event)})
    clock = Clock(visit.services.settings.time_zone)
    return [_line(event, names, marks(event, families, clock)) for event in events]


async def _names(visit: Visit, references: Collection[str]) -> tuple[dict[str, str], dict[str, str]]:
    """The names of patients, practitioners and proxies, by reference, and their family names."""
    names: dict[str, str] = {}
    families: dict[str, str] = {}
    for resource_type in ("Patient", *PEOPLE):
        ids = sorted(each.partition("/")[2] for each in references if each.startswith(f"{resource_type}/"))
        if ids:
            found = await visit.fhir.search(resource_type, {"_id": ",".join(ids)}, most=len(ids))
            names |= {f"{resource_type}/{each['id']}": person_name(each) for each in found.matches}
            families |= {f"{resource_type}/{each['id']}": _family(each) for each in found.matches}
    return names, families


def _family(resource: Resource) -> str:
    return next((str(name["family"]) for name in resource.get("name", ()) if name.get("family")), "")


def _references(event: Resource) -> Iterable[str]:
    for part in (*event.get("agent", ()), *event.get("entity", ())):
        reference = (part.get("who") or part.get("what") or {}).get("reference", "")
        if reference.startswith(NAMED):
            yield reference


def _line(event: Resource, names: Mapping[str, str], unusual: tuple[str, ...]) -> Line:
    agents = event.get("agent", [])
    nobody: Resource = {}
    person = requestor_of(event)
    client = next((each for each in agents if not each.get("requestor") and "network" in each), nobody)
    entities = event.get("entity", [])
    patient = next((_named_in(each) for each in entities if _has_role(each, "1")), "")
    object_ = next((_named_in(each) for each in entities if _has_role(each, "4")), "")
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
        unusual=unusual,
    )


def requestor_of(event: Resource) -> Resource:
    """The agent who asked; empty when none is named."""
    return next((dict(each) for each in event.get("agent", []) if each.get("requestor")), {})


def code_of(concept: Resource) -> str:
    """The first code of a CodeableConcept."""
    return next((str(each.get("code", "")) for each in concept.get("coding", ())), "")


def _has_role(entity: Resource, code: str) -> bool:
    return entity.get("role", {}).get("code") == code and "what" in entity


def _named_in(entity: Resource) -> str:
    return str(entity["what"].get("reference", ""))


def _who(person: Resource, names: Mapping[str, str]) -> str:
    reference = person.get("who", {}).get("reference", "")
    return names.get(reference) or person.get("who", {}).get("display") or reference or _identified(person) or "unknown"


def _identified(agent: Resource) -> str:
    return str(agent.get("who", {}).get("identifier", {}).get("value", ""))


def _roles(person: Resource) -> Iterable[str]:
    for role in person.get("role", ()):
        code = code_of(role)
        yield "Program" if code == PROGRAM else ROLE_TITLES.get(code, code)


def _what(event: Resource, reference: str, query: str) -> str:
    """`read Diagnostic Report`, `searched Observation`, `signed in`."""
    told = IMAGING.get((event.get("type", {}).get("code", ""), event.get("action", "")))
    if told:
        return f"{told} imaging"
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


routes = [page("access", access), page("access.csv", as_file)]
nav = [NavItem("Who looked", "access", "eye", SEEING)]
