"""The launch's patient in our own server: created on first sight, kept up to date with the hospital's record."""

from typing import Any
from urllib.parse import quote

from smart_app.fhir import FhirClient, Resource
from smart_app.tenants import Tenant, base_url

COPIED = ("name", "telecom", "gender", "birthDate", "deceasedBoolean", "deceasedDateTime", "address", "communication")


async def local_patient(ehr: FhirClient, ours: FhirClient, ehr_patient: str, tenant: Tenant) -> str:
    """`Patient/x` of our server for the EHR's patient, with the requester's token.

    Conditional create by the hospital's identifier, then conditional update by the same one when something changed.
    """
    outside = await ehr.read(f"Patient/{ehr_patient}")
    wanted = patient_from(outside, tenant)
    criteria = criteria_for(wanted)
    kept = await ours.create(wanted, if_none_exist=criteria)
    if _differs(kept, wanted):
        kept = await ours.conditional_update({**wanted, "id": kept["id"]}, criteria)
    return f"Patient/{kept['id']}"


def patient_from(outside: Resource, tenant: Tenant) -> Resource:
    """What we keep of the hospital's Patient: identifiers with their systems, name, birth date, sex, how to reach."""
    own = {"system": f"{base_url(tenant.fhir_base)}/Patient", "value": outside["id"]}
    identifiers = [each for each in outside.get("identifier", []) if each.get("system") and each.get("value")]
    numbers = [each for each in identifiers if each["system"] == tenant.patient_identifier_system]
    others = [each for each in identifiers if each["system"] != tenant.patient_identifier_system]
    copied = {name: outside[name] for name in COPIED if name in outside}
    return {"resourceType": "Patient", "identifier": [*numbers, *others, own], **copied}


def criteria_for(patient: Resource) -> str:
    """Search criteria that find exactly this patient: its first identifier, the record number if there is one."""
    first = patient["identifier"][0]
    return f"identifier={quote(first['system'], safe='')}|{quote(first['value'], safe='')}"


def _differs(kept: Resource, wanted: Resource) -> bool:
    return any(_plain(kept.get(name)) != _plain(wanted.get(name)) for name in ("identifier", *COPIED))


def _plain(value: Any) -> Any:
    return value or None
