"""What a pretend hospital is made of on one machine: folder, ports, databases, broker, the outside PACS."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Program = Literal["fhir", "app", "dicom"]


@dataclass(frozen=True)
class Ports:
    """Every port; all on loopback."""

    ehr: int = 8400
    fhir: int = 8401
    app: int = 8402
    gateway: int = 8403
    outside_web: int = 8404
    scp: int = 11403
    outside_scp: int = 11404
    workstation_web: int = 8405
    workstation_scp: int = 11405


@dataclass(frozen=True)
class OutsidePeer:
    """An outside PACS that somebody else runs, instead of the sandbox's own."""

    ae_title: str
    port: int
    can: tuple[str, ...] = ("find", "move", "get")
    host: str = "127.0.0.1"


@dataclass(frozen=True)
class Destination:
    """A radiologist's PACS that released studies are sent to."""

    name: str
    ae_title: str
    port: int
    host: str = "127.0.0.1"


@dataclass(frozen=True)
class Plan:
    """One installation.  `databases` and `broker_url` override the embedded defaults (SQLite, filesystem).

    `keep_every` thins the images out: 1 for the demo, more for tests.  `cases`: a program makes cases at every stage.
    `guided_visits` shows everybody round once.  `workstation`: a reading workstation runs too, which readers send
    studies to when they ask for it.
    """

    directory: Path
    ports: Ports = field(default_factory=Ports)
    databases: dict[Program, str] = field(default_factory=dict)
    broker_url: str | None = None
    outside: OutsidePeer | None = None
    destinations: tuple[Destination, ...] = ()
    keep_every: int = 1
    poll_seconds: float = 1.0
    cases: bool = False
    guided_visits: bool = False
    workstation: bool = False

    @property
    def ehr_url(self) -> str:
        """The hospital's EHR: another host name than ours, so that frames are cross-site."""
        return f"http://localhost:{self.ports.ehr}"

    @property
    def fhir_url(self) -> str:
        """Our FHIR server's base address (its issuer)."""
        return f"http://127.0.0.1:{self.ports.fhir}"

    @property
    def app_url(self) -> str:
        """The app."""
        return f"http://127.0.0.1:{self.ports.app}"

    @property
    def gateway_url(self) -> str:
        """The gateway's web address."""
        return f"http://127.0.0.1:{self.ports.gateway}"

    def data(self, name: str) -> Path:
        """A program's own folder."""
        return self.directory / "data" / name

    def database(self, program: Program) -> str:
        """A program's database."""
        return self.databases.get(program) or f"sqlite:///{self.data(program).resolve() / f'{program}.db'}"
