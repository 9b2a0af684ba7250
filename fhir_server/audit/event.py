"""AuditEvents in the shapes of IHE's Basic Audit Log Patterns.  https://profiles.ihe.net/ITI/BALP

An event is about one patient at most: what was shown of several is an event for each (BALP PatientQuery), so that a
patient who asks who looked reads nothing about another.
"""

import base64
from functools import lru_cache
from typing import Any, Literal, NamedTuple
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
LIFECYCLE = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle"
ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
SOURCE_TYPE = "http://terminology.hl7.org/CodeSystem/security-source-type"
PROVIDER = {"system": "http://terminology.hl7.org/CodeSystem/v3-RoleClass", "code": "PROV"}
ROLE = "https://konsil.example/fhir/CodeSystem/role"
SOURCE, DESTINATION = (DCM, "110153", "Source Role ID"), (DCM, "110152", "Destination Role ID")
APPLICATION = DCM, "110150", "Application"
CUSTODIAN = "http://terminology.hl7.org/CodeSystem/provenance-participant-type", "custodian", "Custodian"
ACTIONS = {
    "110107": "C",
    "110106": "R",
    "create": "C",
    "read": "R",
    "vread": "R",
    "update": "U",
    "patch": "U",
    "delete": "D",
    "destroy": "D",
}
HEAD = b'{"resourceType":"AuditEvent","id":"'
SUCCESS, MINOR, SERIOUS = "0", "4", "8"
LONGEST_QUERY = 4000


About = Literal["nobody", "patient", "emergency"]
"""Whether an event is about a patient, and about one whose record was opened in an emergency."""


class Origin(NamedTuple):
    """Who asked, from which network address, of which server (its base URL); `emergencies`: the patients whose record
    is open to the caller in an emergency.
    """

    caller: Caller
    address: str
    server: str
    emergencies: frozenset[str] = frozenset()

    def about(self, patient: str | None) -> About:
        """What an event of this patient is about."""
        if patient is None:
            return "nobody"
        return "emergency" if patient in self.emergencies else "patient"


class Kind(NamedTuple):
    """AuditEvent.type."""

    system: str
    code: str
    display: str


Said = tuple[Kind, str, str, str | None]
"""Kind, interaction, outcome, problem."""
REST = Kind(EVENT_TYPE, "rest", "RESTful Operation")
AUTHENTICATION = Kind(DCM, "110114", "User Authentication")
SECURITY = Kind(DCM, "110113", "Security Alert")
"""What was changed of clients, tenants, accounts and keys; `outcomeDesc` says what."""
CONFIGURATION_CHANGED, ATTRIBUTES_CHANGED = "110129", "110137"
EMERGENCY_STARTED, EMERGENCY_STOPPED = "110127", "110138"
IMPORT = Kind(DCM, "110107", "Import")
"""What came in by a bulk load: one event for each patient of a piece."""
EXPORT = Kind(DCM, "110106", "Export")
"""What went out as a file: one event for each patient in it."""
DESTROY = Kind(LIFECYCLE, "destroy", "Destroy/Delete Record Lifecycle Event")


class Happening(NamedTuple):
    """What happened: `interaction` is a code of restful-interaction, `recorded` microseconds since the epoch.

    `reference`: the resource it was about, `query`: the question as it came, `problem`: why it was refused (`outcome`
    says how grave that is). `thing`: what of the server's own was changed, `details`: how, by member.
    """

    interaction: str
    recorded: int
    reference: str | None = None
    query: str | None = None
    outcome: str = SUCCESS
    problem: str | None = None
    kind: Kind = REST
    thing: str | None = None
    details: tuple[tuple[str, str], ...] = ()


