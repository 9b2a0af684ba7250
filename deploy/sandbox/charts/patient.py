"""Patient and Coverage in the shape of US Core."""

from dataclasses import dataclass

from deploy.sandbox.charts.catalogue import TERMINOLOGY, Resource, coding
from deploy.sandbox.charts.chart import Chart, Person, organization
from deploy.sandbox.hospitals import Hospital

TOWNS = {"epic": ("Duluth", "MN", "55802"), "oracle": ("Portland", "ME", "04101")}
EXTENSION = "http://hl7.org/fhir/StructureDefinition"
LANGUAGES = {
    "en-US": "English", "es": "Spanish", "ar": "Arabic", "pl": "Polish", "zh-CN": "Chinese (China)",
    "zh-TW": "Chinese (Taiwan)", "sv": "Swedish", "vi": "Vietnamese",
}  # fmt: skip
ROLES = {
    "mother": ("MTH", "mother"), "husband": ("HUSB", "husband"), "wife": ("WIFE", "wife"),
    "daughter": ("DAUC", "daughter"),
}  # fmt: skip
"""Codes of HL7's v3-RoleCode."""
REPRESENTATION = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"


@dataclass(frozen=True)
class Relative:
    """Somebody who comes along, speaks for the patient or is called first."""

    kind: str
    family: str
    given: str


@dataclass(frozen=True)
class Registration:
    """Who a patient is.

    `native` is family and given name in another script; `families` the father's and the mother's part of a family
    name; `plain` family and given name as others write them, without accents.
    """

    record_number: str
    family: str
    given: tuple[str, ...]
    gender: str
    birth_date: str
    maiden: str = ""
    native: tuple[str, str] | None = None
    language: str = "en-US"
    families: tuple[str, str] | None = None
    plain: tuple[str, str] | None = None
    interpreter: bool = False
    relative: Relative | None = None


def names(who: Registration) -> list[Resource]:
    """The names: official, in its own script if there is one, as others write it, and the maiden name."""
    roman: Resource = {"use": "official", "family": who.family, "given": list(who.given)}
    if who.families:
        parts = zip(("humanname-fathers-family", "humanname-mothers-family"), who.families, strict=True)
        roman["_family"] = {"extension": [{"url": f"{EXTENSION}/{kind}", "valueString": part} for kind, part in parts]}
    made = [roman]
    if who.native:
        roman["extension"] = [{"url": REPRESENTATION, "valueCode": "ABC"}]
        made.append(native_name(*who.native, who.language))
    if who.plain:
        made.append({"use": "usual", "family": who.plain[0], "given": [who.plain[1]]})
    if who.maiden:
        made.append({"use": "maiden", "family": who.maiden, "given": list(who.given)})
    return made


def native_name(family: str, given: str, language: str) -> Resource:
    """The name in its own script: Chinese with the family name first and no blank between."""
    chinese = language.startswith("zh")
    extension = [
        {"url": REPRESENTATION, "valueCode": "IDE" if chinese else "ABC"},
        {"url": f"{EXTENSION}/language", "valueCode": language},
    ]
    text = family + given if chinese else f"{given} {family}"
    return {"extension": extension, "use": "official", "text": text, "family": family, "given": [given]}


def patient(who: Registration, hospital: Hospital, physician: Person) -> Resource:
    """The Patient with the hospital's record number."""
    made = {
        "active": True,
        "identifier": [record_number(who, hospital)],
        "name": names(who),
        "gender": who.gender,
        "birthDate": who.birth_date,
        "telecom": [{"system": "phone", "use": "home", "value": phone(who)}],
        "address": [address(who, hospital)],
        "communication": communication(who),
        "generalPractitioner": [physician.reference],
        "managingOrganization": organization(hospital),
    }
    if who.relative:
        made["contact"] = [contact(who, who.relative)]
    if who.interpreter:
        made["extension"] = [{"url": f"{EXTENSION}/patient-interpreterRequired", "valueBoolean": True}]
    return made


def record_number(who: Registration, hospital: Hospital) -> Resource:
    """The hospital's own number of the patient."""
    return {
        "use": "usual",
        "type": {"coding": [coding(f"{TERMINOLOGY}/v2-0203", "MR", "Medical record number")], "text": "MRN"},
        "system": hospital.mrn_system,
        "value": who.record_number,
        "assigner": organization(hospital),
    }


def address(who: Registration, hospital: Hospital) -> Resource:
    """Where the patient lives: a street of the hospital's town."""
    town, state, code = TOWNS[hospital.key]
    street = f"{int(who.record_number[-3:])} Birch Street"
    return {"use": "home", "line": [street], "city": town, "state": state, "postalCode": code, "country": "US"}


def phone(who: Registration) -> str:
    """A number that nobody has."""
    return f"+1 555 01{who.record_number[-2:]}"


def communication(who: Registration) -> list[Resource]:
    """The language that the patient prefers; English beside it when no interpreter is needed."""
    spoken = [who.language, *(["en-US"] if who.language != "en-US" and not who.interpreter else [])]
    return [
        {"language": {"coding": [coding("urn:ietf:bcp:47", one, LANGUAGES[one])], "text": LANGUAGES[one]}}
        | ({"preferred": True} if one == who.language else {})
        for one in spoken
    ]


def relationship(relative: Relative) -> Resource:
    """What somebody is to the patient."""
    code, display = ROLES[relative.kind]
    return {"coding": [coding(f"{TERMINOLOGY}/v3-RoleCode", code, display)], "text": display}


def contact(who: Registration, relative: Relative) -> Resource:
    """Who is called first."""
    return {
        "relationship": [relationship(relative)],
        "name": {"family": relative.family, "given": [relative.given]},
        "telecom": [{"system": "phone", "use": "mobile", "value": phone(who)}],
    }


def related_person(key: str, who: Registration, relative: Relative) -> Resource:
    """The relative as a RelatedPerson; a mother of a child consents for it."""
    return {
        "active": True,
        "patient": {"reference": f"Patient/{key}"},
        "relationship": [relationship(relative)],
        "name": [{"use": "official", "family": relative.family, "given": [relative.given]}],
        "telecom": [{"system": "phone", "use": "mobile", "value": phone(who)}],
        "communication": [
            {
                "language": {
                    "coding": [coding("urn:ietf:bcp:47", who.language, LANGUAGES[who.language])],
                    "text": LANGUAGES[who.language],
                },
                "preferred": True,
            }
        ],
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


@dataclass(frozen=True)
class Payer:
    """Who pays: name and the member's number."""

    name: str
    number: str


def open_chart(key: str, who: Registration, hospital: Hospital, physician: Person, payer: Payer) -> Chart:
    """A chart with the patient, the insurance and the relative who comes along."""
    made = Chart(key, physician, organization(hospital))
    made.add("Patient", "", patient(who, hospital, physician))
    made.add("Coverage", "coverage", coverage(key, payer.name, payer.number))
    if who.relative:
        made.add("RelatedPerson", who.relative.kind, related_person(key, who, who.relative))
    return made
