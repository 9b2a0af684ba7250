"""The signature: typeset, sign and send in one transaction, once."""

from pathlib import Path

from anyio import create_task_group
from anyio.to_thread import run_sync
from joserfc.jwk import ECKey, RSAKey, import_key
from typst import TypstError

from smart_app.errors import AppError, Changed, Unavailable
from smart_app.gateway import gateway_of
from smart_app.reading.room import Room
from smart_app.report import bundle, pdf
from smart_app.report.letterhead import letterhead
from smart_app.report.opinion import Opinion
from smart_app.store.drafts import Draft
from smart_app.visit import Visit
from smart_app.words import Clock

FONTS = Path(__file__).parent.parent / "static" / "vendor" / "fonts"


async def send_once(visit: Visit, draft: Draft, room: Room, opinion: Opinion) -> None:
    """Sign the report of a draft; who finds it being signed already raises Changed."""
    if not await run_sync(visit.services.drafts.start_sending, draft.id):
        raise Changed("This report is being signed in another window.", "Open the case to see the result.")
    try:
        await send(visit, room, opinion)
    except (AppError, TypstError):
        await run_sync(visit.services.drafts.reopen, draft.id)
        raise
    await run_sync(visit.services.drafts.finish, draft.id)


async def send(visit: Visit, room: Room, opinion: Opinion) -> None:
    """The signed transaction.  Raises FhirFailure with the rule that stands in the way."""
    key = await signing_key(visit)
    when = Clock(visit.services.settings.time_zone).now()
    head = await letterhead(visit.fhir, room.case, visit.launch.practitioner, when)
    paper = await run_sync(pdf.render, opinion, head, FONTS)
    reports = (each.cite for each in room.timeline.entries if each.kind == "report")
    signing = bundle.Signing(
        task=room.case.task,
        service_request=room.case.request,
        signer=visit.launch.practitioner,
        when=when,
        instances=await instances(visit, room, opinion),
        first_report=next(reports, None),
    )
    await visit.fhir.transaction(bundle.transaction(opinion, paper, signing, key))


async def signing_key(visit: Visit) -> ECKey | RSAKey:
    """The app's own key, whose public half the record server knows."""
    named = await run_sync(visit.services.provisioned.key, "client")
    if named is None:
        raise Unavailable("The app has no key to sign with.", "Tell the administrator: `konsil app provision`.")
    key = import_key(named.key)
    if not isinstance(key, ECKey | RSAKey):
        raise Unavailable("The app's key cannot sign.", "Tell the administrator: `konsil app provision`.")
    return key


async def instances(visit: Visit, room: Room, opinion: Opinion) -> list[str]:
    """SOP Instance UIDs of the reviewed studies, as available now (case model, rule 7)."""
    reviewed = {each.reference for each in opinion.reviewed}
    records = room.records
    studies = [each.study_instance_uid for each in records if each.study_instance_uid and each.reference in reviewed]
    gateway = await gateway_of(visit)
    found: list[str] = []

    async def one(study: str) -> None:
        found.extend(await gateway.instances(study))

    async with create_task_group() as group:
        for study in studies:
            group.start_soon(one, study)
    return sorted(found)
