"""The pretend hospitals: two that ask (one Epic-like, one Oracle-like), one that answers, one that holds old images."""

from dataclasses import dataclass
from typing import Literal

OUTSIDE_TITLE = "St. Anna Hospital"
OUTSIDE_ISSUER = "STANNA"
OUTSIDE_AE_TITLE = "STANNA_PACS"
OUR_AE_TITLE = "KONSIL"
WORKSTATION_AE_TITLE = "READING_ROOM"
WORKSTATION_TITLE = "Reading room workstation"
PROGRAMME, PROGRAMME_TITLE = "Organization/konsil-university", "Konsil University Hospital"


@dataclass(frozen=True)
class Hospital:
    """An EHR tenant.  `mrn_system` and `issuer` say the same thing in FHIR and in DICOM."""

    key: Literal["epic", "oracle"]
    title: str
    mrn_system: str
    issuer: str
    time_zone: str

    @property
    def organization(self) -> str:
        """Its Organization in our server."""
        return f"Organization/{self.title.split()[0].lower()}"


LAKESIDE = Hospital("epic", "Lakeside Medical Center", "https://lakeside.example/mrn", "LAKESIDE", "America/Chicago")
NORTHFIELD = Hospital(
    "oracle", "Northfield Regional Hospital", "https://northfield.example/mrn", "NORTHFIELD", "America/New_York"
)
HOSPITALS = (LAKESIDE, NORTHFIELD)
