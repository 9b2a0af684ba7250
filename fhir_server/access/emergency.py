"""Emergency access (break-glass): one treating person reads one patient's record for a short time.  docs/access.md

The grant is a Task that only `$break-glass` writes: `focus` the person, `for` the patient, `executionPeriod` how long;
its status says whether a privacy officer has reviewed it. It opens the record for reading, beyond what cases and
Consents give, within the token's scopes; not what a label keeps closed even then (`labels.py`), nor what the patient
denies to this very person.  v3-ActReason BTG, 42 CFR 2.51, 45 CFR 164.522(a)(1)(iii)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.access.algebra import (
    Carrying,
    InCompartment,
    NamedBy,
    Naming,
    Nothing,
    Released,
    Restriction,
    all_of,
    any_of,
    negated,
    specialise,
)
from fhir_server.access.labels import closed_in_emergency
from fhir_server.access.policy import EMERGENCY, EMERGENCY_ROLES, Interaction
from fhir_server.access.relations import BREAK_GLASS, CANONICAL, drafts, emergencies, released
from fhir_server.access.terms import Terms
from fhir_server.caller import Caller
from fhir_server.errors import Invalid
from fhir_server.search.dates import date_range

PURPOSES = frozenset({"TREAT", "ETREAT", "BTG"})
"""Why somebody looks in an emergency (v3-ActReason)."""
SYSTEM = f"{CANONICAL}/CodeSystem/break-glass"


@dataclass(frozen=True, slots=True)
class Emergency:
    """The patient whose record is open, and from when to when (microseconds)."""

    patient: str
    start: int
    end: int


def is_emergency(task: Mapping[str, Any]) -> bool:
    """Whether a Task stands for an emergency access."""
    codings = task.get("code", {}).get("coding", [])
    return any((one.get("system"), one.get("code")) == (SYSTEM, BREAK_GLASS) for one in codings)


def emergency_of(task: Mapping[str, Any]) -> Emergency | None:
    """Read a Task; None when it is no emergency access."""
    if not is_emergency(task):
        return None
    patient = str(task.get("for", {}).get("reference", ""))
    try:
        period = task["executionPeriod"]
        start, end = date_range(period["start"])[0], date_range(period["end"])[0]
    except (KeyError, Invalid):
        return None
    return Emergency(patient.partition("/")[2], start, end) if patient.startswith("Patient/") else None


def opened(caller: Caller, interaction: Interaction, resource_type: str, terms: Terms) -> Restriction:
    """Say which rows of a type the caller's emergencies open, before the scopes narrow it."""
    if not (terms.emergencies and caller.roles & EMERGENCY_ROLES and EMERGENCY.covers(interaction, resource_type)):
        return Nothing()
    compartments = any_of(*(InCompartment(patient) for patient in terms.emergencies))
    labelled = Carrying(closed_in_emergency())
    closed = any_of(labelled, terms.denied_by_name, drafts(), emergencies())
    record = all_of(compartments, Released(), negated(closed))
    found = any_of(
        record,
        Naming("Binary", "security-context", record),
        Naming("Provenance", "target", record),
        NamedBy("ImagingStudy", "endpoint", record, ("Endpoint",)),
    )
    return specialise(all_of(found, released(resource_type), negated(labelled)), resource_type)
