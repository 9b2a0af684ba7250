"""Licences of consultants for the place where a patient is: what a Practitioner's qualifications say.  Pure.

It helps a coordinator to choose; the server checks licences where they bind.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from smart_app.words import concept

STATES = {
    "AL": "Alabama", "AK": "Alaska", "AZ": "Arizona", "AR": "Arkansas", "CA": "California", "CO": "Colorado",
    "CT": "Connecticut", "DE": "Delaware", "DC": "District of Columbia", "FL": "Florida", "GA": "Georgia",
    "HI": "Hawaii", "ID": "Idaho", "IL": "Illinois", "IN": "Indiana", "IA": "Iowa", "KS": "Kansas",
    "KY": "Kentucky", "LA": "Louisiana", "ME": "Maine", "MD": "Maryland", "MA": "Massachusetts", "MI": "Michigan",
    "MN": "Minnesota", "MS": "Mississippi", "MO": "Missouri", "MT": "Montana", "NE": "Nebraska", "NV": "Nevada",
    "NH": "New Hampshire", "NJ": "New Jersey", "NM": "New Mexico", "NY": "New York", "NC": "North Carolina",
    "ND": "North Dakota", "OH": "Ohio", "OK": "Oklahoma", "OR": "Oregon", "PA": "Pennsylvania",
    "RI": "Rhode Island", "SC": "South Carolina", "SD": "South Dakota", "TN": "Tennessee", "TX": "Texas",
    "UT": "Utah", "VT": "Vermont", "VA": "Virginia", "WA": "Washington", "WV": "West Virginia", "WI": "Wisconsin",
    "WY": "Wyoming",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Licence:
    """What is known of a licence: `held` None when nobody can tell."""

    held: bool | None
    words: str


def place_of(patient: Mapping[str, Any]) -> str:
    """The state where a patient lives, in words; empty when the record does not say."""
    homes = sorted(patient.get("address", []), key=lambda each: each.get("use") != "home")
    state = next((str(each["state"]) for each in homes if each.get("state")), "")
    return STATES.get(state.upper(), state)


def licence_for(person: Mapping[str, Any], place: str, today: date) -> Licence:
    """Whether a Practitioner is licensed where the patient is."""
    if not place:
        return Licence(None, "the patient's place is not on file")
    named = [each for each in person.get("qualification", []) if place in concept(each.get("code")).split(", ")]
    if not named:
        return Licence(False, f"no licence for {place}")
    ends = max(str(each.get("period", {}).get("end", "9999")) for each in named)
    if ends < today.isoformat():
        return Licence(False, f"licence for {place} ended")
    return Licence(True, f"licensed in {place}")
