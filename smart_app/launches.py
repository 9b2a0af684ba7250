"""What is known about one launch: who, from where, on which patient, with which tokens."""

import time
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

Role = Literal[
    "requester",
    "consultant",
    "radiologist",
    "him",
    "coordinator",
    "programme-manager",
    "privacy-officer",
    "administrator",
    "patient",
    "proxy",
]

ROLE_TITLES = {
    "requester": "Requesting physician",
    "consultant": "Consultant",
    "radiologist": "Radiologist",
    "him": "Health information",
    "coordinator": "Coordinator",
    "programme-manager": "Programme manager",
    "privacy-officer": "Privacy officer",
    "administrator": "Administrator",
    "patient": "Patient",
    "proxy": "Acting for a patient",
}


class Grant(BaseModel):
    """One token answer: access token, its end, and the refresh token if one came."""

    model_config = ConfigDict(frozen=True)

    access_token: str
    expires_at: float
    refresh_token: str | None = None
    scope: str = ""

    def fresh(self, margin_seconds: float = 30) -> bool:
        """Whether the access token can still be used for a request begun now."""
        return time.time() + margin_seconds < self.expires_at


class Tokens(BaseModel):
    """Tokens of a launch: at the EHR (none after a standalone sign-in) and at our own server."""

    model_config = ConfigDict(frozen=True)

    ehr: Grant | None = None
    own: Grant


class Launch(BaseModel):
    """One launch, as every page of it needs it."""

    model_config = ConfigDict(frozen=True)

    id: str
    session_id: str
    tenant: str | None = None
    subject: str
    practitioner: str  # Practitioner/x in our server
    name: str = ""
    roles: tuple[str, ...] = ()
    organization: str | None = None
    ehr_user: str = ""  # Practitioner/x in the EHR, from its id_token
    ehr_patient: str | None = None  # logical id in the EHR
    patient: str | None = None  # Patient/x in our server
    need_patient_banner: bool = True
    expires_at: float

    def continues(self, former: "Launch") -> bool:
        """Whether this launch may take the place of another: same person, same hospital, same patient."""
        return (self.subject, self.tenant, self.ehr_patient, self.patient) == (
            former.subject,
            former.tenant,
            former.ehr_patient,
            former.patient,
        )

    def is_about_another(self, patient: str) -> bool:
        """Whether `Patient/x` is another one than that of the chart from which the app was opened."""
        return self.patient is not None and patient != self.patient

    def has_role(self, *roles: str) -> bool:
        """Whether the person has one of the roles: for what is shown; rights are decided by fhir_server."""
        return any(role in self.roles for role in roles)

    @property
    def role_title(self) -> str:
        """The person's first role in words."""
        return next(iter(self.role_titles), "")

    @property
    def role_titles(self) -> list[str]:
        """All roles in words."""
        return [ROLE_TITLES[role] for role in self.roles if role in ROLE_TITLES]

    @property
    def ends(self) -> str:
        """When the launch ends at the latest, as a FHIR instant."""
        return datetime.fromtimestamp(self.expires_at, UTC).isoformat(timespec="seconds")


class AuthorizationRequest(BaseModel):
    """A sign-in under way: what its answer is checked against.  Kept sealed, used once."""

    model_config = ConfigDict(frozen=True)

    session_id: str
    kind: Literal["ehr", "standalone"]
    tenant: str | None
    issuer: str
    fhir_base: str
    token_endpoint: str
    jwks_url: str
    client_id: str
    code_verifier: str
    nonce: str
    return_to: str = ""
