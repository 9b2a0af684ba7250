"""What a privacy officer looks at first: hours, kinship by name, emergencies.

What has nothing to do with a case is asked of the server (`$without-case`): a privacy officer reads no cases.
"""

from collections.abc import Mapping

from smart_app.fhir import Resource
from smart_app.words import Clock

FROM_HOUR, TO_HOUR, SATURDAY = 6, 20, 5
EMERGENCY, HOURS, FAMILY = "emergency access", "at night or on a weekend", "same family name"


def marks(event: Resource, families: Mapping[str, str], clock: Clock) -> tuple[str, ...]:
    """In what an event is unusual.  `families`: family names of people, by reference."""
    people = [_reference(each, "who") for each in event.get("agent", ()) if each.get("requestor")]
    about = [_reference(each, "what") for each in event.get("entity", ())]
    found = [EMERGENCY] if _is_emergency(event) else []
    if any(each.startswith("Practitioner/") for each in people):
        found += [HOURS] if _out_of_hours(event, clock) else []
    ours = {families.get(each, "").casefold() for each in people} - {""}
    theirs = {families.get(each, "").casefold() for each in about if each.startswith("Patient/")}
    return (*found, FAMILY) if ours & theirs else tuple(found)


def _reference(part: Resource, name: str) -> str:
    return str(part.get(name, {}).get("reference", ""))


def _is_emergency(event: Resource) -> bool:
    purposes = [code for each in event.get("purposeOfEvent", ()) for code in each.get("coding", ())]
    return any(code.get("code") == "BTG" for code in purposes)


def _out_of_hours(event: Resource, clock: Clock) -> bool:
    moment = clock.local(event.get("recorded", ""))
    return moment is not None and (moment.weekday() >= SATURDAY or not FROM_HOUR <= moment.hour < TO_HOUR)
