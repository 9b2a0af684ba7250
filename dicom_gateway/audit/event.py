"""AuditEvents of what happened to imaging.  DICOM PS3.15 A.5.3, R4 auditevent.html, IHE BALP

The patient is named by reference alone, a study by reference and UID; no name, no attribute of an object, no pixel.
"""

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

Resource = dict[str, Any]
Payload = Mapping[str, Any]
DCM = "http://dicom.nema.org/resources/ontology/DCM"
ENTITY_TYPE = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
OBJECT_ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
SOURCE_TYPE = "http://terminology.hl7.org/CodeSystem/security-source-type"
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
ROLE = "https://konsil.example/fhir/CodeSystem/role"
TITLES = {
    "110102": "Begin Transferring DICOM Instances",
    "110103": "DICOM Instances Accessed",
    "110104": "DICOM Instances Transferred",
    "110107": "Import",
    "110112": "Query",
    "110113": "Security Alert",
    "110126": "Node Authentication",
    "110137": "User Security Attributes Changed",
}
PARTS = {"source": ("110153", "Source Role ID"), "destination": ("110152", "Destination Role ID")}
LONGEST_QUERY = 4000


def audit_event(payload: Payload, event_id: str, about: tuple[str, Sequence[Resource]], server: str) -> Resource:
    """One event about one patient at most: `about` is the patient's reference and the entities of the studies."""
    patient, studies = about
    event: Resource = {
        "resourceType": "AuditEvent",
        "id": event_id,
        "type": coding(DCM, payload["code"], TITLES[payload["code"]]),
        "action": payload["action"],
        "recorded": datetime.fromtimestamp(payload["at"], UTC).isoformat(timespec="milliseconds"),
        "outcome": payload["outcome"],
        "agent": [agent(each) for each in payload["agents"]],
        "source": {"observer": {"identifier": {"value": server}}, "type": [coding(SOURCE_TYPE, "4")]},
    }
    if payload["subtype"]:
        event["subtype"] = [coding(DCM, payload["subtype"], TITLES[payload["subtype"]])]
    if payload["problem"]:
        event["outcomeDesc"] = payload["problem"]
    entities = [*studies, *others(payload, patient)]
    return event | ({"entity": entities} if entities else {})


def coding(system: str, code: str, display: str = "") -> Resource:
    """A Coding."""
    return {"system": system, "code": code} | ({"display": display} if display else {})


def agent(each: Payload) -> Resource:
    """A participant: people by reference, application entities by AE title and address.  PS3.15 A.5.3.7"""
    who: Resource = {"identifier": {"value": each["identifier"] or "unknown"}}
    if each["reference"]:
        who["reference"] = each["reference"]
    if each["title"]:
        who["display"] = each["title"]
    recipient = coding(PARTICIPATION, "IRCP", "information recipient")
    kind = coding(DCM, *PARTS[each["part"]]) if each["part"] else recipient
    made: Resource = {"type": {"coding": [kind]}, "who": who, "requestor": each["asked"]}
    if each["roles"]:
        made["role"] = [{"coding": [coding(ROLE, role)]} for role in each["roles"]]
    if each["ae_title"]:
        made["altId"] = each["ae_title"]
    if each["address"]:
        made["network"] = {"address": each["address"], "type": "2"}
    return made


def study_entity(uid: str, reference: str, instances: int | None) -> Resource:
    """A study: by its resource if there is one, always by its UID.  PS3.15 Table A.5.3.7-1"""
    what: Resource = {"identifier": {"system": "urn:dicom:uid", "value": f"urn:oid:{uid}"}}
    if reference:
        what["reference"] = reference
    made: Resource = {"what": what, "type": coding(ENTITY_TYPE, "2"), "role": coding(OBJECT_ROLE, "3")}
    if instances is not None:
        made["detail"] = [{"type": "NumberOfInstances", "valueString": str(instances)}]
    return made


def others(payload: Payload, patient: str) -> list[Resource]:
    """The case, the question, the patient, and what was changed of the gateway itself."""
    found: list[Resource] = []
    if payload["case"]:
        what = {"reference": payload["case"]}
        found.append({"what": what, "type": coding(ENTITY_TYPE, "2"), "role": coding(OBJECT_ROLE, "20")})
    if payload["query"]:
        kept = base64.b64encode(payload["query"][:LONGEST_QUERY].encode()).decode()
        found.append({"type": coding(ENTITY_TYPE, "2"), "role": coding(OBJECT_ROLE, "24"), "query": kept})
    if patient:
        what = {"reference": patient}
        found.append({"what": what, "type": coding(ENTITY_TYPE, "1"), "role": coding(OBJECT_ROLE, "1")})
    if payload.get("thing"):
        found.append(changed_entity(payload["thing"], payload["details"]))
    return found


def changed_entity(thing: str, details: Sequence[Sequence[str]]) -> Resource:
    """Something of the gateway's own, and what was changed of it.  PS3.15 A.5.3.10, object role 13"""
    made: Resource = {"type": coding(ENTITY_TYPE, "2"), "role": coding(OBJECT_ROLE, "13"), "name": thing}
    return made | ({"detail": [{"type": name, "valueString": text} for name, text in details]} if details else {})
