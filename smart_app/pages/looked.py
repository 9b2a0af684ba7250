"""`/l/{launch}/looked`: who looked at my record, by day, in plain sentences, for patients and who acts for them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from starlette.responses import Response

from smart_app.banner import banner_of
from smart_app.fhir import Resource
from smart_app.launches import ROLE_TITLES
from smart_app.pages.access import PROGRAM, code_of, requestor_of
from smart_app.pages.my import IN_PERSON, is_proxy, patient_of
from smart_app.visit import NavItem, Visit, page
from smart_app.words import person_name

AT_ONCE = 100
KINDS = ("Practitioner", "RelatedPerson", "Organization")
THINGS = {
    "AllergyIntolerance": "an allergy",
    "Appointment": "an appointment",
    "AuditEvent": "who looked",
    "Communication": "a message",
    "Condition": "a problem",
    "Consent": "a release",
    "DiagnosticReport": "a report",
    "DocumentReference": "a document",
    "Encounter": "a visit",
    "ImagingStudy": "images",
    "Immunization": "a vaccination",
    "MedicationRequest": "a medicine",
    "Observation": "a finding",
    "Patient": "name and birth date",
    "Procedure": "a procedure",
    "Provenance": "where something came from",
    "QuestionnaireResponse": "answers to questions",
    "RelatedPerson": "who acts for the patient",
    "ServiceRequest": "the request",
    "Specimen": "a specimen",
    "Task": "the state of a case",
}
DEEDS = {
    ("110102", "E"): "begins to receive images",
    ("110103", "R"): "looked at images",
    ("110103", "U"): "decided whose images these are",
    ("110104", "C"): "sent us images",
    ("110104", "R"): "received images",
    ("110106", "E"): "took a file of the record",
    ("110106", "R"): "took a file of the record",
    ("110112", "E"): "searched for images",
    ("110114", "E"): "signed in or out",
}
"""What is no FHIR interaction, by the event's type and action.  DICOM PS3.15 A.5.3"""
VERBS = {"C": "wrote", "R": "read", "U": "changed", "D": "deleted", "E": "looked through"}
WHY = {
    "requester": "treats the patient",
    "consultant": "gives the second opinion",
    "radiologist": "reads the images again",
    "him": "keeps the records in order",
    "coordinator": "organizes the case",
    "programme-manager": "sees that cases are on time",
    "privacy-officer": "checks who looks",
    "administrator": "keeps the system running",
    "patient": "the patient",
    "proxy": "acts for the patient",
}
EMERGENCY = "BTG"


@dataclass(frozen=True, slots=True)
class Look:
    """What somebody did on a day, in words; `times`: how often, `moment`: last time."""

    day: str
    who: str
    role: str
    organization: str
    did: str
    why: str
    refused: bool
    moment: str
    times: int = 1


async def looked(visit: Visit) -> Response:
    """A page of events, the newest first, alike ones of a day in one sentence."""
    visit.require(*IN_PERSON)
    patient, query = await patient_of(visit), visit.request.query_params
    person = query.get("person", "")[:100]
    parameters = {"patient": f"Patient/{patient['id']}", "_sort": "-date", "_count": str(AT_ONCE), "_total": "none"}
    parameters["agent-role:not"] = PROGRAM
    parameters |= {"agent": person} if person.partition("/")[0] in (*KINDS, "Patient") else {}
    parameters |= {"_cursor": query["cursor"]} if "cursor" in query else {}
    events, following = await visit.fhir.page("AuditEvent", parameters)
    names = await _names(visit, events) | {f"Patient/{patient['id']}": person_name(patient)}
    days = [(day, list(each)) for day, each in groupby(looks_of(events, names), lambda look: look.day)]
    seen = {_person(event) for event in events} & names.keys()
    people = sorted(((each, names[each]) for each in seen), key=lambda each: each[1])
    values = {"days": days, "people": people, "person": person, "following": following, "paged": "cursor" in query}
    return visit.render("looked.html", banner=banner_of(patient), proxy=is_proxy(visit), **values)


def looks_of(events: Iterable[Resource], names: Mapping[str, str]) -> Sequence[Look]:
    """Events in words; what the same person did of the same kind on the same day is said once."""
    found: dict[tuple[str, ...], Look] = {}
    for event in events:
        look = _look(event, names)
        key = look.day, look.who, look.role, look.did, look.why, str(look.refused)
        former = found.get(key)
        found[key] = look if former is None else _again(former)
    return list(found.values())


def _again(look: Look) -> Look:
    named = (look.day, look.who, look.role, look.organization, look.did, look.why, look.refused, look.moment)
    return Look(*named, times=look.times + 1)


def _look(event: Resource, names: Mapping[str, str]) -> Look:
    person = requestor_of(event)
    roles = [code_of(each) for each in person.get("role", [])]
    organization = next((each for each in _who(event) if each.startswith("Organization/")), "")
    purposes = [*event.get("purposeOfEvent", []), *person.get("purposeOfUse", [])]
    emergency = EMERGENCY in {code_of(each) for each in purposes}
    return Look(
        day=event.get("recorded", "")[:10],
        who=names.get(_person(event), "") or "Somebody without a name here",
        role=", ".join(ROLE_TITLES.get(role, role) for role in roles),
        organization=names.get(organization, ""),
        did=_did(event),
        why="in an emergency" if emergency else next((WHY[role] for role in roles if role in WHY), ""),
        refused=event.get("outcome", "0") != "0",
        moment=event.get("recorded", ""),
    )


def _did(event: Resource) -> str:
    """`read a report`, `looked through the record`."""
    kind = str(event.get("type", {}).get("code"))
    if (kind, event.get("action", "")) in DEEDS:
        return DEEDS[kind, event["action"]]
    if kind != "rest":
        return str(event.get("outcomeDesc") or event.get("type", {}).get("display") or "did something")
    references = [each["what"].get("reference", "") for each in event.get("entity", []) if "what" in each]
    kinds = [each.partition("/")[0] for each in references]
    thing = next((THINGS[kind] for kind in kinds if kind in THINGS and kind != "Patient"), "")
    if not thing:
        thing = THINGS["Patient"] if event.get("action") in {"R", "U", "C"} else "the record"
    return f"{VERBS.get(event.get('action', ''), 'used')} {thing}"


def _person(event: Resource) -> str:
    return str(requestor_of(event).get("who", {}).get("reference", ""))


def _who(event: Resource) -> Iterable[str]:
    return (str(each.get("who", {}).get("reference", "")) for each in event.get("agent", []))


async def _names(visit: Visit, events: Iterable[Resource]) -> dict[str, str]:
    """The names of people and organizations, by reference, as far as the person may see them."""
    references = {each for event in events for each in _who(event)}
    names: dict[str, str] = {}
    for kind in KINDS:
        ids = sorted(each.partition("/")[2] for each in references if each.startswith(f"{kind}/"))
        if ids:
            found = await visit.fhir.search(kind, {"_id": ",".join(ids)}, most=len(ids))
            names |= {f"{kind}/{each['id']}": _name(each) for each in found.matches}
    return names


def _name(resource: Resource) -> str:
    return str(resource["name"]) if resource["resourceType"] == "Organization" else person_name(resource)


routes = [page("looked", looked)]
nav = [NavItem("Who looked", "looked", "eye", IN_PERSON)]
