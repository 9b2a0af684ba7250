"""Settings of the gateway, read once at start from the environment (`KONSIL_DICOM_...`) and passed in."""

import os
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


def default_viewer_dir() -> Path:
    """Where `make setup` puts the viewer, once for all."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "konsil" / "viewer"


class Settings(BaseSettings):
    """Every value that may differ between two gateways; secrets never have a default."""

    model_config = SettingsConfigDict(env_prefix="KONSIL_DICOM_", frozen=True, extra="ignore")

    mode: Literal["gateway", "archive"] = Field(
        default="gateway",
        description="gateway: what arrives waits in quarantine until HIM staff decide; archive: a plain PACS",
    )
    data_dir: Path = Field(default=Path("data/dicom"), description="folder of the journal and the archive")
    database_url: str = Field(default="sqlite:///data/dicom/index.db", description="index, retrieval state, outbox")
    broker_url: str = Field(default="filesystem://", description="Celery broker: filesystem:// or redis://host/0")
    broker_dir: Path | None = Field(default=None, description="folder of the filesystem broker")
    sweep_seconds: float = Field(default=1.0, description="how often a worker looks for due work by itself")
    host: str = Field(default="127.0.0.1", description="address that the web application binds")
    port: int = Field(default=8403, description="port of the web application")
    base_url: str = Field(
        default="http://127.0.0.1:8403", description="address of the web application as others see it"
    )
    tls_certificate: Path | None = Field(
        default=None,
        description="certificate chain (PEM) where TLS ends here; empty: plain HTTP, behind a proxy",
    )
    tls_key: Path | None = Field(
        default=None, description="key of the certificate (PEM), if it is not in the same file"
    )
    requests_per_minute: int = Field(
        default=12_000,
        description="HTTP requests with one token or in one viewer session, in each process; 0: no limit",
    )
    address_requests_per_minute: int = Field(
        default=60_000, description="HTTP requests from one address, in each process; 0: no limit"
    )
    ae_title: str = Field(default="KONSIL", description="our application entity title", max_length=16)
    dimse_host: str = Field(default="127.0.0.1", description="address that the DIMSE listener binds")
    dimse_port: int = Field(default=11403, description="port of the DIMSE listener; 0 takes a free one")
    dimse_plain: bool = Field(default=True, description="listen without TLS, on KONSIL_DICOM_DIMSE_PORT")
    dimse_tls_port: int | None = Field(
        default=None, description="port of the DIMSE listener with TLS (2762 is registered); 0 takes a free one"
    )
    tls_certificate_file: Path | None = Field(default=None, description="the listener's certificate chain, PEM")
    tls_key_file: Path | None = Field(default=None, description="its private key, PEM")
    tls_ca_file: Path | None = Field(
        default=None, description="certificates that vouch for those of peers that call by TLS, PEM"
    )
    query_retrieve: bool | None = Field(
        default=None, description="answer C-FIND, C-MOVE and C-GET of peers; by default only in archive mode"
    )
    maximum_associations: int = Field(default=200, description="associations accepted at once")
    maximum_pdu_bytes: int = Field(default=262_144, description="largest PDU that we receive (0: no limit)")
    move_watchdog_seconds: float = Field(
        default=900, description="a C-GET or C-MOVE without any sign of life ends after this"
    )
    late_arrival_seconds: float = Field(
        default=600, description="objects that come this long after a retrieval still count"
    )
    search_seconds: float = Field(
        default=25, description="how long an outside PACS may take over a search for prior imaging"
    )
    settle_seconds: float = Field(
        default=5, description="how long objects may still be on their way after a C-MOVE ended"
    )
    watch_folder: Path | None = Field(
        default=None, description="folder whose media are imported when they are complete; empty: none is watched"
    )
    retention_days: int | None = Field(
        default=None,
        description="days that released studies are kept, also after their cases ended; empty: for ever",
    )
    unreleased_retention_days: int | None = Field(
        default=None, description="days that studies are kept of which nothing was released; empty: for ever"
    )
    upload_gigabytes: int = Field(
        default=32, description="the largest medium that HIM staff may upload for a case, in GB"
    )
    retrieval_attempts: int = Field(
        default=6, description="attempts at a peer that is down before a retrieval is failed"
    )
    retrieval_backoff_seconds: float = Field(
        default=5, description="first wait between such attempts; doubles each time"
    )
    web_token: SecretStr | None = Field(
        default=None, description="archive mode: the one token that opens DICOMweb; without it the door is closed"
    )
    fhir_base_url: str | None = Field(
        default=None, description="FHIR server that says who sees what; required in gateway mode"
    )
    fhir_token_url: str | None = Field(default=None, description="its token endpoint")
    fhir_client_id: str = Field(default="konsil-gateway", description="our backend-services client there")
    fhir_key_file: Path | None = Field(default=None, description="file with the private JWK of that client")
    poll_seconds: float = Field(default=2.0, description="how often the FHIR server is asked for changed Tasks")
    id_domains: dict[str, str] = Field(
        default_factory=dict,
        description="identifier system of local patients -> issuer of patient id in DICOM, as JSON",
    )
    time_zone: str = Field(default="UTC", description="zone of the site: study times without offset are read in it")
    viewer_dir: Path = Field(
        default_factory=default_viewer_dir,
        description="folder of the installed OHIF viewer; by default `konsil/viewer` in the user's cache folder",
    )
    viewer_banner: bool = Field(default=False, description="show OHIF's own banner on investigational use")
    frame_ancestors: list[str] = Field(
        default_factory=list,
        description="origins (app and EHRs) that may frame the viewer and post codes to it, as JSON",
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        """A listener has a port, and one with TLS its three files."""
        files = (self.tls_certificate_file, self.tls_key_file, self.tls_ca_file)
        if self.dimse_tls_port is not None and None in files:
            raise ValueError("dimse_tls_port needs tls_certificate_file, tls_key_file and tls_ca_file")
        if self.dimse_tls_port is None and not self.dimse_plain:
            raise ValueError("without dimse_plain there has to be a dimse_tls_port")
        return self

    @property
    def answers_queries(self) -> bool:
        """Whether the Query/Retrieve SCP is on."""
        return self.mode == "archive" if self.query_retrieve is None else self.query_retrieve
