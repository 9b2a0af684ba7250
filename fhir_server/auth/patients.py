"""The patient picker of a standalone launch: it shows what the person may see, nothing else."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.auth import acting, records
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
    if acting.is_in_person(account):
        return await _own(node, account)
    query = {"_count": SHOWN, "_sort": "family"} | ({"name": text.strip()} if text.strip() else {})
    return [_choice(patient) for patient in await records.search(node, _caller(account), "Patient", query)]


async def may_choose(node: Node, account: Account, patient: str) -> bool:
    """Whether this person sees this patient."""
    if acting.is_in_person(account):
        return patient in {one.patient for one in await acting.choices(node, account, time.time())}
    found = await records.search(node, _caller(account), "Patient", {"_id": patient})
    return [one["id"] for one in found] == [patient]


async def _own(node: Node, account: Account) -> list[Choice]:
    """The own record and those of patients for whom the account acts."""
    found = await acting.choices(node, account, time.time())
    ids = ",".join(one.patient for one in found)
    known = await records.search(node, records.registrar(None), "Patient", {"_id": ids}) if ids else []
    by_id = {one["id"]: _choice(one) for one in known}
    return [by_id[one.patient] for one in found if one.patient in by_id]


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
    return Choice(
        id=patient["id"],
        name=written_name(patient) or "no name",
        birth_date=patient.get("birthDate", "birth date unknown"),
        gender=patient.get("gender", "sex unknown"),
        record_number=next((str(identifier["value"]) for identifier in identifiers if "value" in identifier), ""),
    )


def written_name(person: Mapping[str, Any]) -> str:
    """The first name that says something; empty where there is none."""
    return next((written for name in person.get("name", ()) if (written := _written(name))), "")


def _written(name: Mapping[str, Any]) -> str:
    given = " ".join(name.get("given", ()))
    return str(name.get("text") or ", ".join(part for part in (name.get("family", ""), given) if part))
