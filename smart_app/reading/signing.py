"""The signature: typeset, proved, signed and sent in one transaction, once."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from anyio import create_task_group
from anyio.to_thread import run_sync
from joserfc.jwk import ECKey, RSAKey, import_key
from typst import TypstError

from smart_app.errors import AppError, Changed, Unavailable
from smart_app.fhir import Resource
from smart_app.gateway import gateway_of
from smart_app.reading import proof
from smart_app.reading.room import Room
from smart_app.report import bundle, pdf
from smart_app.report.letterhead import letterhead
from smart_app.report.opinion import Opinion
from smart_app.report.signature import Proof, Signer
from smart_app.store.drafts import Draft
from smart_app.visit import Visit
from smart_app.words import Clock

FONTS = Path(__file__).parent.parent / "static" / "vendor" / "fonts"
WAITING = "signing"


@dataclass(frozen=True)
class Prepared:
    """A report that is typeset and not yet signed; `handle` and `address` while its signer is at another window."""

    transaction: Resource
    instances: Sequence[str]
    title: str
    handle: str = ""
    address: str = ""


Make = Callable[[], Awaitable[Prepared]]


async def prepare(visit: Visit, room: Room, opinion: Opinion) -> Prepared:
    """Typeset the report of a case."""
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
    return Prepared(bundle.unsigned(opinion, paper, signing), signing.instances, title_of(room, "Second opinion"))


def title_of(room: Room, kind: str) -> str:
    """What the signer is told that they sign; names no patient."""
    return f"{kind}, case {room.case.number}" if room.case.number else kind


async def send_once(visit: Visit, draft: Draft, make: Make) -> None:
    """Sign the report of a draft with what was typed into the dialog; who finds it being signed raises Changed."""
    async with _once(visit, draft):
        prepared = await make()
        given = await proof.at_once(visit, prepared.transaction, prepared.title, await visit.form())
        await send(visit, prepared, given)


async def send(visit: Visit, prepared: Prepared, given: Proof | None) -> None:
    """The signed transaction.  Raises FhirFailure with the rule that stands in the way."""
    when = Clock(visit.services.settings.time_zone).now()
    signer = Signer(visit.launch.practitioner, when, prepared.instances, given)
    await visit.fhir.transaction(bundle.signed(prepared.transaction, signer, await signing_key(visit)))


async def to_window(visit: Visit, draft: Draft, prepared: Prepared) -> Prepared:
    """Keep a report while its signer signs in anew in another window, under a signing transaction of its own."""
    window = await proof.in_window(visit, prepared.transaction, prepared.title)
    waiting = replace(prepared, handle=window.handle, address=window.address)
    await run_sync(visit.services.drafts.put_part, draft.id, WAITING, json.dumps(asdict(waiting)).encode())
    return waiting


async def waiting_for(visit: Visit, draft: Draft) -> Prepared | None:
    """The report that waits for its signer; None when it was written on since."""
    found = await run_sync(visit.services.drafts.part, draft.id, WAITING)
    return Prepared(**json.loads(found)) if found else None


async def written_on(visit: Visit, draft: Draft) -> None:
    """Who writes on signs what is written then: what waits for a signature waits no more."""
    await run_sync(visit.services.drafts.remove_part, draft.id, WAITING)


async def send_waiting(visit: Visit, draft: Draft, prepared: Prepared, given: Proof) -> None:
    """Sign and send what has waited, once."""
    async with _once(visit, draft):
        await send(visit, prepared, given)


@asynccontextmanager
async def _once(visit: Visit, draft: Draft) -> AsyncIterator[None]:
    drafts = visit.services.drafts
    if not await run_sync(drafts.start_sending, draft.id):
        raise Changed("This report is being signed in another window.", "Open the case to see the result.")
    try:
        yield
    except (AppError, TypstError):
        await run_sync(drafts.reopen, draft.id)
        raise
    await run_sync(drafts.finish, draft.id)


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
