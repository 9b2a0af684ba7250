"""Sending a request: the attachments are fetched, the Bundle is built, and one transaction carries it all."""

import base64

from anyio.to_thread import run_sync

from smart_app.case.codes import CASE_IDENTIFIER
from smart_app.case.turnaround import end_of
from smart_app.errors import AppError, Changed, FhirFailure, Invalid
from smart_app.fhir import Resource
from smart_app.launches import Launch
from smart_app.request.bundle import Sending, transaction
from smart_app.request.content import lacking
from smart_app.request.copies import attachments, with_results
from smart_app.request.desk import Desk
from smart_app.request.letter import diagnosis_of
from smart_app.tenants import base_url
from smart_app.visit import Visit
from smart_app.words import Clock, sentence_list

LARGEST_ATTACHMENT_BYTES = 20 * 1024 * 1024


async def send(visit: Visit, desk: Desk) -> str:
    """Send the request; returns the id of the case Task.  A second click finds the case that the first one made.

    Raises Invalid with what is lacking, Changed while another click is sending, FhirFailure, Unavailable.
    """
    if known := await sent_case(visit, desk.content.case_number):
        await run_sync(visit.services.drafts.finish, desk.draft.id)
        return known
    if names := lacking(desk.content):
        raise Invalid(f"Still missing: {sentence_list(names).lower()}.", "Nothing was sent.")
    if not await run_sync(visit.services.drafts.start_sending, desk.draft.id):
        raise Changed("The request is being sent already.", "Look under My requests in a moment.")
    try:
        answer = await visit.fhir.transaction(transaction(desk.content, await _sending(visit, desk)))
    except AppError:
        await run_sync(visit.services.drafts.reopen, desk.draft.id)
        raise
    await run_sync(visit.services.drafts.finish, desk.draft.id)
    return case_in(answer)


async def sent_case(visit: Visit, case_number: str) -> str | None:
    """The id of the case that a draft has become, if it has."""
    found = await visit.fhir.search("Task", {"identifier": f"{CASE_IDENTIFIER}|{case_number}"}, most=1)
    return str(found.matches[0]["id"]) if found.matches else None


def case_in(answer: Resource) -> str:
    """The case Task's id in a transaction's answer: its entry is the second one."""
    location: str = answer["entry"][1]["response"]["location"]
    return location.split("Task/")[1].partition("/")[0]


def requester_of(launch: Launch, fhir_base: str) -> Resource:
    """The requester as a Reference: our Practitioner, and beside it who that is at the hospital."""
    reference: Resource = {"reference": launch.practitioner, "display": launch.name}
    kind, _, identity = launch.ehr_user.partition("/")
    if identity:
        reference["identifier"] = {"system": f"{fhir_base}/{kind}", "value": identity}
    return {name: value for name, value in reference.items() if value}


async def _sending(visit: Visit, desk: Desk) -> Sending:
    if visit.tenant is None or desk.line is None:
        raise Invalid("The request names no service line.", "Choose who is asked.")
    clock = Clock(visit.services.settings.time_zone)
    references = [*desk.content.picks, *filter(None, [desk.content.diagnosis])]
    records = with_results(desk.chart, list(dict.fromkeys(references)))
    for each in records:
        await _inline(visit, each)
    consent = await run_sync(visit.services.drafts.part, desk.draft.id, "consent")
    return Sending(
        patient=desk.draft.patient,
        requester=requester_of(visit.launch, base_url(visit.tenant.fhir_base)),
        organization=visit.launch.organization,
        fhir_base=base_url(visit.tenant.fhir_base),
        service=desk.line.resource,
        diagnosis=diagnosis_of(desk.content, desk.items),
        now=clock.now().isoformat(timespec="seconds"),
        promised=end_of(desk.promised(clock.now().date()), clock.zone or clock.now().tzinfo),
        records=records,
        studies=[study for study in desk.priors.studies if study.key in desk.content.studies],
        consent_file=consent or b"",
        peer_titles={peer.name: peer.title for peer in desk.priors.peers},
    )


async def _inline(visit: Visit, resource: Resource) -> None:
    """Bring the bytes of attachments along: the consultant cannot reach the hospital's server."""
    for attachment in attachments(resource):
        try:
            body, content_type = await visit.ehr.binary(attachment["url"])
        except FhirFailure:
            continue  # the line stays in the chart, with its title; the document itself can be asked for
        if len(body) <= LARGEST_ATTACHMENT_BYTES:
            attachment["data"] = base64.b64encode(body).decode()
            attachment.setdefault("contentType", content_type.partition(";")[0])
        del attachment["url"]
