"""The hospitals that may launch the app, and the keys the app is known by."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from konsil.oauth_client import ClientKey
from smart_app.settings import origin_of

EHR_SCOPE = " ".join(
    [
        "launch openid fhirUser profile online_access",
        *(
            f"patient/{kind}.rs"
            for kind in (
                "Patient",
                "Condition",
                "MedicationRequest",
                "AllergyIntolerance",
                "Observation",
                "DiagnosticReport",
                "DocumentReference",
                "Encounter",
                "Procedure",
                "Binary",
            )
        ),
    ]
)


class Backend(BaseModel):
    """The backend-services client by which a signed report goes back into the EHR."""

    model_config = ConfigDict(frozen=True)

    client_id: str
    token_url: str
    scope: str = "system/DocumentReference.crs system/Patient.rs"
    key: dict[str, Any] | None = None


class Tenant(BaseModel):
    """One hospital: where its FHIR server and its OIDC issuer are (two addresses), and who we are there."""

    model_config = ConfigDict(frozen=True)

    name: str
    title: str
    fhir_base: str
    issuer: str
    jwks_url: str
    client_id: str
    key: dict[str, Any] | None = None
    scope: str = EHR_SCOPE
    backend: Backend | None = None
    frame_origins: tuple[str, ...] = ()
    patient_identifier_system: str
    organization: str
    style: Literal["epic", "oracle"] = "epic"

    def origins(self) -> frozenset[str]:
        """Origins to which a token of this hospital may be sent."""
        urls = [self.fhir_base, self.issuer, self.jwks_url, *([self.backend.token_url] if self.backend else [])]
        return frozenset(origin_of(url) for url in urls)


class NamedKey(BaseModel):
    """A client id with its private JWK."""

    model_config = ConfigDict(frozen=True)

    client_id: str
    key: dict[str, Any]

    def for_token_url(self, token_url: str) -> ClientKey:
        """The key as the kernel's OAuth client wants it, for one token endpoint."""
        return ClientKey(client_id=self.client_id, key_jwk=self.key, token_url=token_url)


class Provision(BaseModel):
    """What `konsil app provision FILE` reads."""

    model_config = ConfigDict(frozen=True)

    client: NamedKey
    system: NamedKey
    tenants: list[Tenant] = Field(default_factory=list)


def base_url(url: str) -> str:
    """A FHIR base as it is compared: without the slash at the end, which EHRs send or leave out as they like."""
    return url.rstrip("/")
