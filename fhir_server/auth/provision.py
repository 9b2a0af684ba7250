"""What an administrator provisions from one JSON file: clients, accounts, tenants, resources.  docs/provisioning.md

Running it again changes nothing but what the file changed.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from uuid import uuid4

from anyio import to_thread
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from fhir_server.auth import accounts, passwords, records, tokens
from fhir_server.context import Node
from fhir_server.scopes import CONTEXT_SCOPES, parse, split
from fhir_server.store import auth_registry
from fhir_server.store.auth_values import Account, Client, Tenant

Resource = dict[str, Any]


def _known_scopes(scopes: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [text for text in scopes if text not in CONTEXT_SCOPES and parse(text) is None]
    if unknown:
        raise ValueError(f"not SMART scopes: {' '.join(unknown)}")
    return scopes


def _addresses(uris: tuple[str, ...]) -> tuple[str, ...]:
    for uri in uris:
        parts = urlsplit(uri)
        loopback = parts.scheme == "http" and parts.hostname in {"localhost", "127.0.0.1", "::1"}
        if not (parts.scheme == "https" or loopback) or not parts.netloc or "#" in uri or "@" in parts.netloc:
            raise ValueError(f"not an https address (or http on loopback) without fragment: {uri}")
    return uris


def _split(value: object) -> object:
    return split(value) if isinstance(value, str) else value


Organization = Annotated[str, Field(pattern=r"^Organization/[A-Za-z0-9\-.]{1,64}$")]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ClientEntry(_Entry):
    """A client; `scopes` is a list or one text with blanks between."""

    client_id: str
    name: str
    type: Literal["public", "confidential"] = "confidential"
    redirect_uris: Annotated[tuple[str, ...], AfterValidator(_addresses)] = ()
    jwks: dict[str, Any] | None = None
    jwks_url: str | None = None
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


class AccountEntry(_Entry):
    """A local account; `practitioner` is its Practitioner resource with an id."""

    username: str
    password: str | None = None
    name: str
    roles: frozenset[str]
    organization: Organization | None = None
    practitioner: Resource | None = None
    fhir_user: str | None = None
    disabled: bool = False


class TenantEntry(_Entry):
    """An EHR tenant whose id_tokens may be exchanged."""

    name: str
    issuer: str
    client_id: str
    organization: Organization
    jwks: dict[str, Any] | None = None
    jwks_url: str | None = None


class Document(_Entry):
    """The whole file.  `organization` is the one that the resources are written for."""

    clients: tuple[ClientEntry, ...] = ()
    accounts: tuple[AccountEntry, ...] = ()
    tenants: tuple[TenantEntry, ...] = ()
    resources: tuple[Resource, ...] = ()
    organization: Organization | None = None
    comment: str = Field(default="", exclude=True)


async def provision(node: Node, document: Document) -> dict[str, int]:
    """Insert or update everything of the document; gives how many of each."""
    caller = records.registrar(document.organization)
    await records.put(node, caller, document.resources)
    for client in document.clients:
        await _client(node, client)
    for tenant in document.tenants:
        await _tenant(node, tenant)
    for account in document.accounts:
        await _account(node, account)
    tokens.forget(node.database)
    return {name: len(getattr(document, name)) for name in ("resources", "clients", "tenants", "accounts")}


async def _client(node: Node, entry: ClientEntry) -> None:
    known = await auth_registry.find_client(node.database, entry.client_id)
    secret_hash = await _hash(entry.secret, known.secret_hash if known is not None else None)
    values = entry.model_dump(exclude={"secret"})
    async with node.database.transaction() as transaction:
        await auth_registry.put_client(transaction, Client(**values, secret_hash=secret_hash))


async def _tenant(node: Node, entry: TenantEntry) -> None:
    async with node.database.transaction() as transaction:
        await auth_registry.put_tenant(transaction, Tenant(**entry.model_dump()))


async def _account(node: Node, entry: AccountEntry) -> None:
    username = accounts.normal(entry.username)
    fhir_user = entry.fhir_user
    if entry.practitioner is not None:
        await records.put(node, records.registrar(entry.organization), [entry.practitioner])
        fhir_user = f"{entry.practitioner['resourceType']}/{entry.practitioner['id']}"
    known = await auth_registry.find_account_by_username(node.database, username)
    password_hash = await _hash(entry.password, known[1] if known is not None else None)
    values = entry.model_dump(include={"name", "roles", "organization", "disabled"})
    account = Account(**values, account_id=str(uuid4()), fhir_user=fhir_user, username=username)
    async with node.database.transaction() as transaction:
        await auth_registry.put_local_account(transaction, account, password_hash)


async def _hash(secret: str | None, known: str | None) -> str | None:
    """Hash a secret, unless it is the one that is known: running again stays quick and changes nothing."""
    if secret is None or (known is not None and await passwords.matches(secret, known)):
        return known
    return await to_thread.run_sync(passwords.make, secret)
