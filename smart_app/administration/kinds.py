"""What there is to administer, and the fields of each form.  Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from smart_app.launches import ROLE_TITLES

Form = Literal["text", "words", "lines", "flag", "choice", "many", "number", "json", "key"]
PEOPLES_ROLES = ROLE_TITLES
CLIENTS_ROLES = {"system": "System", "interface-engine": "Interface engine"}


class Fields(Protocol):
    """What a posted form gives."""

    def get(self, key: str, /) -> Any:
        """The first value."""

    def getlist(self, key: str, /) -> list[Any]:
        """Every value."""


class NotJson(ValueError):
    """A text that should be JSON and is not."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field.  `empty` is what stands for nothing; `fixed` ones are given once."""

    name: str
    label: str
    hint: str = ""
    form: Form = "text"
    choices: Mapping[str, str] | None = None
    required: bool = False
    fixed: bool = False
    empty: Any = ""

    def read(self, posted: Fields) -> Any:
        """The value that was posted.  Raises NotJson."""
        text = str(posted.get(self.name) or "").strip()
        if self.form == "flag":
            return bool(text)
        if self.form == "many":
            return [str(each) for each in posted.getlist(self.name)]
        if self.form == "words":
            return text.split()
        if self.form == "lines":
            return [line.strip() for line in text.splitlines() if line.strip()]
        if self.form in {"json", "key"}:
            return _json(text)
        return int(text) if self.form == "number" and text.isdecimal() else text or self.empty

    def read_differs(self, mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
        """Whether a form has another value than what is kept."""
        return bool(self.written(mine.get(self.name)) != self.written(theirs["values"].get(self.name)))

    def written(self, value: Any) -> Any:
        """The value as its control shows it."""
        if self.form == "lines":
            return "\n".join(value or ())
        if self.form == "words":
            return " ".join(value or ())
        if self.form == "json":
            return json.dumps(value, indent=1) if value and not isinstance(value, str) else value or ""
        return value if value is not None else ""


@dataclass(frozen=True, slots=True)
class Kind:
    """One list of the section; `columns` are titles and members of its rows."""

    slug: str
    title: str
    one: str
    icon: str
    intro: str
    columns: Sequence[tuple[str, str]]
    fields: Sequence[Field]


def _json(text: str) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError as error:
        raise NotJson("This is not JSON.") from error


ORGANIZATION = Field("organization", "Organization", "Organization/id, as in the list of organizations.", empty=None)
HOSPITALS = Kind(
    "hospitals",
    "Hospitals",
    "hospital",
    "building-hospital",
    "Electronic records that open this app. From one that is deactivated nobody launches and nothing is written back.",
    (("Name", "title"), ("FHIR address", "fhir_base"), ("Client", "client_id"), ("Organization", "organization")),
    (
        Field("name", "Short name", "Used in logs and commands.", required=True, fixed=True),
        Field("title", "Name", "As people read it.", required=True),
        Field("fhir_base", "FHIR address", "What a launch names as iss.", required=True),
        Field("issuer", "Issuer", "The claim iss of its id_tokens, to the character.", required=True),
        Field("jwks_url", "Address of its keys", required=True),
        Field("client_id", "Our client id there", required=True),
        Field("organization", "Organization", "Organization/id that its people work for.", required=True),
        Field("patient_identifier_system", "System of its record numbers", required=True),
        Field("scope", "Scopes that we ask for", required=True),
        Field("style", "Kind of record", form="choice", choices={"epic": "Epic", "oracle": "Oracle Health"}),
        Field("frame_origins", "Origins that may frame us", "One on each line.", form="lines"),
        Field("key", "Our private key there (JWK)", "Empty: stays as it is. Never shown again.", form="key"),
        Field(
            "backend_client_id", "Write-back: client id", "Empty: reports are filed with the physician's token only."
        ),
        Field("backend_token_url", "Write-back: token address"),
        Field("backend_scope", "Write-back: scopes"),
        Field("backend_key", "Write-back: private key (JWK)", "Empty: stays as it is. Never shown again.", form="key"),
    ),
)
CLIENTS = Kind(
    "clients",
    "Clients",
    "client",
    "plug",
    "Programs that may ask for tokens, and the most that each is ever granted.",
    (("Client", "client_id"), ("Name", "name"), ("Acts as", "roles"), ("Scopes", "scopes")),
    (
        Field("client_id", "Client id", required=True, fixed=True),
        Field("name", "Name", "Shown when a person is asked to allow access.", required=True),
        Field(
            "type",
            "Type",
            form="choice",
            choices={"confidential": "Confidential: keys or secret", "public": "Public: no secret"},
        ),
        Field("scopes", "Scopes", "The most that is ever granted, with blanks between.", form="words"),
        Field("redirect_uris", "Redirect addresses", "One on each line; compared to the character.", form="lines"),
        Field("jwks_url", "Address of its keys", "Or its public keys below, or neither: it gets a secret.", empty=None),
        Field("jwks", "Its public keys (JWK set)", form="json"),
        Field("launch_url", "Launch address", empty=None),
        Field("trusted", "Trusted: people are not asked to allow access", form="flag"),
        Field("may_exchange", "May turn id_tokens of hospitals into tokens of ours", form="flag"),
        Field("roles", "Acts alone as", form="many", choices=CLIENTS_ROLES),
        ORGANIZATION,
    ),
)
PEOPLE = Kind(
    "people",
    "People",
    "person",
    "users",
    "Who signs in here, and who came from a hospital. Roles say what each may see and do.",
    (("User name", "username"), ("Name", "name"), ("Roles", "roles"), ("Organization", "organization")),
    (
        Field("username", "User name", required=True, fixed=True),
        Field("name", "Name", required=True),
        Field("roles", "Roles", form="many", choices=PEOPLES_ROLES),
        ORGANIZATION,
        Field("fhir_user", "Record", "Practitioner/id or Patient/id. Empty: a new Practitioner.", empty=None),
    ),
)
ORGANIZATIONS = Kind(
    "organizations",
    "Organizations",
    "organization",
    "building",
    "Hospitals, practices and programmes as the directory has them. People and cases belong to one.",
    (("Name", "name"), ("Identifier", "identifier"), ("Reference", "reference")),
    (
        Field("name", "Name", required=True),
        Field("identifier", "Identifier", "system|value, such as http://hl7.org/fhir/sid/us-npi|1234567893"),
    ),
)
ABILITIES = {
    "find": "Search (C-FIND)",
    "get": "Fetch (C-GET)",
    "move": "Fetch (C-MOVE)",
    "store": "Receive (C-STORE)",
}
PEERS = Kind(
    "peers",
    "Archives",
    "archive",
    "server",
    "DICOM peers: archives that are searched, systems that send, destinations and workstations.",
    (("Name", "title"), ("AE title", "ae_title"), ("Host", "host"), ("Offers", "can")),
    (
        Field("name", "Short name", "Used in tasks and logs.", required=True, fixed=True),
        Field("title", "Name", "As people read it."),
        Field("ae_title", "AE title", required=True),
        Field("host", "Host", required=True),
        Field("port", "Port", form="number", required=True),
        Field("our_ae_title", "Our AE title there", "Empty: our usual one."),
        Field("can", "What it offers", form="many", choices=ABILITIES),
        Field("forward", "Released studies are sent there", form="flag"),
        Field("readers", "Workstation of", "Practitioner/id, with blanks between; * for every reader.", form="words"),
        Field("issuer", "Issuer of its patient ids"),
        Field("issuer_oid", "OID of that issuer"),
        Field("id_domain", "Issuer that it expects"),
        Field("charset", "Character set", required=True),
        Field("calling_ae_titles", "Further AE titles it sends under", form="words"),
        Field("addresses", "Addresses it may come from", "Empty: its host.", form="words"),
        Field("associations_at_once", "Associations at the same time", "0: any number.", form="number", empty=0),
        Field("associations_per_minute", "Associations within a minute", "0: any number.", form="number", empty=0),
        Field("hours", "Hours", "When it is sent to and fetched from: 18:00-06:00, one on each line.", form="lines"),
        Field(
            "kilobytes_per_second", "kB/s at most", "Each transfer, to it or from it; 0: any.", form="number", empty=0
        ),
        Field("tls", "TLS", "JSON: ca_file and what docs/dimse.md names; empty: none.", form="json"),
        Field("dicomweb", "DICOMweb", "JSON: root and what docs/dimse.md names; empty: by DIMSE.", form="json"),
    ),
)
KINDS: Mapping[str, Kind] = {each.slug: each for each in (HOSPITALS, CLIENTS, PEOPLE, ORGANIZATIONS, PEERS)}
