"""Acting for somebody else: for whom a RelatedPerson does, and when.  https://hl7.org/fhir/R4/relatedperson.html"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.errors import Invalid
from fhir_server.search.dates import EARLIEST, LATEST, date_range


@dataclass(frozen=True, slots=True)
class Standing:
    """What a version of a RelatedPerson says: the patient (an id), whether active, from when until when."""

    patient: str
    active: bool
    start: int
    end: int

    def holds(self, now: int) -> bool:
        """Whether the person acts for the patient at this moment (microseconds)."""
        return self.active and self.start <= now < self.end


def standing_of(person: Mapping[str, Any]) -> Standing:
    """Read a RelatedPerson.  `active` has to be said; a period that cannot be read is none that holds."""
    reference, period = str(person.get("patient", {}).get("reference", "")), person.get("period", {})
    kind, _, patient = reference.partition("/_history/")[0].rpartition("/")
    active = person.get("active") is True and kind.rpartition("/")[2] == "Patient"
    try:
        start = date_range(period["start"])[0] if "start" in period else EARLIEST
        end = date_range(period["end"])[1] if "end" in period else LATEST
    except Invalid:
        return Standing(patient, False, EARLIEST, LATEST)
    return Standing(patient, active, start, end)


def in_force(person: Mapping[str, Any], now: int) -> bool:
    """Whether this RelatedPerson acts for the patient at this moment (microseconds)."""
    return standing_of(person).holds(now)
