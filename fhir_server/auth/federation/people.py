"""Who a provider's claims are here: one account and Practitioner for issuer and subject, roles as claimed now."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from fhir_server.auth import accounts, practitioners, tokens
from fhir_server.auth.exchange import shown_name
from fhir_server.auth.federation import mapping
from fhir_server.auth.federation.arriving import Arrived
from fhir_server.auth.federation.discovery import Failed
from fhir_server.auth.server import AuthorizationServer
from fhir_server.store import auth_providers, auth_registry
from fhir_server.store.auth_providers import IdentityProvider
from fhir_server.store.auth_values import Account

DEACTIVATED = "signed you in, but you may no longer sign in here"
NO_ROLE = "signed you in, but has given you no part in second opinions"
NO_ORGANIZATION = "signed you in, but does not say for which organization you work"


@dataclass(frozen=True, slots=True)
class Known:
    """A person, and what this sign-in changed of the account, for the audit."""

    account: Account
    changes: tuple[str, ...] = ()


class NotAdmitted(Failed):
    """A person whom the provider signed in and who stays out; `account` where there is one."""

    def __init__(self, reason: str, words: str, account: Account | None) -> None:
        """Keep the person."""
        super().__init__(reason, words, 403)
        self.account = account


async def recognise(server: AuthorizationServer, provider: IdentityProvider, arrived: Arrived) -> Known:
    """Find the account of issuer and subject, or make it with its Practitioner.  Raises NotAdmitted.

    Roles and organization are those of the claims each time; who has no role any more loses what is open.  The key is
    issuer and subject alone: no name, mail address or fhirUser ever joins two people.
    """
    known = await auth_registry.find_account_by_identity(server.db, provider.issuer, arrived.subject)
    if known is not None and known.disabled:
        raise NotAdmitted("deactivated", DEACTIVATED, known)
    roles = mapping.roles_of(provider, arrived.claims)
    organization = _organization(provider, arrived.claims)
    if not roles or organization is None:
        if known is not None:
            await _strip(server, provider, known)
        problem = ("no role", NO_ROLE) if not roles else ("no organization", NO_ORGANIZATION)
        raise NotAdmitted(*problem, known)
    wanted = Account("", shown_name(arrived.claims), roles, organization, None)
    if known is None:
        return await _first_sight(server, provider, arrived.subject, wanted)
    return await _follow(server, provider, arrived.subject, (known, wanted))


def _organization(provider: IdentityProvider, claims: Mapping[str, Any]) -> str | None:
    try:
        return mapping.organization_of(provider, claims)
    except mapping.Ambiguous:
        return None


async def _first_sight(server: AuthorizationServer, provider: IdentityProvider, subject: str, wanted: Account) -> Known:
    identity = practitioners.Identity(provider.issuer, subject, str(wanted.organization), wanted.name)
    account = replace(wanted, account_id=str(uuid4()), fhir_user=await practitioners.ensure(server.node, identity))
    async with server.db.transaction() as transaction:
        await auth_registry.put_tenant_account(transaction, account, provider.issuer, subject)
        made = await auth_registry.find_account_by_identity(transaction, provider.issuer, subject)
    roles = ", ".join(sorted(account.roles))
    return Known(made or account, (f"account made by {provider.name}: {roles} of {account.organization}",))


async def _follow(
    server: AuthorizationServer, provider: IdentityProvider, subject: str, accounts_: tuple[Account, Account]
) -> Known:
    """Make a known account what the claims say now."""
    known, wanted = accounts_
    new = replace(known, name=wanted.name or known.name, roles=wanted.roles, organization=wanted.organization)
    changes = _differences(provider, known, new)
    if new == known:
        return Known(known)
    identity = practitioners.Identity(provider.issuer, subject, str(new.organization), new.name)
    await practitioners.follow(server.node, identity, known.name)
    async with server.db.transaction() as transaction:
        if not await auth_providers.change_account(transaction, new, provider.name, server.clock()):
            raise NotAdmitted("deactivated", DEACTIVATED, known)
    tokens.forget(server.db)
    return Known(new, changes)


def _differences(provider: IdentityProvider, known: Account, new: Account) -> tuple[str, ...]:
    words = []
    if new.roles != known.roles:
        given = [f"+{role}" for role in sorted(new.roles - known.roles)]
        taken = [f"-{role}" for role in sorted(known.roles - new.roles)]
        words.append(f"roles by {provider.name}: {' '.join(given + taken)}")
    if new.organization != known.organization:
        words.append(f"organization by {provider.name}: {new.organization} instead of {known.organization}")
    return tuple(words)


async def _strip(server: AuthorizationServer, provider: IdentityProvider, known: Account) -> None:
    """Take the roles away and end what is open."""
    stripped = replace(known, roles=frozenset())
    async with server.db.transaction() as transaction:
        await auth_providers.change_account(transaction, stripped, provider.name, server.clock())
    await accounts.sign_out_everywhere(server.db, known.account_id, server.clock())
