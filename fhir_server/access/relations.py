"""How rows relate to a caller: each relation is named in words and answers with a restriction."""

import profiles
from fhir_server.access.algebra import (
    Agreed,
    Carrying,
    Coded,
    Covered,
    Everything,
    InCompartment,
    NamedBy,
    Naming,
    Not,
    Nothing,
    OfOrganization,
    OfSomePatient,
    OfType,
    PointsAt,
    Released,
    Restriction,
    all_of,
    any_of,
    specialise,
)
from fhir_server.access.labels import closed_to
from fhir_server.caller import Caller
from fhir_server.scopes import parse_all

CANONICAL = "https://konsil.example/fhir"
BREAK_GLASS = "break-glass"
TASK_CODE = f"{CANONICAL}/CodeSystem/task-code"
HL7_TASK_CODE = "http://hl7.org/fhir/CodeSystem/task-code"
PRODUCT = f"{CANONICAL}/CodeSystem/product"
PRODUCTS = tuple(str(concept["code"]) for concept in profiles.load("CodeSystem-product.json")["concept"])
DECLARED_HOPS = (
    ("ImagingStudy", "endpoint", "Endpoint"),
    ("DiagnosticReport", "result", "Observation"),
    ("DiagnosticReport", "specimen", "Specimen"),
    ("Observation", "specimen", "Specimen"),
)
"""From a record that a case names, a consultant may take one of these steps, and no other."""


def everything(caller: Caller) -> Restriction:
    """Every row, whoever it belongs to."""
    return Everything()


def released(resource_type: str) -> Restriction:
    """Rows outside quarantine: no label, no reconciliation Task, no Provenance of a labelled resource.  Rule 5"""
    if resource_type == "Task":
        return all_of(Released(), Not(Coded("Task", "code", TASK_CODE, ("reconciliation",))))
    if resource_type == "Provenance":
        return all_of(Released(), Not(Naming("Provenance", "target", Not(Released()))))
    return Released()


def drafts() -> Restriction:
    """Opinions that have not been signed."""
    opinion = Coded("ServiceRequest", "code", PRODUCT, PRODUCTS)
    return any_of(
        *(
            all_of(
                Coded(resource_type, "status", None, ("registered", "partial", "preliminary")),
                Naming(resource_type, "based-on", opinion),
            )
            for resource_type in ("DiagnosticReport", "Observation")
        )
    )


def emergencies() -> Restriction:
    """Tasks that stand for an emergency access; privacy officers review them."""
    return Coded("Task", "code", f"{CANONICAL}/CodeSystem/break-glass", (BREAK_GLASS,))


def own_emergencies(caller: Caller) -> Restriction:
    """The caller's own emergency accesses."""
    if caller.fhir_user is None:
        return Nothing()
    return all_of(emergencies(), PointsAt("Task", "focus", caller.fhir_user))


def all_emergencies(caller: Caller) -> Restriction:
    """Everybody's emergency accesses."""
    return emergencies()


def everything_but_emergencies(caller: Caller) -> Restriction:
    """Every row but the Tasks that privacy officers review."""
    return Not(emergencies())


def own_organization(caller: Caller) -> Restriction:
    """Rows about the patients of the caller's organization, what vouches for them and what they consist of.

    Departments count (Organization.partOf); a consultant's draft is not among them before it is signed.
    """
    if caller.organization is None:
        return Nothing()
    ours = OfOrganization(_id(caller.organization))
    about_ours = all_of(ours, OfSomePatient(), Not(drafts()))
    return any_of(
        all_of(about_ours, Not(emergencies())),
        all_of(OfType(("Binary",)), ours),
        Naming("Binary", "security-context", about_ours),
        Naming("Provenance", "target", about_ours),
        NamedBy("ImagingStudy", "endpoint", all_of(about_ours, Released()), ("Endpoint",)),
    )


def own_organization_if_any(caller: Caller) -> Restriction:
    """Every row for a client of the platform; a client that belongs to an organization is kept to it."""
    return own_organization(caller) if caller.organization else Everything()


def reporting(caller: Caller) -> Restriction:
    """AuditEvents for a program whose scopes name them: the gateway reports what it transferred, and nobody else."""
    named = any(scope.resource_type == "AuditEvent" for scope in parse_all(caller.scopes))
    return Everything() if named else Nothing()


