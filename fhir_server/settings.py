"""Settings of the FHIR server: read once at start, then passed in."""

import os
from ipaddress import ip_address
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


def cache_folder() -> Path:
    """The user's cache folder for konsil (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "konsil"


def default_definitions() -> Path:
    """Where set-up puts the package hl7.fhir.r4.core."""
    return cache_folder() / "r4" / "hl7.fhir.r4.core.tgz"


def default_units() -> Path:
    """Where set-up puts UCUM's units."""
    return cache_folder() / "ucum" / "ucum-2.2-1.json"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host name or address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Settings(BaseSettings):
    """Everything that may differ between installations; environment variables `KONSIL_FHIR_...`."""

    model_config = SettingsConfigDict(env_prefix="KONSIL_FHIR_", frozen=True, extra="ignore")

    database_url: str = Field("sqlite:///.konsil/fhir.db", description="`sqlite:////path.db` or `postgresql://...`")
    database_connections: int = Field(10, description="Size of the pool of PostgreSQL connections of a process")
    migrate_at_start: bool = Field(True, description="Migrate at start; off: refuse to start when the schema is behind")
    host: str = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(8401, description="Port to listen on")
    base_url: str = Field(
        "http://127.0.0.1:8401", description="Address under which clients reach the server; the issuer"
    )
    tls_certificate: Path | None = Field(
        None, description="Certificate chain (PEM) where TLS ends here; empty: plain HTTP, behind a proxy"
    )
    tls_key: Path | None = Field(None, description="Key of the certificate (PEM), if it is not in the same file")
    definitions: Path = Field(
        default_factory=default_definitions, description="The package hl7.fhir.r4.core (.tgz), fetched by set-up"
    )
    units: Path = Field(
        default_factory=default_units, description="UCUM's units of measure, fetched and compiled by set-up"
    )
    profiles: Path | None = Field(None, description="Folder of further FHIR JSON; empty: the one shipped")
    publish_profiles: bool = Field(True, description="Write the artefacts of profiles/ as resources at start")
    search_seconds: float = Field(
        30.0, description="A search that takes longer is ended and answered by 422 (too-costly); 0: never"
    )
    max_body_bytes: int = Field(50_000_000, description="Largest body that is read; a larger one is 413")
    max_binary_bytes: int = Field(1_000_000_000, description="Largest Binary that is taken as bytes, not as a resource")
    binary_store: str | None = Field(
        None,
        description="Object store of Binaries over 1 MB that come by themselves: `s3://bucket/prefix`, `az://...`, "
        "`gs://...`, credentials from the environment; empty: the database",
    )
    max_json_depth: int = Field(100, description="Deepest nesting of a JSON body")
    page_size: int = Field(50, description="Matches on a page without `_count`")
    max_page_size: int = Field(1000, description="Most matches on a page")
    max_includes: int = Field(1000, description="Most resources that `_include` and `_revinclude` may add to a page")
    max_transaction_entries: int = Field(5000, description="Most entries of a batch or transaction")
    validation: Literal["refuse", "tag", "structure"] = Field(
        "refuse",
        description="What fails validation is refused (`refuse`), or stored and tagged (`tag`); `structure` looks only "
        "whether it can be read",
    )
    validation_profiles: tuple[str, ...] = Field(
        (), description="Canonicals of profiles that every resource of their type must meet, as a JSON array"
    )
    validation_references: bool = Field(
        False, description="Whether what a resource refers to on this server has to be there (422 where it is not)"
    )
    full_text: bool = Field(
        False,
        description="Whether whole texts are indexed, for `_text` and `_content`; a change takes `konsil fhir reindex`",
    )
    export_kept_seconds: int = Field(86_400, description="A bulk export's files are removed after so long")
    exports_at_once: int = Field(3, description="Most bulk exports of one client that run at a time; more is 429")
    max_expansion: int = Field(2_000, description="Most codes of a value set's expansion without `count`")
    terminology_server: str | None = Field(
        None, description="FHIR base URL of a terminology server that is asked where a code system is not loaded here"
    )
    conditional_delete: Literal["single", "multiple"] = Field(
        "single", description="Whether a conditional delete takes every match (`multiple`) or refuses several (412)"
    )
    cookie_name: str = Field("konsil-fhir", description="Part of the cookie names: each server of a host its own")
    session_seconds: int = Field(43_200, description="Longest life of a browser session")
    session_idle_seconds: int = Field(7_200, description="A browser session unused for so long has ended")
    session_idle_seconds_by_role: dict[str, int] = Field(
        {}, description='The same for people of a role, as JSON: `{"administrator": 900}`; the shortest time holds'
    )
    second_factor_roles: tuple[str, ...] = Field(
        (), description="Roles whose people must have a second step of signing in, as a JSON array; the others may"
    )
    signing_proof: bool = Field(
        True,
        description="Whether who signs a report proves anew who they are: PIN, code, or a sign-in for that signature",
    )
    access_token_seconds: int = Field(3_600, description="Life of an access token of the code flow")
    exchanged_token_seconds: int = Field(14_400, description="Life of an access token made from a tenant's id_token")
    refresh_token_seconds: int = Field(7_776_000, description="Life of a refresh token (offline_access)")
    sign_in_requests_per_minute: int = Field(
        600, description="Requests to sign-in, authorization and token from one address, in each process; 0: no limit"
    )
    failed_sign_ins_per_hour: int = Field(
        100,
        description="Wrong credentials of people and clients from one address before it must wait; 0: no limit",
    )
    requests_per_minute: int = Field(
        6_000, description="FHIR requests of one person through one client, in each process; 0: no limit"
    )
    client_requests_per_minute: int = Field(
        60_000, description="The same for a client that acts alone (role system, interface engine); 0: no limit"
    )
    case_watch_seconds: float = Field(
        5.0,
        description="How often cases are held against the Consents that release them, so that one whose Consent has "
        "ended rests and goes on when it is renewed; 0: never",
    )
    emergency_minutes: int = Field(60, description="How long emergency access lasts when nobody says how long")
    max_emergency_minutes: int = Field(240, description="How long emergency access may last at most")
    audit: bool = Field(True, description="Keep AuditEvents of every interaction; off for measurements alone")
    audit_retention_days: int = Field(
        2_192,
        ge=1,
        description="How many days the audit is kept: `konsil audit retain` removes nothing younger (six years, "
        "45 CFR 164.316(b)(2)(i))",
    )
    product_name: str = Field("konsil", description="Name on the sign-in pages")
    patient_app_url: str | None = Field(
        None, description="Where patients and their proxies go once they have an account: the app's `/sign-in`"
    )
    invitation_seconds: int = Field(604_800, description="How long the link of an invitation works: seven days")
    mail_from: str = Field("konsil <no-reply@localhost>", description="Sender of e-mails, `Name <address>`")
    mail_folder: Path = Field(
        Path(".konsil/mail"), description="Where e-mails are put as `.eml` files when there is no `smtp_host`"
    )
    smtp_host: str | None = Field(None, description="Mail server that takes our e-mails; empty: `mail_folder`")
    smtp_port: int = Field(587, description="Its port")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="`starttls` (587), `tls` from the first byte (465), or `none` on a trusted wire alone"
    )
    smtp_ca: Path | None = Field(None, description="Certificates (PEM) that may vouch for it; empty: the system's")
    smtp_user: str | None = Field(None, description="Name to sign in with there; empty: without")
    smtp_password: SecretStr = Field(SecretStr(""), description="The password to that name")
    demo_sign_in: bool = Field(
        False,
        description="Sign in whomever `login_hint` names, without a password: for a demo alone, never where there are "
        "real patients; refused unless host and base URL are loopback",
    )

    @model_validator(mode="after")
    def demo_stays_on_this_machine(self) -> Self:
        """Refuse to start where another machine could enter without a password."""
        named = {"host": self.host, "base_url": urlsplit(self.base_url).hostname or ""}
        for name, host in named.items():
            if self.demo_sign_in and not is_loopback(host):
                raise ValueError(f"demo_sign_in lets anybody in without a password: {name} is not loopback ({host})")
        return self

    @property
    def fhir_url(self) -> str:
        """The service base URL.  https://hl7.org/fhir/R4/http.html#general"""
        return f"{self.base_url.rstrip('/')}/fhir"
