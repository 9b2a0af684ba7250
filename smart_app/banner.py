"""The patient banner: never wonder which patient."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from smart_app.fhir import FhirClient, Resource
from smart_app.words import age, concept, name_in_other_script, person_name

EDGES = 8


@dataclass(frozen=True, slots=True)
class Banner:
    """What the banner shows; `written` is the name in another script, `interpreter` the language of who needs one.

    `allergies` is None when nobody could tell, empty when none are known.
    """

    name: str
    written: str
    birth_date: str
    age: str
    sex: str
    number: str
    issuer: str
    allergies: Sequence[str] | None
    edge: int
    language: str = ""
    interpreter: str = ""


def banner_of(patient: Resource, allergies: Sequence[str] | None = None, issuer: str = "") -> Banner:
    """The banner of a Patient; each patient has a colour edge of its own, always the same."""
    number: Resource = next(iter(patient.get("identifier", [])), {})
    language, spoken = _speaks(patient)
    return Banner(
        name=person_name(patient),
        written=name_in_other_script(patient),
        birth_date=patient.get("birthDate", ""),
        age=age(patient.get("birthDate")),
        sex=patient.get("gender", ""),
        number=number.get("value", ""),
        issuer=number.get("assigner", {}).get("display", "") or issuer,
        allergies=allergies,
        edge=edge_of(patient),
        language=language,
        interpreter=spoken,
    )


def edge_of(patient: Resource) -> int:
    """The patient's colour: by record number, so that the hospital's Patient and our copy have the same."""
    number: Resource = next(iter(patient.get("identifier", [])), {})
    return zlib.crc32(str(number.get("value") or patient.get("id", "")).encode()) % EDGES


def _speaks(patient: Resource) -> tuple[str, str]:
    """Tag of the preferred language, and its name when nothing says that the patient speaks English."""
    spoken = sorted(patient.get("communication", []), key=lambda each: not each.get("preferred", False))
    tags = [str(code) for each in spoken for code in [_tag(each)] if code]
    english = any(tag.startswith("en") for tag in tags)
    return next(iter(tags), ""), "" if english or not spoken else concept(spoken[0].get("language"))


def _tag(communication: Resource) -> str:
    codings: list[Resource] = communication.get("language", {}).get("coding", [])
    return next((str(each["code"]) for each in codings if each.get("code")), "")


async def known_allergies(fhir: FhirClient, patient: str) -> list[str]:
    """Names of the patient's allergies in our server, as far as this person may see them."""
    found = await fhir.search("AllergyIntolerance", {"patient": patient}, most=50)
    names = [concept(each.get("code")) for each in found.matches]
    return list(dict.fromkeys(name for name in names if name))
