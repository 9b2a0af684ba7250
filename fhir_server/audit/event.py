"""AuditEvents in the shapes of IHE's Basic Audit Log Patterns.  https://profiles.ihe.net/ITI/BALP

An event is about one patient at most: what was shown of several is an event for each (BALP PatientQuery), so that a
patient who asks who looked reads nothing about another.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any
from uuid import uuid4

import orjson

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
IMPORT = {"system": DCM, "code": "110107", "display": "Import"}
"""The kind of what came in by a bulk load: one event for each patient of a piece."""
ACTIONS = {"110107": "C", "create": "C", "read": "R", "vread": "R", "update": "U", "patch": "U", "delete": "D"}
SUCCESS, MINOR, SERIOUS = "0", "4", "8"
LONGEST_QUERY = 4000
NOBODY = Caller("", "")


@dataclass(frozen=True, slots=True)
class Origin:
    """Who asked, from which network address, of which server (its base URL)."""

    caller: Caller
    address: str
    server: str


@dataclass(frozen=True, slots=True)
class Happening:
    """What happened: `interaction` is a code of restful-interaction, `recorded` microseconds since the epoch.

    `reference`: the resource it was about, `patient`: the id of the patient, `query`: the question as it came,
    `problem`: why it was refused (`outcome` says how grave that is).
    """

    interaction: str
    recorded: int
    reference: str | None = None
    patient: str | None = None
    query: str | None = None
    outcome: str = SUCCESS
    problem: str | None = None
    kind: Mapping[str, str] = field(default_factory=lambda: {"system": EVENT_TYPE, "code": "rest"})


def about(happening: Happening, patient: str | None) -> Happening:
    """The same as it concerns one patient."""
    return replace(happening, patient=patient)


def audit_event(origin: Origin, happening: Happening) -> tuple[str, bytes]:
    """The id and the canonical JSON of an AuditEvent."""
    event_id = str(uuid4())
    event: Document = {"resourceType": "AuditEvent", "id": event_id}
    profile = _profile(happening)
    if profile is not None:
        event["meta"] = {"profile": [PROFILE + profile]}
    event["type"] = happening.kind
    event["subtype"] = [{"system": _subtype_system(happening), "code": happening.interaction}]
    action = ACTIONS.get(happening.interaction, "E")
    event["action"] = action
    event["recorded"] = instant(happening.recorded)
    event["outcome"] = happening.outcome
    if happening.problem:
        event["outcomeDesc"] = happening.problem
    event["agent"] = _agents(origin, action)
    event["source"] = _source(origin.server)
    if entities := _entities(happening):
        event["entity"] = entities
    return event_id, wire.dumps(event)


def _profile(happening: Happening) -> str | None:
    """The pattern of BALP that a success has; what failed and what BALP does not name has none."""
    if happening.outcome != SUCCESS or happening.kind["code"] != "rest":
        return None
    name = {"vread": "Read", "patch": "Update"}.get(happening.interaction, happening.interaction.title())
    if happening.interaction.startswith("search"):
        name = "Query"
    if name not in {"Create", "Read", "Update", "Delete", "Query"}:
        return None
    return f"Patient{name}" if happening.patient else name


def _subtype_system(happening: Happening) -> str:
    return INTERACTION if happening.kind["system"] == EVENT_TYPE else DCM


@lru_cache(maxsize=2000)
def _agents(origin: Origin, action: str) -> orjson.Fragment:
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
    return wire.fragment(wire.dumps(agents))


def _person(caller: Caller, participation: str) -> Document:
    who: Document = {"identifier": {"value": caller.subject or "unknown"}}
    if caller.fhir_user:
        who = {"reference": caller.fhir_user, **who}
    person: Document = {"type": _coded(PARTICIPATION, participation), "who": who, "requestor": True}
    if caller.roles:
        person["role"] = [{"coding": [{"system": ROLE, "code": role}]} for role in sorted(caller.roles)]
    return person


@lru_cache(maxsize=16)
def _source(server: str) -> orjson.Fragment:
    source = {"observer": {"identifier": {"value": server}}, "type": [{"system": SOURCE_TYPE, "code": "4"}]}
    return wire.fragment(wire.dumps(source))


def _entities(happening: Happening) -> list[Document]:
    entities: list[Document] = []
    if happening.reference:
        what = {"reference": happening.reference}
        entities.append({"what": what, "type": _code(ENTITY_TYPE, "2"), "role": _code(OBJECT_ROLE, "4")})
    if happening.query is not None:
        query = base64.b64encode(happening.query[:LONGEST_QUERY].encode()).decode()
        entities.append({"type": _code(ENTITY_TYPE, "2"), "role": _code(OBJECT_ROLE, "24"), "query": query})
    if happening.patient:
        what = {"reference": f"Patient/{happening.patient}"}
        entities.append({"what": what, "type": _code(ENTITY_TYPE, "1"), "role": _code(OBJECT_ROLE, "1")})
    return entities


def _code(system: str, code: str) -> Document:
    return {"system": system, "code": code}


def _coded(system: str, code: str, display: str | None = None) -> Document:
    return {"coding": [_code(system, code) | ({"display": display} if display else {})]}
