"""Who works there: accounts of the demo.  All share one password, which is written on the front page."""

from dataclasses import dataclass
from typing import Any

from deploy.sandbox.hospitals import LAKESIDE, NORTHFIELD, PROGRAMME

PASSWORD = "konsil-demo-2026"  # noqa: S105 - a pretend hospital's, shown on its front page
Resource = dict[str, Any]
NPI = "http://hl7.org/fhir/sid/us-npi"


@dataclass(frozen=True)
class Person:
    """Somebody with an account at our own server or at an EHR tenant."""

    username: str
    family: str
    given: str
    prefix: str
    roles: tuple[str, ...]
    npi: str
    specialty: str = ""
    organization: str = PROGRAMME

    @property
    def name(self) -> str:
        """As people say it."""
        return " ".join(part for part in (self.prefix, self.given, self.family) if part)

    def practitioner(self) -> Resource:
        """Their Practitioner."""
        resource: Resource = {
            "resourceType": "Practitioner",
            "id": self.username,
            "identifier": [{"system": NPI, "value": self.npi}],
            "active": True,
            "name": [{"text": self.name, "family": self.family, "given": [self.given], "prefix": [self.prefix]}],
        }
        if self.specialty:
            resource["qualification"] = [{"code": {"text": f"Board certified in {self.specialty}"}}]
        if not self.prefix:
            del resource["name"][0]["prefix"]
        return resource

    def account(self) -> Resource:
        """Their account, as `konsil fhir provision` reads it."""
        return {
            "username": self.username,
            "password": PASSWORD,
            "name": self.name,
            "roles": list(self.roles),
            "organization": self.organization,
            "practitioner": self.practitioner(),
        }


CONSULTANTS = (
    Person("ito", "Ito", "Kenji", "Dr.", ("consultant",), "1999000011", "Neurosurgery"),
    Person("okafor", "Okafor", "Adaeze", "Dr.", ("consultant",), "1999000029", "Cardiac surgery"),
    Person("lindqvist", "Lindqvist", "Maja", "Dr.", ("consultant",), "1999000037", "Thoracic oncology"),
)
STAFF = (
    *CONSULTANTS,
    Person("harper", "Harper", "June", "", ("him",), "1999000045"),
    Person("castillo", "Castillo", "Rosa", "", ("coordinator",), "1999000052"),
)
PHYSICIANS = {
    LAKESIDE.key: Person(
        "nunez", "Núñez", "Ana", "Dr.", ("requester",), "1999000060", "Pulmonology", LAKESIDE.organization
    ),
    NORTHFIELD.key: Person(
        "meyer", "Meyer", "Paul", "Dr.", ("requester",), "1999000078", "Cardiology", NORTHFIELD.organization
    ),
}
