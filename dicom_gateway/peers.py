"""The DICOM peers of this gateway, as data: outside PACS that we ask, systems that send to us, destinations we serve.

DIMSE has no authentication, so a peer is an AE title together with the addresses it may come from.
"""

import json
import socket
import time
from dataclasses import dataclass, fields
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from sqlalchemy import Connection, Engine, false, select, update
from sqlalchemy.engine import RowMapping

from dicom_gateway import hours
from dicom_gateway.errors import NotFound
from dicom_gateway.index import models

Ability = Literal["find", "move", "get", "store", "commit"]
ANYWHERE = "*"
LISTS = ("can", "calling_ae_titles", "addresses", "readers", "hours")
EVERY_READER = "*"


class Tls(BaseModel):
    """How a peer is reached by TLS, and which certificate makes it known.  PS3.15 B.12

    Without `certificates` any that `ca_file` vouches for is the peer's when it calls; when we call, one for its host.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    ca_file: str = Field(min_length=1, description="certificates that vouch for the peer's, PEM")
    certificate_file: str = Field(default="", description="the certificate that we show there, PEM")
    key_file: str = Field(default="", description="its private key, PEM; by default in the same file")
    server_name: str = Field(default="", description="the name in the peer's certificate; by default its host")
    certificates: frozenset[str] = Field(
        default=frozenset(),
        description="which certificates are the peer's: SHA-256 in hexadecimal digits, a DNS name or the common name",
    )

    @field_validator("certificates")
    @classmethod
    def _plain(cls, certificates: frozenset[str]) -> frozenset[str]:
        """Fingerprints as openssl prints them, with colons, and names in any case."""
        return frozenset(value.replace(":", "").lower() for value in certificates)


class DicomWeb(BaseModel):
    """Where a peer offers QIDO-RS and WADO-RS, and how we prove ourselves there: by nothing, by the certificate of its
    `tls`, or by a token of client credentials.  PS3.18 8, RFC 7523
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    root: str = Field(pattern=r"^https?://[^/?#@]+(/[^?#]*)?$", description="base address of its DICOMweb service")
    token_url: str = Field(default="", pattern=r"^(https?://[^/?#@]+/.*)?$", description="where tokens are had")
    client_id: str = Field(default="", description="our client id there")
    key_file: str = Field(default="", description="our private key there: a JWK with kid, P-384 or RSA")
    scope: str = Field(default="", description="the scopes that we ask for")

    @model_validator(mode="after")
    def _whole(self) -> "DicomWeb":
        if self.token_url and not (self.client_id and self.key_file):
            raise ValueError("a token needs client_id and key_file")
        return self


