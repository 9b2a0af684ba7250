"""AuditEvents in the shapes of IHE's Basic Audit Log Patterns.  https://profiles.ihe.net/ITI/BALP

An event is about one patient at most: what was shown of several is an event for each (BALP PatientQuery), so that a
patient who asks who looked reads nothing about another.
"""

import base64
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import uuid4

from fhir_server import wire
from fhir_server.caller import Caller
from fhir_server.search.dates import instant

Document = dict[str, Any]
PROFILE = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."
DCM = "http://dicom.nema.org/resources/ontology/DCM"
EVENT_TYPE = "http://terminology.hl7.org/CodeSystem/audit-event-type"
INTERACTION = "http://hl7.org/fhir/restful-interaction"
ENTITY_TYPE = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
OBJECT_ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
SOURCE_TYPE = "http://terminology.hl7.org/CodeSystem/security-source-type"
PROVIDER = {"system": "http://terminology.hl7.org/CodeSystem/v3-RoleClass", "code": "PROV"}
ROLE = "https://konsil.example/fhir/CodeSystem/role"
SOURCE, DESTINATION = ("110153", "Source Role ID"), ("110152", "Destination Role ID")
ACTIONS = {"110107": "C", "create": "C", "read": "R", "vread": "R", "update": "U", "patch": "U", "delete": "D"}
HEAD = b'{"resourceType":"AuditEvent","id":"'
SUCCESS, MINOR, SERIOUS = "0", "4", "8"
LONGEST_QUERY = 4000


@dataclass(frozen=True, slots=True)
class Origin:
    """Who asked, from which network address, of which server (its base URL)."""

    caller: Caller
    address: str
    server: str


@dataclass(frozen=True, slots=True)
class Kind:
    """AuditEvent.type."""

    system: str
    code: str
    display: str


REST = Kind(EVENT_TYPE, "rest", "RESTful Operation")
AUTHENTICATION = Kind(DCM, "110114", "User Authentication")
IMPORT = Kind(DCM, "110107", "Import")
"""What came in by a bulk load: one event for each patient of a piece."""


@dataclass(frozen=True, slots=True)
class Happening:
    """What happened: `interaction` is a code of restful-interaction, `recorded` microseconds since the epoch.

    `reference`: the resource it was about, `query`: the question as it came, `problem`: why it was refused (`outcome`
    says how grave that is).
    """

    interaction: str
    recorded: int
    reference: str | None = None
    query: str | None = None
    outcome: str = SUCCESS
    problem: str | None = None
    kind: Kind = REST


def audit_event(origin: Origin, happening: Happening, patient: str | None = None) -> tuple[str, bytes]:
    """The id and the JSON of an AuditEvent about this patient. What events have in common is rendered once."""
    event_id = str(uuid4())
    what = happening.kind, happening.interaction, happening.outcome, happening.problem
    before, after = _common(origin, what, patient is not None)
    entities = _entities(happening, patient)
    end = b',"entity":' + wire.dumps(entities) + b"}" if entities else b"}"
    return event_id, b"".join((HEAD, event_id.encode(), before, instant(happening.recorded).encode(), after, end))


@lru_cache(maxsize=5000)
def _common(origin: Origin, what: tuple[Kind, str, str, str | None], of_patient: bool) -> tuple[bytes, bytes]:
    """What stands between the id and the time, and between the time and the entities."""
    kind, interaction, outcome, problem = what
    action = ACTIONS.get(interaction, "E")
    profile = _profile(what, of_patient)
    before: Document = {"meta": {"profile": [PROFILE + profile]}} if profile is not None else {}
    before["type"] = {"system": kind.system, "code": kind.code, "display": kind.display}
    before["subtype"] = [{"system": INTERACTION if kind is REST else DCM, "code": interaction}]
    before["action"] = action
    after: Document = {"outcome": outcome}
    if problem:
        after["outcomeDesc"] = problem
    after |= {"agent": _agents(origin, action), "source": _source(origin.server)}
    return b'",' + wire.dumps(before)[1:-1] + b',"recorded":"', b'",' + wire.dumps(after)[1:-1]


def _profile(what: tuple[Kind, str, str, str | None], of_patient: bool) -> str | None:
    """The pattern of BALP that a success has; what failed and what BALP does not name has none."""
    kind, interaction, outcome, _ = what
    if outcome != SUCCESS or kind is not REST:
        return None
    name = {"vread": "Read", "patch": "Update"}.get(interaction, interaction.title())
    if interaction.startswith("search"):
        name = "Query"
    if name not in {"Create", "Read", "Update", "Delete", "Query"}:
        return None
    return f"Patient{name}" if of_patient else name


def _agents(origin: Origin, action: str) -> list[Document]:
    """Client, server, and the person with roles and organization. Data flow from the source to the destination."""
    client, server = (DESTINATION, SOURCE) if action == "R" else (SOURCE, DESTINATION)
    caller = origin.caller
    agents: list[Document] = [
        {
            "type": _coded(DCM, *client),
            "who": {"identifier": {"value": caller.client_id or "unknown"}},
            "requestor": False,
            "network": {"address": origin.address, "type": "2"},
        },
        {
            "type": _coded(DCM, *server),
            "who": {"identifier": {"value": origin.server}},
            "requestor": False,
            "network": {"address": origin.server, "type": "5"},
        },
    ]
    agents.append(_person(caller, "AUT" if action in {"C", "U", "D"} else "IRCP"))
    if caller.organization:
        who = {"reference": caller.organization}
        agents.append({"type": {"coding": [PROVIDER]}, "who": who, "requestor": False})
    return agents


def _person(caller: Caller, participation: str) -> Document:
    who: Document = {"identifier": {"value": caller.subject or "unknown"}}
    if caller.fhir_user:
        who = {"reference": caller.fhir_user, **who}
    person: Document = {"type": _coded(PARTICIPATION, participation), "who": who, "requestor": True}
    if caller.roles:
        person["role"] = [{"coding": [{"system": ROLE, "code": role}]} for role in sorted(caller.roles)]
    return person


def _source(server: str) -> Document:
    return {"observer": {"identifier": {"value": server}}, "type": [{"system": SOURCE_TYPE, "code": "4"}]}


def _entities(happening: Happening, patient: str | None) -> list[Document]:
    entities: list[Document] = []
    if happening.reference:
        what = {"reference": happening.reference}
        entities.append({"what": what, "type": _code(ENTITY_TYPE, "2"), "role": _code(OBJECT_ROLE, "4")})
    if happening.query is not None:
        query = base64.b64encode(happening.query[:LONGEST_QUERY].encode()).decode()
        entities.append({"type": _code(ENTITY_TYPE, "2"), "role": _code(OBJECT_ROLE, "24"), "query": query})
    if patient:
        what = {"reference": f"Patient/{patient}"}
        entities.append({"what": what, "type": _code(ENTITY_TYPE, "1"), "role": _code(OBJECT_ROLE, "1")})
    return entities


def _code(system: str, code: str) -> Document:
    return {"system": system, "code": code}


def _coded(system: str, code: str, display: str | None = None) -> Document:
    return {"coding": [_code(system, code) | ({"display": display} if display else {})]}
