"""Settings of the pretend EHR, read once at start from the environment (`KONSIL_EHR_...`) and passed in."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from fhir_server.settings import Settings as ServerSettings

PREFIX = "KONSIL_FHIR_"


class Settings(BaseSettings):
    """Where the EHR listens, which app it launches, and its tenants."""

    model_config = SettingsConfigDict(env_prefix="KONSIL_EHR_", frozen=True, extra="ignore")

    host: str = Field(default="127.0.0.1", description="address to listen on; browsers use the name localhost")
    port: int = Field(default=8400, description="port to listen on")
    base_url: str = Field(default="http://localhost:8400", description="address under which browsers reach the EHR")
    app_url: str = Field(default="http://127.0.0.1:8402", description="address of the app that the chart launches")
    client_id: str = Field(default="konsil", description="client id of that app at both tenants")
    demo_file: Path = Field(
        default=Path(".konsil/demo.json"), description="what the front page shows: people and programs"
    )
    tenants: dict[str, dict[str, str]] = Field(
        default_factory=dict,
        description="for each tenant (`epic`, `oracle`) the `KONSIL_FHIR_...` settings of its FHIR server, as JSON",
    )

    def server(self, key: str) -> ServerSettings:
        """The settings of one tenant's FHIR server."""
        given = {name.removeprefix(PREFIX).lower(): value for name, value in self.tenants[key].items()}
        return ServerSettings.model_validate(given)