class PeerEntry(BaseModel):
    """One peer in a provisioning file."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, description="short name used in tasks and logs")
    title: str = Field(default="", description="name that people see")
    ae_title: str = Field(min_length=1, max_length=16)
    host: str = "127.0.0.1"
    port: int = Field(default=104, gt=0, lt=65536)
    our_ae_title: str = Field(default="", description="how this peer knows us; by default our AE title")
    issuer: str = Field(default="", description="issuer of its patient ids, when its data sets name none")
    issuer_oid: str = ""
    charset: str = Field(default="ISO_IR 192", description="character set in which it is asked")
    can: list[Ability] = Field(default_factory=list, description="what it offers")
    forward: bool = Field(default=False, description="released studies are sent there")
    readers: list[str] = Field(
        default_factory=list,
        description="whose workstation it is: `Practitioner/id` of those who may have the studies of their cases sent "
        "there, or * for every reader",
    )
    id_domain: str = Field(default="", description="issuer of the patient ids that this destination expects")
    calling_ae_titles: list[str] = Field(default_factory=list, description="further AE titles it sends under")
    addresses: list[str] = Field(
        default_factory=list, description="addresses it may come from; by default its host; * for any"
    )
    tls: Tls | None = Field(default=None, description="it is called by TLS, and may call by TLS alone")
    dicomweb: DicomWeb | None = Field(default=None, description="it is searched and fetched from by DICOMweb")
    associations_at_once: int = Field(
        default=0, ge=0, le=10_000, description="associations that it may have open with us at the same time; 0: any"
    )
    associations_per_minute: int = Field(
        default=0, ge=0, le=100_000, description="associations that it may begin within a minute; 0: any"
    )
    hours: list[str] = Field(
        default_factory=list, description="when it may be sent to and fetched from, such as 18:00-06:00; empty: always"
    )
    kilobytes_per_second: int = Field(
        default=0,
        ge=0,
        le=10_000_000,
        description="the most that a transfer sends to it or fetches from it, in kB/s; 0: any",
    )

    @field_validator("hours")
    @classmethod
    def _spans(cls, spans: list[str]) -> list[str]:
        return list(hours.checked(spans))


@dataclass(frozen=True, slots=True)
class Peer:
    """One peer, with what was learned about it: `capabilities`, and whether it answered when last checked."""

    name: str
    title: str
    ae_title: str
    host: str
    port: int
    our_ae_title: str
    issuer: str
    issuer_oid: str
    charset: str
    can: tuple[str, ...]
    forward: bool
    readers: tuple[str, ...]
    id_domain: str
    calling_ae_titles: tuple[str, ...]
    addresses: tuple[str, ...]
    tls: Tls | None
    dicomweb: DicomWeb | None
    associations_at_once: int
    associations_per_minute: int
    hours: tuple[str, ...]
    kilobytes_per_second: int
    capabilities: dict[str, Any]
    reachable: bool | None
    checked_at: float | None

    @property
    def ae_titles(self) -> frozenset[str]:
        """Every AE title under which this peer may call us."""
        return frozenset((self.ae_title, *self.calling_ae_titles))

    def serves(self, reader: str) -> bool:
        """Whether a person, `Practitioner/id`, may have studies sent there."""
        return "store" in self.can and bool({reader, EVERY_READER} & set(self.readers))

    def shows(self, certificate: frozenset[str] | None) -> bool:
        """Whether what a connection has shown (None: it is without TLS) is good enough for this peer."""
        if self.tls is None:
            return True
        return certificate is not None and (not self.tls.certificates or bool(self.tls.certificates & certificate))

    def comes_from(self, address: str) -> bool:
        """Whether an association from this address may be this peer's."""
        if ANYWHERE in self.addresses or address in self.addresses:
            return True
        return not self.addresses and address in _resolve(self.host)


def _resolve(host: str) -> set[str]:
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(host, None)}
    except OSError:
        return set()


def all_peers(connection: Connection) -> list[Peer]:
    """List the peers by name, without those that were deactivated."""
    active = select(models.peer).where(models.peer.c.disabled.is_(false()))
    rows = connection.execute(active.order_by(models.peer.c.name)).mappings()
    return [_peer(row) for row in rows]


def by_name(connection: Connection, name: str) -> Peer:
    """Find one peer; raises NotFound, also for one that was deactivated."""
    active = select(models.peer).where(models.peer.c.name == name, models.peer.c.disabled.is_(false()))
    row = connection.execute(active).mappings().one_or_none()
    if row is None:
        raise NotFound(f"no peer is named {name}")
    return _peer(row)


def by_calling(connection: Connection, ae_title: str, address: str) -> Peer | None:
    """Find the peer that calls under this AE title from this address."""
    candidates = (peer for peer in all_peers(connection) if ae_title in peer.ae_titles)
    return next((peer for peer in candidates if peer.comes_from(address)), None)


def note(engine: Engine, name: str, reachable: bool, **capabilities: Any) -> None:
    """Keep what was learned about a peer: whether it answers, and which capabilities it showed."""
    peer = models.peer
    with engine.begin() as connection:
        held = connection.execute(select(peer.c.capabilities).where(peer.c.name == name)).scalar()
        known = json.loads(held or "{}") | capabilities
        changed = {"reachable": reachable, "checked_at": time.time(), "capabilities": json.dumps(known)}
        connection.execute(update(peer).where(peer.c.name == name).values(changed))


def _peer(row: RowMapping) -> Peer:
    values = {field.name: row[field.name] for field in fields(Peer)}
    values |= {name: tuple(json.loads(values[name])) for name in LISTS}
    values["tls"] = Tls.model_validate_json(values["tls"]) if values["tls"] else None
    values["dicomweb"] = DicomWeb.model_validate_json(values["dicomweb"]) if values["dicomweb"] else None
    values["capabilities"] = json.loads(values["capabilities"])
    return Peer(**values)
