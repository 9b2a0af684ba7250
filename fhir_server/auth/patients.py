"""The patient picker of a standalone launch: it shows what the person may see, nothing else."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.auth import records
from fhir_server.caller import Caller
from fhir_server.context import Node
from fhir_server.store.auth_values import Account

SHOWN = "20"


@dataclass(frozen=True, slots=True)
class Choice:
    """One line of the picker."""

    id: str
    name: str
    birth_date: str
    gender: str
    record_number: str


async def find(node: Node, account: Account, text: str) -> list[Choice]:
    """Search patients by name as this person."""
    query = {"_count": SHOWN, "_sort": "family"} | ({"name": text.strip()} if text.strip() else {})
    return [_choice(patient) for patient in await records.search(node, _caller(account), "Patient", query)]


async def may_choose(node: Node, account: Account, patient: str) -> bool:
    """Whether this person sees this patient."""
    found = await records.search(node, _caller(account), "Patient", {"_id": patient})
    return [one["id"] for one in found] == [patient]


def _caller(account: Account) -> Caller:
    return Caller(
        subject=account.account_id,
        client_id="",
        fhir_user=account.fhir_user,
        roles=account.roles,
        organization=account.organization,
        scopes=("user/Patient.rs",),
    )


def _choice(patient: Mapping[str, Any]) -> Choice:
    identifiers: Iterable[Mapping[str, Any]] = patient.get("identifier", ())
    names = [_written(name) for name in patient.get("name", ())]
    return Choice(
        id=patient["id"],
        name=next((name for name in names if name), "no name"),
        birth_date=patient.get("birthDate", "birth date unknown"),
        gender=patient.get("gender", "sex unknown"),
        record_number=next((str(identifier["value"]) for identifier in identifiers if "value" in identifier), ""),
    )


def _written(name: Mapping[str, Any]) -> str:
    given = " ".join(name.get("given", ()))
    return str(name.get("text") or ", ".join(part for part in (name.get("family", ""), given) if part))
