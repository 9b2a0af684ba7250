"""The policy as one table: role, resource types, interactions, relation.  What it does not name is refused.

Rules that depend on what changes, not on whose row it is, stand in `rules/case.py`.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from fhir_server.access.algebra import Restriction
from fhir_server.access.relations import (
    all_emergencies,
    assigned_cases,
    assigned_patients,
    assigned_requests,
    assigned_tasks,
    cases,
    everything,
    everything_but_emergencies,
    his_tasks,
    named_records,
    own_compartment,
    own_emergencies,
    own_messages,
    own_opinions,
    own_organization,
    own_organization_if_any,
    own_record,
    own_requests,
    reporting,
    represented,
    vouching,
    vouching_for_own_work,
)
from fhir_server.caller import Caller

Interaction = Literal["read", "search", "create", "update", "delete", "history", "operation"]
LETTER: Mapping[Interaction, str] = {
    "read": "r",
    "history": "r",
    "operation": "r",
    "search": "s",
    "create": "c",
    "update": "u",
    "delete": "d",
}
"""The letter of a SMART scope that each interaction needs."""

Relation = Callable[[Caller], Restriction]
READING = frozenset[Interaction]({"read", "search", "history"})
CREATE = frozenset[Interaction]({"create"})
UPDATE = frozenset[Interaction]({"update"})
WRITE = CREATE | UPDATE
ALL = frozenset[Interaction](LETTER)

CONFORMANCE = frozenset(
    {
        "CapabilityStatement",
        "CodeSystem",
        "ConceptMap",
        "CompartmentDefinition",
        "NamingSystem",
        "OperationDefinition",
        "Questionnaire",
        "SearchParameter",
        "StructureDefinition",
        "StructureMap",
        "ValueSet",
    }
)
DIRECTORY = frozenset(
    {
        "Organization",
        "OrganizationAffiliation",
        "Practitioner",
        "PractitionerRole",
        "HealthcareService",
        "Location",
        "Medication",
    }
)
OPEN_TYPES = CONFORMANCE | DIRECTORY
"""Readable by any token: they say how the server works and who works here, nothing about a patient."""

ANY = frozenset({"*"})
SHIELDED = frozenset({"AuditEvent", "Subscription"})
"""Types that "*" leaves out: they tell about patients of everybody."""

CHART = frozenset(
    {
        "AllergyIntolerance",
        "Binary",
        "CarePlan",
        "Condition",
        "Coverage",
        "DiagnosticReport",
        "DocumentReference",
        "Encounter",
        "FamilyMemberHistory",
        "Immunization",
        "Media",
        "MedicationRequest",
        "MedicationStatement",
        "Observation",
        "Procedure",
        "QuestionnaireResponse",
        "RelatedPerson",
        "Specimen",
    }
)
RECORDS = CHART | {"Consent", "Endpoint", "ImagingStudy"}
"""What a case may hand to a consultant."""


@dataclass(frozen=True, slots=True)
class Grant:
    """These interactions, on these types, for rows in this relation to the caller (`after`: once written)."""

    resource_types: Collection[str]
    interactions: frozenset[Interaction]
    relation: Relation
    after: Relation | None = None

    def covers(self, interaction: Interaction, resource_type: str) -> bool:
        """Whether the grant speaks of this interaction on this type."""
        named = resource_type in self.resource_types or ("*" in self.resource_types and resource_type not in SHIELDED)
        return named and interaction in self.interactions


MESSAGE = frozenset({"Communication"})

REQUESTING = (
    Grant(ANY, READING, own_organization),
    Grant(CHART | {"Patient", "ServiceRequest", "Consent"}, WRITE, own_organization),
    Grant(MESSAGE, CREATE, own_organization),
    Grant({"Provenance"}, CREATE, own_organization),
    Grant({"Task"}, WRITE, own_requests),
    Grant({"Task"}, READING, own_emergencies),
)
OPINION = frozenset({"DiagnosticReport", "Observation"})

PRIVACY = frozenset({"AuditEvent", "Consent", "Patient", "Provenance", "RelatedPerson"})
"""What a privacy officer looks into: who did what to whom, proxies by name, and whether the patient had agreed."""

POLICY: Mapping[str, tuple[Grant, ...]] = {
    "requester": REQUESTING,
    "interface-engine": REQUESTING,
    "consultant": (
        Grant({"Task"}, READING, assigned_tasks),
        Grant({"ServiceRequest"}, READING, assigned_requests),
        Grant({"Patient"}, READING, assigned_patients),
        Grant(RECORDS, READING, named_records),
        Grant(OPINION, READING, own_opinions),
        Grant({"Provenance"}, READING, vouching),
        Grant({"Task"}, UPDATE, assigned_cases, after=cases),
        Grant(OPINION, WRITE, own_opinions),
        Grant(MESSAGE, READING | CREATE, own_messages),
        Grant({"Provenance"}, CREATE, vouching_for_own_work),
        Grant({"Task"}, READING, own_emergencies),
    ),
    "him": (
        Grant(ANY, READING, everything_but_emergencies),
        Grant({"Task"}, WRITE, his_tasks),
        Grant({"Provenance", "DocumentReference", "ServiceRequest"}, WRITE, everything),
        Grant(MESSAGE, CREATE, everything),
    ),
    "coordinator": (
        Grant(ANY, READING, everything_but_emergencies),
        Grant({"Task"}, UPDATE, cases),
        Grant({"Communication", "Provenance"}, CREATE, everything),
    ),
    "privacy-officer": (
        Grant(PRIVACY, READING, everything),
        Grant({"Task"}, READING, all_emergencies),
    ),
    "programme-manager": (Grant({"Task", "ServiceRequest", "Patient"}, READING, everything_but_emergencies),),
    "patient": (
        Grant(ANY | {"AuditEvent"}, READING, own_compartment),
        Grant({"Consent"}, UPDATE, own_record),
    ),
    "proxy": (Grant(ANY | {"AuditEvent"}, READING, represented),),
    "system": (Grant(ANY, ALL, own_organization_if_any), Grant({"AuditEvent"}, WRITE, reporting)),
    "administrator": (Grant(ANY | SHIELDED, ALL, everything),),
}
"""The whole policy."""

EMERGENCY_ROLES = frozenset({"requester", "consultant", "radiologist"})
"""Who treats, and may open one patient's record in an emergency (`emergency.py`)."""
EMERGENCY = Grant(ANY, READING, everything)
"""What is open then, of that patient's compartment."""
REVIEWERS = frozenset({"privacy-officer"})
"""Who reviews emergency accesses of others, and may end them."""
