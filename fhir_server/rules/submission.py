"""What a step needs before it is taken: who asks, on which basis records may be released, why it is refused."""

from datetime import UTC, datetime

from fhir_server.access.algebra import Nothing
from fhir_server.access.basis import basis_of
from fhir_server.access.consent import Recipient, gives, rules_of
from fhir_server.access.terms import PURPOSES, permitted
from fhir_server.rules.change import Resource, View, reference, reference_of, references, unless
from fhir_server.rules.pair import Case
from fhir_server.rules.states import Step


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
    """A Consent that the case names and that permits something to its owner, if it has one, or a treatment basis:
    Provenance on the request.  45 CFR 164.506(c)
    """
    subject = reference(case.request_new.get("subject"))
    named = references([case.request_new.get("supportingInfo", []), case.task_new.get("input", [])])
    consents = [await view.load(one) for one in sorted(named) if one.startswith("Consent/")]
    owner = await _recipient(view, reference(case.task_new.get("owner")))
    if any(consent and _releases(consent, subject, owner) for consent in consents):
        return
    attested = await view.find("Provenance", "target", case.request, "target")
    based = any(basis and case.request in basis.requests for basis in map(basis_of, attested))
    unless(
        based,
        3,
        "a request is sent, offered and read with an active Consent that covers it, named in supportingInfo or "
        "Task.input, or with the treatment basis as Provenance",
    )


async def _recipient(view: View, owner: str | None) -> Recipient | None:
    """The owner of the case with every role, organization and team that stands for the owner."""
    if owner is None:
        return None
    roles = await view.find("PractitionerRole", "practitioner", owner, "practitioner")
    teams = await view.find("CareTeam", "participant", owner, "participant")
    organizations = references([role.get("organization") for role in roles])
    organizations |= await _above(view, organizations)
    names = {owner, *organizations, *(reference_of(one) for one in (*roles, *teams))}
    return Recipient(frozenset(names), PURPOSES["consultant"], bound=True)


async def _above(view: View, organizations: set[str]) -> set[str]:
    """The organizations that these are part of, however many above each other.  Organization.partOf"""
    found: set[str] = set()
    fresh = organizations
    while fresh:
        loaded = [await view.load(one) for one in sorted(fresh)]
        fresh = references([one.get("partOf") for one in loaded if one]) - found - organizations
        found |= fresh
    return found


def _releases(consent: Resource, patient: str | None, recipient: Recipient | None) -> bool:
    """A release of information by this patient that permits something now, to this recipient or to anybody."""
    rules = rules_of(consent)
    if rules is None or not rules.releases or f"Patient/{rules.patient}" != patient:
        return False
    now = int(datetime.now(UTC).timestamp() * 1_000_000)
    return gives(rules, now) if recipient is None else permitted(rules, recipient, now) != Nothing()
