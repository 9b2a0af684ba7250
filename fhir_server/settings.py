"""Settings of the FHIR server: read once at start, then passed in."""

import os
from ipaddress import ip_address
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator
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
    access_token_seconds: int = Field(3_600, description="Life of an access token of the code flow")
    exchanged_token_seconds: int = Field(14_400, description="Life of an access token made from a tenant's id_token")
    refresh_token_seconds: int = Field(7_776_000, description="Life of a refresh token (offline_access)")
    audit: bool = Field(True, description="Keep AuditEvents of every interaction; off for measurements alone")
    product_name: str = Field("konsil", description="Name on the sign-in pages")
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
