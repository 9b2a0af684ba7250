"""A request as its physician sends it: chart read from the hospital, sensible records ticked, outside studies found."""

import base64
from typing import Any

from deploy.sandbox.cases.calendar import Fixed
from deploy.sandbox.cases.people import Visitor
from deploy.sandbox.cases.release import signed_form
from deploy.sandbox.cases.story import Story
from deploy.sandbox.hospitals import PROGRAMME_TITLE
from deploy.sandbox.imaging.catalogue import CONTENT, STUDIES
from deploy.sandbox.imaging.dicom import Study as DrawnStudy
from smart_app.case.turnaround import end_of, promised_day
from smart_app.errors import FhirFailure
from smart_app.fhir import Resource
from smart_app.request.bundle import Sending, transaction
from smart_app.request.chart import Item, items, read_chart
from smart_app.request.content import Content
from smart_app.request.copies import attachments, with_results
from smart_app.request.letter import diagnosis_of
from smart_app.request.priors import Priors, Study, priors_from, with_told
from smart_app.tenants import base_url
from smart_app.words import person_name

STUDY = {study.key: study for study in STUDIES}
UIDS = {key: study.study_instance_uid for key, study in STUDY.items()}


class NotOffered(Exception):
    """The outside archives do not show a study of the story (yet)."""


async def ask(visitor: Visitor, story: Story, clock: Fixed) -> None:
    """Send the request once: a second time the server finds it by its number."""
    chart = await read_chart(visitor.ehr, story.patient)
    listed = items(chart, clock.now().date())
    priors = await found(visitor, story) if story.studies else Priors()
    content = content_of(story, listed, priors)
    form = b""
    if story.released:
        person = await visitor.fhir.read(visitor.patient)
        signed = person_name(person), visitor.tenant.title, PROGRAMME_TITLE, clock.now().date()
        consent, form = signed_form(*signed)
        content = content.model_copy(update={"consent": consent})
    references = [*content.picks, content.diagnosis]
    records = with_results(chart, list(dict.fromkeys(references)))
    for each in records:
        await inline(visitor, each)
    base, today = base_url(visitor.tenant.fhir_base), clock.now().date()
    sending = Sending(
        patient=visitor.patient,
        requester=requester(visitor, base),
        organization=visitor.organization,
        fhir_base=base,
        service=await visitor.fhir.read(content.service),
        diagnosis=diagnosis_of(content, listed),
        now=clock.now().isoformat(timespec="seconds"),
        promised=end_of(promised_day(story.product, story.urgency, today), clock.zone),
        records=records,
        studies=[study for study in priors.studies if study.key in content.studies],
        peer_titles={peer.name: peer.title for peer in priors.peers},
        consent_file=form,
    )
    await visitor.fhir.transaction(transaction(content, sending))


async def found(visitor: Visitor, story: Story) -> Priors:
    """What the search finds, and what the archive's desk named besides."""
    told: dict[str, Any] = {}
    async for each in visitor.gateway.priors(visitor.patient):
        told = with_told(told, each)
    searched = priors_from(told)
    peer = searched.peers[0].name if searched.peers else ""
    named = [by_telephone(peer, STUDY[each.key]) for each in story.studies if each.told]
    return Priors(searched.peers, [*searched.studies, *named])


def by_telephone(peer: str, study: DrawnStudy) -> Study:
    """A study as somebody at the archive's desk names it."""
    modality, images = CONTENT[study]
    return Study(peer, study.study_instance_uid, study.date, study.time, (modality,), study.description, 1, images)


def content_of(story: Story, listed: list[Item], priors: Priors) -> Content:
    """The form as the physician fills it in.  Raises NotOffered."""
    wanted = {UIDS[each.key] for each in story.studies}
    found = {study.study_instance_uid: study.key for study in priors.studies if study.study_instance_uid in wanted}
    if wanted - set(found):
        raise NotOffered(f"{len(wanted - set(found))} of {len(wanted)} outside studies were not found")
    return Content(
        case_number=story.number,
        reason=story.reason,
        question=story.question,
        story=story.story,
        diagnosis=f"Condition/{story.patient}-problem-{story.diagnosis}",
        service=f"HealthcareService/{story.service}",
        product=story.product,
        urgency=story.urgency,
        picks=tuple(item.reference for item in listed if item.ticked or item.group == "documents"),
        studies=tuple(found.values()),
        basis="consent" if story.released else "treatment",
        attested=not story.released,
        prefilled=True,
        searched=True,
    )


def requester(visitor: Visitor, base: str) -> Resource:
    """The physician: our Practitioner, and beside it who that is at the hospital."""
    kind, _, identity = visitor.ehr_user.partition("/")
    beside = {"identifier": {"system": f"{base}/{kind}", "value": identity}} if identity else {}
    return {"reference": visitor.practitioner, "display": visitor.name, **beside}


async def inline(visitor: Visitor, resource: Resource) -> None:
    """Bring the bytes of attachments along: the consultant cannot reach the hospital's server."""
    for attachment in attachments(resource):
        try:
            body, content_type = await visitor.ehr.binary(attachment["url"])
        except FhirFailure:
            continue
        attachment["data"] = base64.b64encode(body).decode()
        attachment.setdefault("contentType", content_type.partition(";")[0])
        del attachment["url"]
