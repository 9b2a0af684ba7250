"""What smart_app reads from its environment, once, at start."""

from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Settings of smart_app; each is read from `KONSIL_APP_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="KONSIL_APP_", frozen=True)

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8402, description="Port to listen on.")
    base_url: str = Field(default="http://127.0.0.1:8402", description="Address under which browsers reach the app.")
    tls_certificate: Path | None = Field(
        default=None,
        description="Certificate chain (PEM) where TLS ends here; empty: plain HTTP, behind a proxy.",
    )
    tls_key: Path | None = Field(
        default=None, description="Key of the certificate (PEM), if it is not in the same file."
    )
    sign_ins_per_minute: int = Field(
        default=600, description="Launches and sign-ins from one address, in each process; 0: no limit."
    )
    data_dir: Path = Field(
        default=Path(".konsil/app"), description="Folder of the embedded database and the embedded broker."
    )
    database_url: str = Field(default="", description="`postgresql://...`; empty: SQLite in the data folder.")
    broker_url: str = Field(default="filesystem://", description="Celery broker: `filesystem://` or `redis://...`.")
    broker_dir: Path | None = Field(
        default=None, description="Folder of the filesystem broker; empty: in the data folder."
    )
    fhir_base_url: str = Field(default="http://127.0.0.1:8401/fhir", description="FHIR base of konsil's own server.")
    fhir_issuer: str = Field(default="http://127.0.0.1:8401", description="OIDC issuer of konsil's own server.")
    gateway_url: str = Field(
        default="http://127.0.0.1:8403", description="Address of dicom_gateway, for browsers and the app."
    )
    session_hours: float = Field(default=10, description="Longest life of a browser session.")
    session_idle_minutes: float = Field(
        default=120, description="A launch that nobody used for so long has ended; what an open page asks is no use."
    )
    session_idle_minutes_by_role: dict[str, float] = Field(
        default={}, description='The same for people of a role, as JSON: `{"requester": 30}`; the shortest time holds.'
    )
    sign_in_minutes: float = Field(
        default=10, description="Time within which a sign-in begun at an EHR must come back."
    )
    sweep_seconds: float = Field(
        default=5, description="How often the worker looks at its outbox and its cursor by itself."
    )
    time_zone: str = Field(
        default="", description="IANA zone in which times are shown; empty: the zone of the machine."
    )
    guided_visits: bool = Field(default=True, description="Show each person round at their first visit.")
    prior_rules: Path | None = Field(
        default=None,
        description="Rules (JSON) by which outside studies are suggested; empty: `profiles/prior-rules.json`.",
    )
    upload_megabytes: int = Field(default=10, description="Largest file a person may attach.")

    @cached_property
    def database(self) -> str:
        """Database URL in use: the given one, or SQLite in the data folder."""
        return self.database_url or f"sqlite:///{(self.data_dir / 'app.db').resolve()}"

    @cached_property
    def broker_folder(self) -> Path:
        """Folder of the filesystem broker in use."""
        return self.broker_dir or self.data_dir / "broker"


def origin_of(url: str) -> str:
    """Origin (scheme, host, port) of an URL, as browsers write it in `Origin`."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