def audit_event(origin: Origin, happening: Happening, patient: str | None = None) -> tuple[str, bytes]:
    """The id and the JSON of an AuditEvent about this patient. What events have in common is rendered once."""
    event_id = str(uuid4())
    before, after = _rendered(origin, said_of(happening), origin.about(patient))
    query = None if happening.query is None else happening.query[:LONGEST_QUERY]
    listed = [*entities(happening.reference, query, patient), *configured(happening)]
    end = b',"entity":' + wire.dumps(listed) + b"}" if listed else b"}"
    return event_id, b"".join((HEAD, event_id.encode(), before, instant(happening.recorded).encode(), after, end))


def said_of(happening: Happening) -> Said:
    """What events of the same kind have in common."""
    return happening.kind, happening.interaction, happening.outcome, happening.problem


@lru_cache(maxsize=5000)
def _rendered(origin: Origin, what: Said, about: About) -> tuple[bytes, bytes]:
    """What stands between the id and the time, and between the time and the entities."""
    before, after = common(origin, what, about)
    return b'",' + wire.dumps(before)[1:-1] + b',"recorded":"', b'",' + wire.dumps(after)[1:-1]


def common(origin: Origin, what: Said, about: About) -> tuple[Document, Document]:
    """The elements before `recorded` and those after it, but for the entities."""
    kind, interaction, outcome, problem = what
    action = ACTIONS.get(interaction, "E")
    profile = _profile(what, about != "nobody")
    before: Document = {"meta": {"profile": [PROFILE + profile]}} if profile is not None else {}
    before["type"] = {"system": kind.system, "code": kind.code, "display": kind.display}
    if kind is not DESTROY:
        before["subtype"] = [{"system": INTERACTION if kind is REST else DCM, "code": interaction}]
    before["action"] = action
    after: Document = {"outcome": outcome}
    if problem:
        after["outcomeDesc"] = problem
    if about == "emergency":
        after["purposeOfEvent"] = [_coded(ACT_REASON, "BTG", "break the glass")]
    after |= {"agent": _agents(origin, action), "source": _source(origin.server)}
    return before, after


def _profile(what: Said, of_patient: bool) -> str | None:
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
    """Client, server, and the person with roles and organization. Data flow from the source to the destination; where
    something is deleted none do.  BALP IHE.BasicAudit.Delete
    """
    client, server = {"R": (DESTINATION, SOURCE), "D": (APPLICATION, CUSTODIAN)}.get(action, (SOURCE, DESTINATION))
    caller = origin.caller
    agents: list[Document] = [
        {
            "type": _coded(*client),
            "who": {"identifier": {"value": caller.client_id or "unknown"}},
            "requestor": False,
            "network": {"address": origin.address, "type": "2"},
        },
        {
            "type": _coded(*server),
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


def entities(reference: str | None, query: str | None, patient: str | None) -> list[Document]:
    """AuditEvent.entity: the resource, the question, the patient."""
    found: list[Document] = []
    if reference:
        found.append(
            {"what": {"reference": reference}, "type": _code(ENTITY_TYPE, "2"), "role": _code(OBJECT_ROLE, "4")}
        )
    if query is not None:
        kept = base64.b64encode(query.encode()).decode()
        found.append({"type": _code(ENTITY_TYPE, "2"), "role": _code(OBJECT_ROLE, "24"), "query": kept})
    if patient:
        what = {"reference": f"Patient/{patient}"}
        found.append({"what": what, "type": _code(ENTITY_TYPE, "1"), "role": _code(OBJECT_ROLE, "1")})
    return found


def configured(happening: Happening) -> list[Document]:
    """AuditEvent.entity of something of the server's own: `name` finds it.  DICOM PS3.15 A.5.3.10, object role 13"""
    if happening.thing is None:
        return []
    thing = {"type": _code(ENTITY_TYPE, "2"), "role": _code(OBJECT_ROLE, "13"), "name": happening.thing}
    details = [{"type": name, "valueString": text} for name, text in happening.details]
    return [thing | ({"detail": details} if details else {})]


def _code(system: str, code: str) -> Document:
    return {"system": system, "code": code}


def _coded(system: str, code: str, display: str | None = None) -> Document:
    return {"coding": [_code(system, code) | ({"display": display} if display else {})]}
