"""Rules 3 and 5: a case names records of its own patient only, and nothing that waits in quarantine."""

from fhir_server.access import sees_quarantine
from fhir_server.rules.change import Change, Resource, View, codes, reference, references, refuse, unless
from fhir_server.rules.children import outputs
from fhir_server.rules.pair import is_case, is_request
from fhir_server.rules.states import CANONICAL, TASK_CODE

LABEL = f"{CANONICAL}/CodeSystem/label"
SUPPORTING_INFO = "http://hl7.org/fhir/StructureDefinition/workflow-supportingInfo"


async def check(view: View) -> None:
    """Check labels and citations of everything that the transaction writes.  Raises Unprocessable."""
    for change in view.changes:
        if change.new is not None:
            await _check_label(view, change)
            await check_cited(view, change, citations(change.new) - citations(change.old))


def is_quarantined(resource: Resource) -> bool:
    """Whether a resource carries the label of unreconciled material."""
    labels = resource.get("meta", {}).get("security", [])
    return any(label.get("system") == LABEL and label.get("code") == "quarantined" for label in labels)


def patient_of(resource: Resource) -> str | None:
    """The Patient that a resource is about."""
    if resource.get("resourceType") == "Patient":
        return f"Patient/{resource.get('id')}"
    found = (reference(resource.get(name)) for name in ("subject", "patient", "for", "beneficiary"))
    return next((one for one in found if one and one.startswith("Patient/")), None)


def citations(resource: Resource | None) -> set[str]:
    """The records that a request or a case names."""
    if resource is None:
        return set()
    match resource.get("resourceType"):
        case "ServiceRequest" if is_request(resource):
            named = [resource.get("supportingInfo"), resource.get("reasonReference")]
        case "Task" if is_case(resource):
            named = [resource.get("input")]
        case _:
            return set()
    return local(references(named))


def reviewed(report: Resource) -> set[str]:
    """The records that an opinion says were reviewed: studies, and all else in the extension of R4."""
    others = [one for one in report.get("extension", []) if one.get("url") == SUPPORTING_INFO]
    return local(references([others, report.get("imagingStudy")]))


def local(found: set[str]) -> set[str]:
    """References to resources of this server: not contained, not elsewhere."""
    return {one for one in found if "/" in one and ":" not in one}


async def check_cited(view: View, change: Change, cited: set[str]) -> None:
    """What is named exists, is released, and is about the same patient.  Raises Unprocessable."""
    subject = patient_of(change.resource)
    for one in sorted(cited):
        target = await view.load(one)
        if target is None:
            refuse(3, f"{change.resource_type} names {one}, which is not here")
        unless(not is_quarantined(target), 5, f"{one} waits for reconciliation")
        unless(patient_of(target) in {None, subject}, 3, f"{one} is about another patient")


async def _check_label(view: View, change: Change) -> None:
    """Only HIM staff lift quarantine, or the gateway once they have decided."""
    old, new = change.old, change.new or {}
    if (old is not None and is_quarantined(old)) == is_quarantined(new):
        return
    unless(sees_quarantine(view.caller), 5, "quarantine is not for this caller to change")
    if old is not None and "system" in view.caller.roles:
        tasks = await view.find("Task", "focus", change.reference, "focus")
        unless(
            is_quarantined(new) or any(_accepts(task) for task in tasks), 5, "HIM staff have not accepted this material"
        )


def _accepts(task: Resource) -> bool:
    decided = "reconciliation" in codes(task.get("code"), TASK_CODE) and task.get("status") == "completed"
    return decided and outputs(task, "decision") == ["accept"]
