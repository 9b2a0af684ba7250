"""Whose record a patient or a proxy opens: the own, or that of a patient for whom a RelatedPerson acts.

One at a time: a token is about the patient that was chosen when it was granted, and its person is then the patient, or
the RelatedPerson of that patient, and nobody else.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fhir_server.access.proxies import standing_of
from fhir_server.auth import records
from fhir_server.context import Node
from fhir_server.store import auth_joining
from fhir_server.store.auth_values import Account, LaunchContext

IN_PERSON = frozenset({"patient", "proxy"})
"""Roles of people who see one record because it is theirs, or their child's."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A patient (an id), and the RelatedPerson as whom the account acts; None for the own record."""

    patient: str
    related_person: str | None = None

    def context(self) -> LaunchContext:
        """The launch context."""
        return LaunchContext(patient=self.patient, related_person=self.related_person)


def is_in_person(account: Account) -> bool:
    """Whether the account is of a patient or proxy, and of nobody who works with records."""
    return bool(account.roles) and account.roles <= IN_PERSON


async def choices(node: Node, account: Account, now: float) -> list[Choice]:
    """List what the account may open now: the own record first, then those of patients it acts for."""
    kind, _, own = (account.fhir_user or "").partition("/")
    found = [Choice(own)] if kind == "Patient" and "patient" in account.roles else []
    rows = await auth_joining.acting_for(node.database, account.account_id) if "proxy" in account.roles else ()
    if not rows:
        return found
    people = ",".join(row["related_person"].partition("/")[2] for row in rows)
    held = await records.search(node, records.registrar(None), "RelatedPerson", {"_id": people})
    return found + list(_in_force(held, {row["related_person"]: row["patient"] for row in rows}, int(now * 1e6)))


def acting(account: Account, context: LaunchContext) -> Account:
    """The account as it acts in this context: as one RelatedPerson, or as itself."""
    if context.related_person is not None:
        return replace(account, fhir_user=context.related_person, roles=frozenset({"proxy"}))
    return replace(account, roles=account.roles - {"proxy"}) if "proxy" in account.roles else account


def _in_force(people: Iterable[Mapping[str, Any]], noted: Mapping[str, str], now: int) -> Iterable[Choice]:
    """Those whose relation holds, to the patient of whom the invitation spoke."""
    for person in people:
        name, standing = f"RelatedPerson/{person['id']}", standing_of(person)
        if standing.holds(now) and noted.get(name) == standing.patient:
            yield Choice(standing.patient, name)
