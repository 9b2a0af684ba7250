"""Settings of the FHIR server: read once at start, then passed in."""

import os
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


def cache_folder() -> Path:
    """The user's cache folder for konsil (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "konsil"


def default_definitions() -> Path:
    """Where set-up puts the package hl7.fhir.r4.core."""
    return cache_folder() / "r4" / "hl7.fhir.r4.core.tgz"


class Settings(BaseSettings):
    """Everything that may differ between installations; environment variables `KONSIL_FHIR_...`."""

    model_config = SettingsConfigDict(env_prefix="KONSIL_FHIR_", frozen=True, extra="ignore")

    database_url: str = "sqlite:///.konsil/fhir.db"
    data_dir: Path = Path(".konsil/fhir")
    host: str = "127.0.0.1"
    port: int = 8401
    base_url: str = "http://127.0.0.1:8401"
    definitions: Path = Field(default_factory=default_definitions)
    profiles: Path | None = None
    publish_profiles: bool = Field(True, description="Write the artefacts of profiles/ as resources at start")
    migrate_at_start: bool = True
    database_connections: int = 10
    max_body_bytes: int = 50_000_000
    max_json_depth: int = 100
    page_size: int = 50
    max_page_size: int = 1000
    max_includes: int = 1000
    max_transaction_entries: int = 5000
    cookie_name: str = Field("konsil-fhir", description="Part of the cookie names: each server of a host its own")
    session_seconds: int = Field(43_200, description="Longest life of a browser session")
    session_idle_seconds: int = Field(7_200, description="A browser session unused for so long has ended")
    access_token_seconds: int = Field(3_600, description="Life of an access token of the code flow")
    exchanged_token_seconds: int = Field(14_400, description="Life of an access token made from a tenant's id_token")
    refresh_token_seconds: int = Field(7_776_000, description="Life of a refresh token (offline_access)")
    product_name: str = Field("konsil", description="Name on the sign-in pages")

    @property
    def fhir_url(self) -> str:
        """The service base URL.  https://hl7.org/fhir/R4/http.html#general"""
        return f"{self.base_url.rstrip('/')}/fhir"
