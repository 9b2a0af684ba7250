"""Which role and organization a provider's claims give somebody: what the provisioned rules name, no more.  Pure"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fhir_server.store.auth_providers import IdentityProvider


class Ambiguous(Exception):
    """Claims that put a person into several organizations."""


def roles_of(provider: IdentityProvider, claims: Mapping[str, Any]) -> frozenset[str]:
    """Name the roles of every rule that is met; values that no rule names give nothing."""
    return frozenset(str(rule["role"]) for rule in _met(provider.roles, claims))


def organization_of(provider: IdentityProvider, claims: Mapping[str, Any]) -> str | None:
    """Name the organization of the rules that are met, else the provider's own, if it has one.  Raises Ambiguous."""
    found = {str(rule["organization"]) for rule in _met(provider.organizations, claims)}
    if len(found) > 1:
        raise Ambiguous
    return next(iter(found), provider.organization)


def _met(rules: Sequence[Mapping[str, Any]], claims: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return (rule for rule in rules if not rule["claim"] or rule["value"] in _values(claims, rule["claim"]))


def _values(claims: Mapping[str, Any], path: Sequence[str]) -> set[str]:
    """The texts of a claim: one, or a list of them; `path` goes into claims that are objects."""
    found: Any = claims
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return {each for each in (found if isinstance(found, list) else [found]) if isinstance(each, str)}
