"""What the authorization server speaks of, as values: clients, accounts, tenants, launch context."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import orjson


@dataclass(frozen=True, slots=True)
class Client:
    """A registered client.  `roles` and `organization` are those of a backend client, that acts for nobody."""

    client_id: str
    name: str
    type: Literal["public", "confidential"]
    redirect_uris: tuple[str, ...] = ()
    jwks: Mapping[str, Any] | None = None
    jwks_url: str | None = None
    secret_hash: str | None = None
    scopes: tuple[str, ...] = ()
    launch_url: str | None = None
    trusted: bool = False
    may_exchange: bool = False
    roles: frozenset[str] = frozenset()
    organization: str | None = None

    @property
    def has_keys(self) -> bool:
        """Whether it signs its assertions (`private_key_jwt`)."""
        return self.jwks is not None or self.jwks_url is not None


@dataclass(frozen=True, slots=True)
class Account:
    """A person: local (`username`) or known by a tenant (`issuer` and `subject`).

    Who came by a link (patients, proxies) signs in by the confirmed `email`; with `email_codes` the second step is a
    code sent there, with `second_factor` one of an authenticator.
    """

    account_id: str
    name: str
    roles: frozenset[str]
    organization: str | None
    fhir_user: str | None
    username: str | None = None
    disabled: bool = False
    second_factor: bool = False
    email: str | None = None
    email_codes: bool = False
    pin: bool = False
    pin_failures: int = 0


@dataclass(frozen=True, slots=True)
class Tenant:
    """An EHR whose id_tokens may be exchanged.  `client_id` is the audience that they must name."""

    name: str
    issuer: str
    client_id: str
    organization: str
    jwks: Mapping[str, Any] | None = None
    jwks_url: str | None = None


@dataclass(frozen=True, slots=True)
class LaunchContext:
    """What a launch hands to the app.  SMART scopes-and-launch-context.html#launch-context-parameters

    `related_person` is ours: as whom a proxy acts for the patient; apps learn it as `fhirUser`.
    """

    patient: str | None = None
    encounter: str | None = None
    intent: str | None = None
    need_patient_banner: bool | None = None
    fhir_context: tuple[Mapping[str, Any], ...] = field(default=())
    related_person: str | None = None

    def members(self) -> dict[str, Any]:
        """Write the members of a token answer; what is not known is left out."""
        values = {name: value for name, value in asdict(self).items() if value is not None}
        references = list(values.pop("fhir_context"))
        values.pop("related_person", None)
        return values | ({"fhirContext": references} if references else {})

    def to_json(self) -> str:
        """Write the text that is stored."""
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def from_json(cls, text: str) -> "LaunchContext":
        """Read the text that was stored."""
        values = orjson.loads(text)
        return cls(**(values | {"fhir_context": tuple(values["fhir_context"])}))
