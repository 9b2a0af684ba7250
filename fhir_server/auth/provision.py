"""What an administrator provisions from one JSON file.  docs/provisioning.md

Running it again changes nothing but what the file changed.
"""

import time
from uuid import uuid4

from anyio import to_thread
from pydantic import Field

from fhir_server.auth import accounts, administration, passwords, pins, records, register, tokens
from fhir_server.auth.entries import AccountEntry, ClientEntry, Entry, Organization, Resource, TenantEntry
from fhir_server.auth.federation import entry as identity_providers
from fhir_server.auth.federation.entry import ProviderEntry
from fhir_server.context import Node
from fhir_server.store import auth_joining, auth_registry
from fhir_server.store.auth_values import Account, Client, Tenant

LISTS = ("resources", "clients", "tenants", "identity_providers", "accounts")


class Document(Entry):
    """The whole file.  `organization` is the one that the resources are written for."""

    clients: tuple[ClientEntry, ...] = ()
    accounts: tuple[AccountEntry, ...] = ()
    tenants: tuple[TenantEntry, ...] = ()
    identity_providers: tuple[ProviderEntry, ...] = ()
    resources: tuple[Resource, ...] = ()
    organization: Organization | None = None
    comment: str = Field(default="", exclude=True)


async def provision(node: Node, document: Document, *, deactivate_others: bool = False) -> dict[str, int]:
    """Insert or update everything of the document; gives how many of each.

    `deactivate_others`: clients, tenants, identity providers and local accounts that the document does not name may do
    nothing from now on.  They are kept, and active again as soon as a document names them.
    """
    caller = records.registrar(document.organization)
    await records.put(node, caller, document.resources)
    for client in document.clients:
        await _client(node, client)
    for tenant in document.tenants:
        await _tenant(node, tenant)
    for position, provider in enumerate(document.identity_providers):
        await identity_providers.provision(node, provider, position)
    for account in document.accounts:
        await _account(node, account)
    counts = {name.replace("_", " "): len(getattr(document, name)) for name in LISTS}
    await administration.note(node, f"provisioned {', '.join(f'{count} {name}' for name, count in counts.items())}")
    if deactivate_others:
        counts |= {"deactivated": await _deactivate_others(node, document)}
    tokens.forget(node.database)
    return counts


async def _deactivate_others(node: Node, document: Document) -> int:
    named: dict[auth_registry.Kind, set[str]] = {
        "client": {client.client_id for client in document.clients},
        "tenant": {tenant.name for tenant in document.tenants},
        "account": {accounts.normal(account.username) for account in document.accounts},
    }
    providers = {provider.name for provider in document.identity_providers}
    gone = await identity_providers.deactivate_others(node, providers)
    return gone + sum([await administration.deactivate_others(node, kind, names) for kind, names in named.items()])


async def _client(node: Node, entry: ClientEntry) -> None:
    known = await auth_registry.find_client(node.database, entry.client_id)
    secret_hash = await _hash(entry.secret, known.secret_hash if known is not None else None)
    values = entry.model_dump(exclude={"secret"})
    await register.put(node, "client", auth_registry.client_row(Client(**values, secret_hash=secret_hash)))


async def _tenant(node: Node, entry: TenantEntry) -> None:
    await register.put(node, "tenant", auth_registry.tenant_row(Tenant(**entry.model_dump())))


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
    row = auth_registry.account_row(account) | {"username": username}
    await register.put(node, "account", row | ({} if password_hash is None else {"password_hash": password_hash}))
    kept = await auth_registry.find_local_account(node.database, username)
    if entry.pin is not None and kept is not None:
        await pins.keep(node.database, kept, entry.pin)
    if entry.acts_for and kept is not None:
        await _acting(node, kept, entry)
    if entry.disabled and known is not None:
        await accounts.sign_out_everywhere(node.database, known[0].account_id, time.time())


async def _acting(node: Node, kept: Account, entry: AccountEntry) -> None:
    """Note whom a proxy acts for: each RelatedPerson names its patient."""
    await records.put(node, records.registrar(entry.organization), list(entry.acts_for))
    async with node.database.transaction() as transaction:
        for related in entry.acts_for:
            patient = str(related["patient"]["reference"]).partition("/")[2]
            await auth_joining.add_acting(transaction, kept.account_id, f"RelatedPerson/{related['id']}", patient)


async def _hash(secret: str | None, known: str | None) -> str | None:
    """Hash a secret, unless it is the one that is known: running again stays quick and changes nothing."""
    if secret is None or (known is not None and await passwords.matches(secret, known)):
        return known
    return await to_thread.run_sync(passwords.make, secret)
