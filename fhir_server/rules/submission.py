"""What a step needs before it is taken: who asks, on which basis records may be released, why it is refused."""

from datetime import UTC, date, datetime

from fhir_server.rules.change import Resource, View, codes, reference, references, unless
from fhir_server.rules.pair import Case
from fhir_server.rules.states import Step

LOINC = "http://loinc.org"
RELEASE_OF_INFORMATION = "64292-6"
ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
TREATMENT_POLICY = "164.506"


async def check(view: View, case: Case, step: Step | None) -> None:
    """Check what the step needs, and at creation that request and Task speak of the same."""
    if case.task_old is None:
        subject = reference(case.request_new.get("subject"))
        same = subject is not None and reference(case.task_new.get("for")) == subject
        unless(same, 1, "Task.for and ServiceRequest.subject name the same Patient")
    needs = step.needs if step else frozenset()
    if "requester-of-organization" in needs:
        await _check_requester(view, case)
    if "release-basis" in needs:
        await _check_release_basis(view, case)
    if "status-reason" in needs:
        unless(bool(case.task_new.get("statusReason")), 1, f"{case.target} needs a reason in Task.statusReason")


async def _check_requester(view: View, case: Case) -> None:
    """The requester is the caller, or belongs to the caller's organization.  Interface engines act for no one else."""
    for resource in (case.request_new, case.task_new):
        who = reference(resource.get("requester"))
        theirs = who is not None and await _belongs(view, who)
        unless(theirs, 1, f"{resource.get('resourceType')}.requester must belong to the organization of the caller")


async def _belongs(view: View, who: str) -> bool:
    caller = view.caller
    if who in {caller.fhir_user, caller.organization}:
        return True
    if who.startswith("Practitioner/"):
        roles = await view.find("PractitionerRole", "practitioner", who, "practitioner")
        return any(_employs(role, caller.organization) for role in roles)
    role = await view.load(who) if who.startswith("PractitionerRole/") else None
    return role is not None and _employs(role, caller.organization)


def _employs(role: Resource, organization: str | None) -> bool:
    return organization is not None and role.get("active", True) and reference(role.get("organization")) == organization


async def _check_release_basis(view: View, case: Case) -> None:
    """A Consent that the request names, or a treatment basis: Provenance on the request.  45 CFR 164.506(c)"""
    subject = reference(case.request_new.get("subject"))
    named = references(case.request_new.get("supportingInfo", []))
    consents = [await view.load(one) for one in sorted(named) if one.startswith("Consent/")]
    if any(consent and _releases(consent, subject) for consent in consents):
        return
    attested = await view.find("Provenance", "target", case.request, "target")
    unless(
        any(_is_treatment_basis(one) for one in attested),
        3,
        "a request is sent with an active Consent in supportingInfo or with the treatment basis as Provenance",
    )


def _releases(consent: Resource, patient: str | None) -> bool:
    """An active release of information by this patient that has not run out."""
    categories = set().union(*(codes(category, LOINC) for category in consent.get("category", [])))
    end = consent.get("provision", {}).get("period", {}).get("end")
    return (
        consent.get("status") == "active"
        and RELEASE_OF_INFORMATION in categories
        and reference(consent.get("patient")) == patient
        and (end is None or date.fromisoformat(end[:10]) >= datetime.now(UTC).date())
    )


def _is_treatment_basis(provenance: Resource) -> bool:
    reasons = set().union(*(codes(reason, ACT_REASON) for reason in provenance.get("reason", [])))
    attested = any(reference(agent.get("who")) for agent in provenance.get("agent", []))
    return "TREAT" in reasons and attested and any(TREATMENT_POLICY in uri for uri in provenance.get("policy", []))
