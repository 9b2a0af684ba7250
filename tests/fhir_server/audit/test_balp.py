"""Events that claim a pattern of IHE BALP meet its constraints.  https://profiles.ihe.net/ITI/BALP

The guide's package is in no registry that this project installs from: its constraints stand here as the profiles'
differentials state them (version 1.1.3), each named by its element.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest

from fhir_server.audit.event import PROFILE
from fhir_server.caller import Caller
from tests.fhir_server.audit.conftest import Event, listed
from tests.fhir_server.node import Server

pytestmark = pytest.mark.anyio
DCM = "http://dicom.nema.org/resources/ontology/DCM"
SOURCE, DESTINATION, APPLICATION = f"{DCM}|110153", f"{DCM}|110152", f"{DCM}|110150"
CUSTODIAN = "http://terminology.hl7.org/CodeSystem/provenance-participant-type|custodian"
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType|"
RECIPIENT, DATA_SOURCES = {f"{PARTICIPATION}IRCP"}, {f"{PARTICIPATION}{code}" for code in ("AUT", "INF", "CST")}
USERS = RECIPIENT | DATA_SOURCES
ENTITY, ROLE = (
    "http://terminology.hl7.org/CodeSystem/audit-entity-type|",
    "http://terminology.hl7.org/CodeSystem/object-role|",
)
NOTHING_ELSE = {"role", "altId", "name", "location", "policy", "media", "purposeOfUse"}


class Pattern(NamedTuple):
    """What differs between the patterns."""

    subtypes: set[str]
    action: str
    client: str
    server: str
    user: set[str]


PATTERNS = {
    "Create": Pattern({"create"}, "C", SOURCE, DESTINATION, DATA_SOURCES),
    "Read": Pattern({"read", "vread"}, "R", DESTINATION, SOURCE, RECIPIENT),
    "Update": Pattern({"update", "patch"}, "U", SOURCE, DESTINATION, DATA_SOURCES),
    "Delete": Pattern({"delete"}, "D", APPLICATION, CUSTODIAN, DATA_SOURCES),
    "Query": Pattern({"search", "search-type", "search-system"}, "E", SOURCE, DESTINATION, RECIPIENT),
}
PARTS = {f"{whose}{name}" for whose in ("", "Patient") for name in PATTERNS}


def coded(concept: Any) -> set[str]:
    """The codings of a Coding or CodeableConcept as system|code."""
    return {f"{each['system']}|{each['code']}" for each in (concept or {}).get("coding", [concept] if concept else [])}


def sliced(event: Event, name: str, codes: set[str]) -> list[Event]:
    """The members of a slice, told apart by the pattern of `type`."""
    return [each for each in event.get(name, ()) if coded(each.get("type")) & codes]


def violations(event: Event) -> Iterator[str]:
    """The elements of the pattern that the event claims and does not meet."""
    name = event["meta"]["profile"][0].removeprefix(PROFILE)
    pattern = PATTERNS[name.removeprefix("Patient")]
    subtypes = {f"http://hl7.org/fhir/restful-interaction|{code}" for code in pattern.subtypes}
    stated = {
        "type": coded(event["type"]) == {"http://terminology.hl7.org/CodeSystem/audit-event-type|rest"},
        "subtype": any(coded(each) & subtypes for each in event.get("subtype", ())),
        "action": event.get("action") == pattern.action,
        "recorded": "recorded" in event,
        "outcome": event.get("outcome") == "0",
        "source": "observer" in event.get("source", {}),
    }
    yield from (element for element, met in stated.items() if not met)
    yield from _agents(event, pattern)
    yield from _entities(event, name)


def _agents(event: Event, pattern: Pattern) -> Iterator[str]:
    unwanted = NOTHING_ELSE if pattern.action == "D" else {"media"}
    for slice_, code in (("client", pattern.client), ("server", pattern.server)):
        found = sliced(event, "agent", {code})
        if len(found) != 1 or not {"who", "network"} <= found[0].keys() or found[0].keys() & unwanted:
            yield f"agent[{slice_}]"
    for user in sliced(event, "agent", USERS):
        if not coded(user["type"]) <= pattern.user or "who" not in user or user.get("requestor") is not True:
            yield "agent[user]"
        if user.keys() & {"media", "network"}:
            yield "agent[user].network"
    if len(sliced(event, "agent", USERS)) > 1:
        yield "agent[user] 0..1"


def _entities(event: Event, name: str) -> Iterator[str]:
    data = sliced(event, "entity", {f"{ENTITY}2"})
    if name.endswith("Query"):
        roles, needed, unwanted = {f"{ROLE}24"}, "query", {"what", "lifecycle", "detail"}
    else:
        roles, needed, unwanted = {f"{ROLE}{code}" for code in ("3", "4", "20")}, "what", set()
    if len(data) != 1 or not coded(data[0].get("role")) <= roles or needed not in data[0] or data[0].keys() & unwanted:
        yield f"entity[{'query' if needed == 'query' else 'data'}]"
    if name.startswith("Patient"):
        patients = sliced(event, "entity", {f"{ENTITY}1"})
        whose = [each.get("what", {}).get("reference", "") for each in patients if coded(each["role"]) == {f"{ROLE}1"}]
        if len(patients) != 1 or not whose or not whose[0].startswith("Patient/"):
            yield "entity[patient]"


async def every_interaction(http: httpx.AsyncClient, path: str, resource: dict[str, Any]) -> None:
    for changed in ({}, {"language": "de"}):
        assert (await http.put(path, json=resource | changed)).is_success
    patch = [{"op": "replace", "path": "/language", "value": "fr"}]
    headers = {"Content-Type": "application/json-patch+json"}
    assert (await http.patch(path, json=patch, headers=headers)).is_success
    for address in (path, f"{path}/_history/1", f"/{resource['resourceType']}?_id={resource['id']}", "/?_id=balp"):
        await http.get(address)
    assert (await http.delete(path)).is_success


@pytest.mark.spec("IHE BALP 3:5.7.3")
async def test_every_event_meets_the_pattern_that_it_claims(audited: Server, http: httpx.AsyncClient) -> None:
    program = Caller("engine", "engine", None, frozenset({"administrator"}), "Organization/x", ("system/*.cruds",))
    async with audited.client(program) as engine:
        for client, own in ((http, "balp"), (engine, "balp-engine")):
            for resource_type in ("Patient", "Organization"):
                resource = {"resourceType": resource_type, "id": own}
                if resource_type == "Organization":
                    resource["name"] = "Here"
                await every_interaction(client, f"/{resource_type}/{own}", resource)
    events = [event for event in await listed(http) if "profile" in event["meta"]]
    assert {event["meta"]["profile"][0].removeprefix(PROFILE) for event in events} == PARTS
    broken = {(event["meta"]["profile"][0].rpartition(".")[2], *violations(event)) for event in events}
    assert {each for each in broken if len(each) > 1} == set()
    for element in ("agent", "entity", "action", "outcome"):
        assert list(violations({**events[0], element: []})), element
