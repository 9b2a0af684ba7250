"""Rule 4: a final report is signed, concluded, compared and grounded, in one transaction, and never overwritten."""

from collections.abc import Sequence

from fhir_server.rules import material, signature
from fhir_server.rules.change import Change, Resource, View, codes, reference, reference_of, references, refuse, unless
from fhir_server.rules.children import outputs
from fhir_server.rules.pair import Case, is_request, tasks_of
from fhir_server.rules.states import CANONICAL, Step, table
from fhir_server.rules.steps import owner_of

CONCORDANCE = f"{CANONICAL}/CodeSystem/concordance"
CONCORDANCE_VALUE = f"{CANONICAL}/CodeSystem/concordance-value"
NEEDED_COMPONENTS = frozenset({"diagnosis", "treatment"})
FINAL = frozenset({"final", "amended", "corrected", "appended"})
JOSE = "application/jose"
Taken = Sequence[tuple[Case, Step | None]]


async def check(view: View, taken: Taken) -> None:
    """Check reports, concordance and signatures against the steps that the cases take.  Raises Unprocessable."""
    signed: set[str] = set()
    for change in view.of_type("DiagnosticReport"):
        request = await _request_of(view, change)
        if request is not None:
            await _check_report(view, change, request)
            signed |= await _check_signing(view, change, request, taken)
    for change in view.of_type("Observation"):
        await _check_concordance(view, change)
    for change in view.of_type("Provenance"):
        _check_provenance(view, change)
    for case, step in taken:
        needed = step is not None and "signed-report" in step.needs
        unless(not needed or case.request in signed, 4, f"{case.target} needs a signed report in the same transaction")


async def _request_of(view: View, change: Change) -> str | None:
    """The request of a second opinion that a resource is or was based on."""
    for one in sorted(references([(state or {}).get("basedOn") for state in (change.old, change.new)])):
        if one.startswith("ServiceRequest/") and is_request(await view.load(one)):
            return one
    return None


async def _check_report(view: View, change: Change, request: str) -> None:
    """Only the consultant of the case writes its report; a final one is followed by a new version, never replaced."""
    tasks = await tasks_of(view, request)
    owned = view.caller.fhir_user is not None and any(owner_of(task) == view.caller.fhir_user for task in tasks)
    unless(owned and "consultant" in view.caller.roles, 4, "only the consultant of the case writes its report")
    was, now = (change.old or {}).get("status"), (change.new or {}).get("status")
    if was in FINAL:
        unless(now in FINAL - {"final"}, 4, "a final report is amended, corrected or appended, never overwritten")
    elif was is None or now is None:
        unless(now not in FINAL - {"final"}, 4, f"a new report is not {now}")


async def _check_signing(view: View, change: Change, request: str, taken: Taken) -> set[str]:
    """Check all that a final version needs; give back its request."""
    report = change.new
    if report is None or report.get("status") not in FINAL:
        return set()
    case = next(
        (case for case, step in taken if case.request == request and step and "signed-report" in step.needs), None
    )
    if case is None:
        refuse(4, "a report becomes final with the step of its case that signs it, in one transaction")
    unless(reference_of(report) in references(outputs(case.task_new, "report")), 4, "Task.output names the report")
    unless(material.patient_of(report) == material.patient_of(case.task_new), 4, "the report is about another patient")
    unless(bool(str(report.get("conclusion", "")).strip()), 4, "a final report has a conclusion")
    reviewed = material.reviewed(report)
    unless(bool(reviewed), 4, "a final report names at least one reviewed record")
    await material.check_cited(view, change, reviewed)
    await _check_compared(view, report)
    await _check_signature(view, report)
    return {request}


async def _check_compared(view: View, report: Resource) -> None:
    results = [await view.load(one) for one in sorted(references(report.get("result", [])))]
    found = [one for one in results if one and is_concordance(one) and one.get("status") in FINAL]
    unless(bool(found), 4, "a final report has the concordance Observation among its results")


async def _check_signature(view: View, report: Resource) -> None:
    """Signer, caller and owner are one person; the key is one of the client through which that person signs."""
    signer, target = view.caller.fhir_user or "", reference_of(report)
    elements = [
        element
        for change in view.of_type("Provenance")
        if change.old is None and change.new and target in references(change.new.get("target"))
        for element in change.new.get("signature", [])
        if element.get("sigFormat") == JOSE and reference(element.get("who")) == signer
    ]
    if not elements:
        refuse(4, "a final report comes with Provenance that carries the signature of the caller")
    keys = await view.store.keys(view.caller.client_id)
    try:
        signed = signature.verify(signature.decode(str(elements[0].get("data", ""))), report, signer, keys)
    except signature.BadSignature as error:
        refuse(4, str(error).rstrip("."))
    if view.store.proof is not None:
        proof = await view.store.proof(target, signature.digest(report))
        unless(proof is not None, 4, "the signer has not proved who they are for this very report")
        held = proof and signed.get("amr") == list(proof.amr) and signed.get("auth_time") == proof.auth_time
        unless(bool(held), 4, "the signed amr and auth_time are not those of the signer's proof")


def is_concordance(observation: Resource | None) -> bool:
    """Whether an Observation is the comparison of a second opinion with the first."""
    return observation is not None and "concordance" in codes(observation.get("code"), CONCORDANCE)


async def _check_concordance(view: View, change: Change) -> None:
    """The comparison is written by the consultant, in the words of the table, and changes only with its report."""
    if not (is_concordance(change.old) or is_concordance(change.new)):
        return
    request = await _request_of(view, change)
    if request is None:
        refuse(4, "the concordance Observation is basedOn the request")
    await _check_report(view, Change(change.interaction, None, None), request)
    if change.old is not None and change.old.get("status") in FINAL:
        reports = (one.new for one in view.of_type("DiagnosticReport") if one.new and one.new.get("status") in FINAL)
        amended = any(change.reference in references(report.get("result")) for report in reports)
        unless(amended and change.new is not None, 4, "a final comparison changes only with its report")
    if change.new is not None:
        _check_components(change.new)


def _check_components(observation: Resource) -> None:
    answered = {}
    for component in observation.get("component", []):
        for question in codes(component.get("code"), CONCORDANCE):
            answered[question] = codes(component.get("valueCodeableConcept"), CONCORDANCE_VALUE)
    missing = sorted(NEEDED_COMPONENTS - set(answered))
    unless(not missing, 4, f"the comparison lacks {' and '.join(missing)}")
    for question, values in answered.items():
        legal = table().concordance.get(question, frozenset())
        unless(
            len(values) == 1 and values <= legal,
            4,
            f"the comparison of {question} is one of: {', '.join(sorted(legal))}",
        )


def _check_provenance(view: View, change: Change) -> None:
    """A signature is given in the caller's own name and stays as it is."""
    if change.old is not None:
        unless(not change.old.get("signature"), 4, "a signature is never changed or deleted")
    for element in (change.new or {}).get("signature", []):
        unless(reference(element.get("who")) == view.caller.fhir_user, 4, "a signature is given in the own name only")
