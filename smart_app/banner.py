"""The patient banner: never wonder which patient."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from smart_app.fhir import FhirClient, Resource
from smart_app.words import age, concept, name_in_other_script, person_name

EDGES = 8


@dataclass(frozen=True, slots=True)
class Banner:
    """What the banner shows; `written` is the name in another script.

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


def banner_of(patient: Resource, allergies: Sequence[str] | None = None, issuer: str = "") -> Banner:
    """The banner of a Patient; each patient has a colour edge of its own, always the same."""
    number: Resource = next(iter(patient.get("identifier", [])), {})
    return Banner(
        name=person_name(patient),
        written=name_in_other_script(patient),
        birth_date=patient.get("birthDate", ""),
        age=age(patient.get("birthDate")),
        sex=patient.get("gender", ""),
        number=number.get("value", ""),
        issuer=number.get("assigner", {}).get("display", "") or issuer,
        allergies=allergies,
        edge=zlib.crc32(str(patient.get("id", "")).encode()) % EDGES,
    )


async def known_allergies(fhir: FhirClient, patient: str) -> list[str]:
    """Names of the patient's allergies in our server, as far as this person may see them."""
    found = await fhir.search("AllergyIntolerance", {"patient": patient}, most=50)
    names = [concept(each.get("code")) for each in found.matches]
    return list(dict.fromkeys(name for name in names if name))