def own_requests(caller: Caller) -> Restriction:
    """Case and child Tasks that a requesting organization writes: the case, what to fetch, what is confirmed."""
    return all_of(
        own_organization(caller),
        any_of(
            cases(caller), Coded("Task", "code", TASK_CODE, ("imaging-retrieval", "record-request", "acknowledgement"))
        ),
    )


def cases(caller: Caller) -> Restriction:
    """Tasks that are a case, not a child of one."""
    return Coded("Task", "code", HL7_TASK_CODE, ("fulfill",))


def his_tasks(caller: Caller) -> Restriction:
    """Tasks that HIM staff work on, and the case they belong to."""
    codes = ("record-request", "imaging-retrieval", "reconciliation")
    return any_of(cases(caller), Coded("Task", "code", TASK_CODE, codes))


def assigned_cases(caller: Caller) -> Restriction:
    """Case Tasks offered to or held by the caller; a case transferred, declined or withdrawn is no longer one."""
    if caller.fhir_user is None:
        return Nothing()
    status = Coded("Task", "status", None, ("received", "accepted", "in-progress", "on-hold", "completed"))
    return all_of(cases(caller), PointsAt("Task", "owner", caller.fhir_user), status)


def covered_cases(caller: Caller) -> Restriction:
    """The caller's cases whose release to the caller has a basis: Consent or treatment.  Rule 3"""
    return Covered("Task")


def assigned_tasks(caller: Caller) -> Restriction:
    """The caller's cases, and the child Tasks of those that are covered."""
    return any_of(assigned_cases(caller), Naming("Task", "part-of", covered_cases(caller)))


def assigned_requests(caller: Caller) -> Restriction:
    """The ServiceRequests of the caller's cases that are covered."""
    return Covered("ServiceRequest")


def assigned_patients(caller: Caller) -> Restriction:
    """The Patients of the caller's cases."""
    return NamedBy("ServiceRequest", "subject", assigned_requests(caller), ("Patient",))


def named_records(caller: Caller) -> Restriction:
    """What the request or the case names, and one declared hop from there; never the whole compartment."""
    requests = assigned_requests(caller)
    named = all_of(
        any_of(
            NamedBy("ServiceRequest", "supporting-info", requests),
            NamedBy("ServiceRequest", "reason-reference", requests),
            NamedBy("Task", "task-input", covered_cases(caller)),
        ),
        Released(),
        Agreed(),
    )
    opinions = Naming("DiagnosticReport", "based-on", requests)
    hops = (
        NamedBy(source, parameter, specialise(any_of(named, opinions), source), (target,))
        for source, parameter, target in DECLARED_HOPS
    )
    further = any_of(*hops, Naming("Binary", "security-context", any_of(named, opinions)))
    return any_of(named, all_of(further, Agreed()))


def own_opinions(caller: Caller) -> Restriction:
    """Reports and findings based on the requests of the caller's cases."""
    requests = assigned_requests(caller)
    return any_of(*(Naming(one, "based-on", requests) for one in ("DiagnosticReport", "Observation")))


def own_messages(caller: Caller) -> Restriction:
    """Messages threaded on the caller's cases; those of another case on the same request are not among them."""
    return Naming("Communication", "based-on", covered_cases(caller))


def vouching(caller: Caller) -> Restriction:
    """Provenance of what a consultant sees: case, request, patient, records, opinion."""
    seen = (assigned_tasks, assigned_requests, assigned_patients, named_records, own_opinions)
    return Naming("Provenance", "target", any_of(*(relation(caller) for relation in seen)))


def vouching_for_own_work(caller: Caller) -> Restriction:
    """Provenance of the consultant's own work: the case and the opinion."""
    return Naming("Provenance", "target", any_of(assigned_cases(caller), own_opinions(caller)))


def own_compartment(caller: Caller) -> Restriction:
    """The patient's own record; a consultant's draft is not in it before it is signed."""
    return all_of(InCompartment(caller.patient), Not(drafts())) if caller.patient else Nothing()


def own_record(caller: Caller) -> Restriction:
    """What a patient's own account may change; nobody else who has that patient in context."""
    return own_compartment(caller) if caller.fhir_user == f"Patient/{caller.patient}" else Nothing()


def represented(caller: Caller) -> Restriction:
    """The record of the patient for whom a proxy acts, and who looked at what a proxy sees of it.

    That the proxy acts for the patient at this moment is for `Terms.acts_for` to say.
    """
    closed = Naming("AuditEvent", "entity", Carrying(closed_to(("proxy",))))
    return all_of(own_compartment(caller), Not(closed))


def _id(reference: str) -> str:
    return reference.rpartition("/")[2]
