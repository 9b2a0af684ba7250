"""Who works there: accounts of the demo.  All share one password, which is written on the front page."""

from dataclasses import dataclass
from typing import Any

from deploy.sandbox.hospitals import LAKESIDE, NORTHFIELD, PROGRAMME, Hospital

PASSWORD = "konsil-demo-2026"  # noqa: S105 - a pretend hospital's, shown on its front page
PIN = "274911"
"""By which the demo's consultants sign, written beside the password."""
Resource = dict[str, Any]
NPI = "http://hl7.org/fhir/sid/us-npi"
BOARDS = {"Minnesota": "Minnesota Board of Medical Practice", "Maine": "Maine Board of Licensure in Medicine"}
"""Who licenses physicians where the two asking hospitals' patients live."""


@dataclass(frozen=True)
class Licence:
    """The permission to practise medicine in one state; the number is the board's."""

    state: str
    number: str
    until: str

    def qualification(self) -> Resource:
        """As a Practitioner's qualification."""
        return {
            "identifier": [{"value": self.number}],
            "code": {"text": f"Licensed physician, {self.state}"},
            "period": {"end": self.until},
            "issuer": {"display": BOARDS[self.state]},
        }


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
    licences: tuple[Licence, ...] = ()

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
            certified = {"code": {"text": f"Board certified in {self.specialty}"}}
            resource["qualification"] = [certified, *(each.qualification() for each in self.licences)]
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
            **({"pin": PIN} if "consultant" in self.roles else {}),
        }


def consultant(
    username: str, name: tuple[str, str], npi: str, specialty: str, states: dict[str, str], *more: str
) -> Person:
    """A consultant of the programme: given and family name; licence numbers by state; further roles."""
    licences = tuple(Licence(state, number, f"{LICENSED_UNTIL[state]}") for state, number in states.items())
    given, family = name
    return Person(username, family, given, "Dr.", ("consultant", *more), npi, specialty, licences=licences)


LICENSED_UNTIL = {"Minnesota": "2027-09-30", "Maine": "2028-03-31"}


def both(minnesota: str, maine: str) -> dict[str, str]:
    """Licence numbers of somebody licensed in both states."""
    return {"Minnesota": minnesota, "Maine": maine}


CONSULTANTS = (
    consultant("ito", ("Kenji", "Ito"), "1999000015", "Neurosurgery", both("48211", "MD17402")),
    consultant("okafor", ("Adaeze", "Okafor"), "1999000023", "Cardiac surgery", both("51870", "MD19915")),
    consultant("lindqvist", ("Maja", "Lindqvist"), "1999000031", "Thoracic oncology", both("55392", "MD20338")),
    consultant("adeyemi", ("Samuel", "Adeyemi"), "1999000098", "Breast oncology", both("52466", "MD18870")),
    consultant("haas", ("Ingrid", "Haas"), "1999000106", "Pathology", both("44903", "MD16071")),
    consultant("ferreira", ("Tomás", "Ferreira"), "1999000114", "Spine surgery", {"Minnesota": "57718"}),
    consultant("raman", ("Priya", "Raman"), "1999000122", "Paediatric neurology", both("50127", "MD18244")),
    consultant(
        "demir", ("Yusuf", "Demir"), "1999000130", "Rheumatology and vascular medicine", both("53381", "MD19006")
    ),
    consultant("weiss", ("Hannah", "Weiss"), "1999000148", "Radiology", both("46650", "MD16932"), "radiologist"),
    consultant("chen", ("Wei", "Chen"), "1999000155", "Hepatobiliary surgery", both("54209", "MD19730")),
    consultant("rossi", ("Elena", "Rossi"), "1999000163", "Endocrine surgery", both("56034", "MD20881")),
)
STAFF = (
    *CONSULTANTS,
    Person("harper", "Harper", "June", "", ("him",), "1999000049"),
    Person("castillo", "Castillo", "Rosa", "", ("coordinator",), "1999000056"),
    Person("albrecht", "Albrecht", "Martin", "", ("programme-manager",), "1999000171"),
    Person("sorensen", "Sørensen", "Maja", "", ("privacy-officer",), "1999000254"),
    Person("vance", "Vance", "Thomas", "", ("administrator",), "1999000262"),
)


def physician(username: str, name: tuple[str, str], npi: str, specialty: str, hospital: Hospital) -> Person:
    """Somebody who treats and asks; given and family name."""
    given, family = name
    return Person(username, family, given, "Dr.", ("requester",), npi, specialty, hospital.organization)


REQUESTERS = {
    LAKESIDE.key: (
        physician("nunez", ("Ana", "Núñez"), "1999000064", "Pulmonology", LAKESIDE),
        physician("whitfield", ("Daniel", "Whitfield"), "1999000080", "Neurology", LAKESIDE),
        physician("delgado", ("Carmen", "Delgado"), "1999000189", "Breast surgery", LAKESIDE),
        physician("feld", ("Naomi", "Feld"), "1999000197", "Child neurology", LAKESIDE),
        physician("solberg", ("Erik", "Solberg"), "1999000205", "Orthopaedic surgery", LAKESIDE),
        physician("marsh", ("Olivia", "Marsh"), "1999000213", "Endocrinology", LAKESIDE),
    ),
    NORTHFIELD.key: (
        physician("meyer", ("Paul", "Meyer"), "1999000072", "Cardiology", NORTHFIELD),
        physician("stone", ("Judith", "Stone"), "1999000221", "Internal medicine", NORTHFIELD),
        physician("pruitt", ("Alan", "Pruitt"), "1999000239", "Dermatology", NORTHFIELD),
        physician("holloway", ("Grace", "Holloway"), "1999000247", "Gastroenterology", NORTHFIELD),
    ),
}
"""Who asks, in each hospital; all have accounts at its EHR."""
PHYSICIANS = {key: those[0] for key, those in REQUESTERS.items()}
"""The one of each hospital who is shown on the front page."""


@dataclass(frozen=True)
class Outsider:
    """A patient of the demo with an account of her own, or (`acts`) a relative of one who acts for that patient."""

    username: str
    name: str
    record: str
    acts: tuple[str, str, str] | None = None

    @property
    def role(self) -> str:
        """What the account is for."""
        return "patient" if self.acts is None else "proxy"

    def account(self) -> Resource:
        """The account, as `konsil fhir provision` reads it."""
        entry: Resource = {"username": self.username, "password": PASSWORD, "name": self.name, "roles": [self.role]}
        if self.acts is None:
            return entry | {"fhir_user": f"Patient/{self.record}"}
        family, given, relation = self.acts
        coding = {"system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "code": relation}
        related: Resource = {
            "resourceType": "RelatedPerson",
            "id": f"{relation.lower()}-of-{self.record}",
            "active": True,
            "patient": {"reference": f"Patient/{self.record}"},
            "relationship": [{"coding": [coding]}],
            "name": [{"family": family, "given": [given]}],
        }
        return entry | {"acts_for": [related]}


OUTSIDERS = (
    Outsider("renee.lefevre@mail.example", "Renée Lefèvre-Muñoz", "lefevre"),
    Outsider("m.cwik@mail.example", "Małgorzata Ćwik", "kowalczyk", ("Ćwik", "Małgorzata", "MTH")),
)
"""Both are of Lakeside: provisioned before the first case, found by their record numbers when one is asked for."""
