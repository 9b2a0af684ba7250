"""Patient and Coverage in the shape of US Core."""

from dataclasses import dataclass

from deploy.sandbox.charts.catalogue import TERMINOLOGY, Resource, coding
from deploy.sandbox.charts.chart import Person, organization
from deploy.sandbox.hospitals import Hospital

TOWNS = {"epic": ("Duluth", "MN", "55802"), "oracle": ("Portland", "ME", "04101")}
REPRESENTATION = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"


@dataclass(frozen=True)
class Registration:
    """Who a patient is; `native` is family and given name in another script."""

    record_number: str
    family: str
    given: tuple[str, ...]
    gender: str
    birth_date: str
    maiden: str = ""
    native: tuple[str, str] | None = None
    language: str = "en-US"


def names(who: Registration) -> list[Resource]:
    """The names: official, in its own script if there is one, and the maiden name."""
    roman: Resource = {"use": "official", "family": who.family, "given": list(who.given)}
    made = [roman]
    if who.native:
        roman["extension"] = [{"url": REPRESENTATION, "valueCode": "ABC"}]
        family, given = who.native
        extension = [{"url": REPRESENTATION, "valueCode": "IDE"}]
        made.append(
            {"extension": extension, "use": "official", "text": family + given, "family": family, "given": [given]}
        )
    if who.maiden:
        made.append({"use": "maiden", "family": who.maiden, "given": list(who.given)})
    return made


def patient(who: Registration, hospital: Hospital, physician: Person) -> Resource:
    """The Patient with the hospital's record number."""
    language = {"coding": [coding("urn:ietf:bcp:47", who.language, who.language)]}
    town, state, code = TOWNS[hospital.key]
    return {
        "active": True,
        "identifier": [
            {
                "use": "usual",
                "type": {"coding": [coding(f"{TERMINOLOGY}/v2-0203", "MR", "Medical record number")], "text": "MRN"},
                "system": hospital.mrn_system,
                "value": who.record_number,
                "assigner": organization(hospital),
            }
        ],
        "name": names(who),
        "gender": who.gender,
        "birthDate": who.birth_date,
        "telecom": [{"system": "phone", "use": "home", "value": f"+1 555 01{who.record_number[-2:]}"}],
        "address": [
            {
                "use": "home",
                "line": [f"{who.record_number[:3]} Birch Street"],
                "city": town,
                "state": state,
                "postalCode": code,
                "country": "US",
            }
        ],
        "communication": [{"language": language, "preferred": True}],
        "generalPractitioner": [physician.reference],
        "managingOrganization": organization(hospital),
    }


def coverage(key: str, payer: str, number: str) -> Resource:
    """The patient's insurance."""
    return {
        "status": "active",
        "subscriberId": number,
        "beneficiary": {"reference": f"Patient/{key}"},
        "relationship": {"coding": [coding(f"{TERMINOLOGY}/subscriber-relationship", "self", "Self")]},
        "period": {"start": "2026-01-01", "end": "2026-12-31"},
        "payor": [{"display": payer}],
    }
