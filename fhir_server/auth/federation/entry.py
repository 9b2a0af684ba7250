"""An identity provider as the provisioned file names it.  docs/provisioning.md"""

import time
from collections.abc import Collection
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from fhir_server.audit.event import ATTRIBUTES_CHANGED
from fhir_server.auth import administration
from fhir_server.auth.entries import Address, Entry, Organization
from fhir_server.auth.policy import PERSONS
from fhir_server.context import Node
from fhir_server.scopes import split
from fhir_server.store import auth_providers
from fhir_server.store.auth_providers import IdentityProvider
from konsil.secrets import seal

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]
OURS = frozenset(
    {
        "response_type",
        "response_mode",
        "client_id",
        "redirect_uri",
        "scope",
        "state",
        "nonce",
        "code_challenge",
        "code_challenge_method",
        "acr_values",
        "prompt",
        "max_age",
        "login_hint",
        "request",
        "request_uri",
    }
)


class Unprovisionable(ValueError):
    """An identity provider that the file describes only in part."""


def _listed(value: object) -> object:
    return split(value) if isinstance(value, str) else value


def _path(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _persons(role: str) -> str:
    if role not in PERSONS:
        raise ValueError(f"not a role of people who sign in at a hospital: {role}")
    return role


class _Rule(Entry):
    """A claim, or the path to one inside of others, and the value that it must have or hold; neither: everybody."""

    claim: Annotated[tuple[str, ...], BeforeValidator(_path)] = ()
    value: str | None = None

    @model_validator(mode="after")
    def _whole(self) -> "_Rule":
        if bool(self.claim) != (self.value is not None):
            raise ValueError("claim and value go together")
        return self


class RoleRule(_Rule):
    """Who has the claim has the role."""

    role: Annotated[str, AfterValidator(_persons)]


class OrganizationRule(_Rule):
    """Who has the claim works for the organization."""

    organization: Organization


class ProviderEntry(Entry):
    """A hospital's identity provider."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
    title: Annotated[str, Field(min_length=1, max_length=80)]
    issuer: Address
    client_id: Annotated[str, Field(min_length=1)]
    secret: Annotated[str, Field(min_length=1)] | None = None
    private_key_jwt: bool = False
    scopes: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ("openid", "profile")
    roles: Annotated[tuple[RoleRule, ...], Field(min_length=1)]
    organization: Organization | None = None
    organizations: tuple[OrganizationRule, ...] = ()
    acr: tuple[str, ...] = ()
    amr: tuple[str, ...] = ()
    algorithms: Annotated[frozenset[Algorithm], Field(min_length=1)] = frozenset({"RS256", "ES256"})
    origins: tuple[Address, ...] = ()
    parameters: dict[str, str] = {}
    userinfo: bool = False

    @model_validator(mode="after")
    def _sound(self) -> "ProviderEntry":
        if "?" in self.issuer:
            raise ValueError("an issuer has no query")
        if "openid" not in self.scopes:
            raise ValueError("scopes hold openid")
        if self.organization is None and not self.organizations:
            raise ValueError("organization or organizations say for whom the people work")
        if self.secret is not None and self.private_key_jwt:
            raise ValueError("secret or private_key_jwt, not both")
        if OURS & set(self.parameters):
            raise ValueError(f"parameters that are ours to set: {' '.join(sorted(OURS & set(self.parameters)))}")
        return self


async def provision(node: Node, entry: ProviderEntry, position: int) -> None:
    """Insert or update a provider; a secret that the file leaves out stays.  Raises Unprovisionable, SecretsError."""
    sealed = seal(entry.secret.encode()) if entry.secret is not None else None
    if sealed is None and not entry.private_key_jwt:
        sealed = await auth_providers.find_secret(node.database, entry.name)
        if sealed is None:
            raise Unprovisionable(f"identity provider {entry.name} has neither secret nor private_key_jwt")
    values = entry.model_dump(exclude={"secret", "private_key_jwt"})
    async with node.database.transaction() as transaction:
        provider = IdentityProvider(**values, secret_sealed=sealed)
        await auth_providers.put_provider(transaction, provider, position)


async def deactivate_others(node: Node, named: Collection[str]) -> int:
    """Let nobody in by providers that are not named, and end what their people have open; gives how many."""
    async with node.database.transaction() as transaction:
        names = await auth_providers.deactivate_others(transaction, named)
        for name in names:
            ended = await auth_providers.take_sign_ins(transaction, name, None, None)
            await auth_providers.end_sign_ins(transaction, ended, time.time())
    for name in names:
        await administration.note(node, f"identity provider {name} deactivated", ATTRIBUTES_CHANGED)
    return len(names)
