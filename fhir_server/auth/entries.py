"""Clients, tenants and accounts as an administrator writes them down: in a file, by a command, on a page."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from fhir_server.scopes import ADMINISTRATION, CONTEXT_SCOPES, parse, split

Resource = dict[str, Any]


def _known_scopes(scopes: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [text for text in scopes if text not in {*CONTEXT_SCOPES, ADMINISTRATION} and parse(text) is None]
    if unknown:
        raise ValueError(f"not SMART scopes: {' '.join(unknown)}")
    return scopes


ADDRESS = re.compile(r"[A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=%]+")
"""RFC 3986 2 without `#`: a backslash, a blank, a line end or another letter could be read in two ways."""
AUTHORITY = re.compile(r"(?:[A-Za-z0-9._\-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
"""RFC 3986 3.2 without a user: host and port."""


def _addresses(uris: tuple[str, ...]) -> tuple[str, ...]:
    for uri in uris:
        parts = urlsplit(uri)
        loopback = parts.scheme == "http" and parts.hostname in {"localhost", "127.0.0.1", "::1"}
        plain = ADDRESS.fullmatch(uri) and AUTHORITY.fullmatch(parts.netloc)
        if not (parts.scheme == "https" or loopback) or not plain:
            raise ValueError(f"not an https address (or http on loopback) without fragment: {uri}")
    return uris


def _split(value: object) -> object:
    return split(value) if isinstance(value, str) else value


def _address(uri: str) -> str:
    return _addresses((uri,))[0]


Address = Annotated[str, AfterValidator(_address)]
Organization = Annotated[str, Field(pattern=r"^Organization/[A-Za-z0-9\-.]{1,64}$")]


class Entry(BaseModel):
    """Members that are not known are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ClientEntry(Entry):
    """A client; `scopes` is a list or one text with blanks between."""

    client_id: str
    name: str
    type: Literal["public", "confidential"] = "confidential"
    redirect_uris: Annotated[tuple[str, ...], AfterValidator(_addresses)] = ()
    jwks: dict[str, Any] | None = None
    jwks_url: Address | None = None
    secret: str | None = None
    scopes: Annotated[tuple[str, ...], AfterValidator(_known_scopes)] = ()
    launch_url: str | None = None
    trusted: bool = False
    may_exchange: bool = False
    roles: frozenset[str] = frozenset()
    organization: Organization | None = None

    @model_validator(mode="before")
    @classmethod
    def _spellings(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        given = dict(value)
        if "role" in given:
            given["roles"] = [given.pop("role")]
        return given | ({"scopes": _split(given["scopes"])} if "scopes" in given else {})

    @model_validator(mode="after")
    def _can_prove_itself(self) -> "ClientEntry":
        proofs = [self.jwks is not None, self.jwks_url is not None, self.secret is not None]
        if sum(proofs) != (1 if self.type == "confidential" else 0):
            raise ValueError("a confidential client has one of jwks, jwks_url and secret; a public one has none")
        if self.jwks is not None and any("d" in key for key in self.jwks.get("keys", ())):
            raise ValueError("jwks holds a private key; register the public half")
        return self


class AccountEntry(Entry):
    """A local account; `practitioner` is its Practitioner resource with an id, `pin` the one for signing, `acts_for`
    the RelatedPersons, with ids, that a proxy is.
    """

    username: str
    password: str | None = None
    pin: str | None = None
    name: str
    roles: frozenset[str]
    organization: Organization | None = None
    practitioner: Resource | None = None
    fhir_user: str | None = None
    acts_for: tuple[Resource, ...] = ()
    disabled: bool = False


class TenantEntry(Entry):
    """An EHR tenant whose id_tokens may be exchanged."""

    name: str
    issuer: str
    client_id: str
    organization: Organization
    jwks: dict[str, Any] | None = None
    jwks_url: Address | None = None
