"""`cases/{case}/amend`: the signer adds to a signed report or corrects it; the version before is never lost."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from anyio.to_thread import run_sync
from starlette.responses import Response

from smart_app.case.acting import LOOK, who_changed
from smart_app.case.moves import possible
from smart_app.case.view import Case, load_case
from smart_app.errors import Changed, FhirFailure, Forbidden, Invalid
from smart_app.fhir import Resource
from smart_app.pages import proving
from smart_app.pages.case import tab
from smart_app.pages.steps import as_it_stands, clock_of
from smart_app.reading.room import Room, enter
from smart_app.reading.signing import FONTS, Make, Prepared, instances, send_once, title_of, written_on
from smart_app.report import amending, pdf
from smart_app.report.amending import KINDS, Amendment
from smart_app.report.bundle import Signing
from smart_app.report.compare import compared
from smart_app.report.form import content_of, opinion_of
from smart_app.report.letterhead import letterhead
from smart_app.report.opinion import QUESTIONS, VALUES, Opinion
from smart_app.report.stored import StoredOpinion, opinion_in
from smart_app.store.drafts import Draft
from smart_app.visit import Visit, page

SIGNED = "The amended report is signed. The requester is asked to read it."


async def amend(visit: Visit) -> Response:
    """The signed report, to write on from there; what was written before is still in the form."""
    room, _, signed = await _signed(visit)
    draft = await _draft_of(visit, room.case)
    content = draft.content or {**signed.content(), "kind": "appended"}
    values = {"content": content, "draft": draft, "kinds": KINDS, "questions": QUESTIONS, "values": VALUES}
    labels = room.labels | {each.reference: each.display for each in signed.reviewed}
    return await tab(visit, "amend", case=room.case, labels=labels, action=None, **values)


async def save(visit: Visit) -> Response:
    """POST: keep what was typed."""
    room, _, _ = await _signed(visit)
    draft = await _draft_of(visit, room.case)
    form = await visit.form()
    await written_on(visit, draft)
    kept = draft.id == form.get("draft") and await run_sync(visit.services.drafts.save, draft, await _content(visit))
    return visit.render("message_state.html", 200 if kept else 409, kept=kept, saved_at=clock_of(visit).now())


async def preview(visit: Visit) -> Response:
    """POST: what changes, word by word, before it is signed."""
    _, _, signed = await _signed(visit)
    content = await _content(visit)
    if content["kind"] == "appended":
        content = signed.content() | {"answer": f"{signed.answer}\n\nAddendum: {content['addendum']}"}
    return visit.render("amend_changes.html", rows=compared(content, signed.content()))


async def sign(visit: Visit) -> Response:
    """POST: typeset, prove, sign and send the new version in one transaction, once."""
    if await _signed_already(visit):
        return visit.go(f"cases/{visit.request.path_params['case']}/report")
    room, draft, make = await _ready(visit)
    async with _not_changed(visit, room.case):
        await send_once(visit, draft, make)
    return visit.go(f"cases/{room.case.id}/report", said=SIGNED)


async def window(visit: Visit) -> Response:
    """POST: typeset, and give the address of the window in which the signer signs in anew."""
    _, draft, make = await _ready(visit)
    return await proving.window(visit, draft, await make())


async def wait(visit: Visit) -> Response:
    """Sign and send as soon as the signer has signed in anew."""
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    draft = await run_sync(visit.services.drafts.existing, visit.launch.practitioner, "amendment", case.reference)
    async with _not_changed(visit, case):
        return await proving.wait(visit, draft)


async def _ready(visit: Visit) -> tuple[Room, Draft, Make]:
    """Keep what was typed, if it can be signed.  Raises Invalid, Forbidden, Changed."""
    room, report, signed = await _signed(visit)
    content = await _content(visit)
    opinion = _opinion(visit, content, room, signed)
    draft = await _draft_of(visit, room.case)
    await run_sync(visit.services.drafts.save, draft, content)
    amendment = Amendment(report, await _concordance(visit, report), content["kind"], content["reason"])
    return room, draft, partial(_prepare, visit, room, amendment, opinion)


def _opinion(visit: Visit, content: dict[str, Any], room: Room, signed: StoredOpinion) -> Opinion:
    if len(content["reason"]) < 5:
        raise Invalid("The requester needs to know what changed.", "Go back and say it in one sentence.")
    if content["kind"] == "appended":
        if len(content["addendum"]) < 5:
            raise Invalid("The addendum has no text.", "Go back and write what is added.")
        now = clock_of(visit).now()
        return amending.with_addendum(signed.opinion(), content["addendum"], pdf.long_date(now.date()))
    opinion = opinion_of(content, room.citable)
    if gaps := opinion.missing():
        raise Invalid(" ".join(gaps), "Go back, complete the report and sign again.")
    return opinion


async def _prepare(visit: Visit, room: Room, amendment: Amendment, opinion: Opinion) -> Prepared:
    when = clock_of(visit).now()
    title = KINDS[amendment.kind][0]
    head = await letterhead(visit.fhir, room.case, visit.launch.practitioner, when)
    before = clock_of(visit).day(str(amendment.report.get("issued", "")))
    told = f"{title} to the report of {before}, which it replaces. {amendment.reason}"
    paper = await run_sync(pdf.render, opinion, head.amending(told), FONTS)
    focus = amendment.concordance.get("focus", [{}])[0].get("reference")
    signing = Signing(
        task=room.case.task,
        service_request=room.case.request,
        signer=visit.launch.practitioner,
        when=when,
        instances=await instances(visit, room, opinion),
        first_report=focus,
        amends=told,
    )
    made = amending.unsigned(opinion, paper, signing, amendment)
    return Prepared(made, signing.instances, title_of(room, title))


@asynccontextmanager
async def _not_changed(visit: Visit, case: Case) -> AsyncIterator[None]:
    """Say who was faster, where somebody was.  Raises Changed."""
    try:
        yield
    except FhirFailure as failure:
        if failure.status in (409, 412):
            said = await who_changed(visit.fhir, case, clock_of(visit), visit.launch.practitioner)
            raise Changed(said, LOOK) from failure
        raise


async def _signed(visit: Visit) -> tuple[Room, Resource, StoredOpinion]:
    """The case with its signed report.  Raises Forbidden for anybody but the signer, Changed when nothing is signed."""
    room = await enter(visit)
    owns = room.case.owner == visit.launch.practitioner
    if not owns:
        raise Forbidden("Only the consultant who signed a report amends it.", "Write them a message on the case.")
    if "amend" not in possible(room.case, visit.launch.roles, owns):
        raise Changed("There is no signed report to amend here.", LOOK)
    report = await visit.fhir.read(room.case.report.partition("/_history")[0])
    signed = opinion_in(report)
    if signed is None:
        raise Changed("This report was not written here, so it cannot be amended here.")
    return room, report, signed


async def _concordance(visit: Visit, report: Resource) -> Resource:
    return await visit.fhir.read(str(report["result"][0]["reference"]))


async def _content(visit: Visit) -> dict[str, Any]:
    form = await visit.form()
    kind = str(form.get("kind", ""))
    own = {
        "kind": kind if kind in KINDS else "appended",
        "reason": str(form.get("reason", "")).strip()[:500],
        "addendum": str(form.get("addendum", "")).strip()[:8000],
    }
    return content_of(form) | own


async def _draft_of(visit: Visit, case: Case) -> Draft:
    who, patient = visit.launch.practitioner, str(case.task["for"]["reference"])
    return await run_sync(visit.services.drafts.current, who, "amendment", case.reference, patient)


async def _signed_already(visit: Visit) -> bool:
    named = str((await visit.form()).get("draft", ""))
    found = await run_sync(visit.services.drafts.find, named, visit.launch.practitioner) if named else None
    return found is not None and found.state == "sent"


routes = [
    page("cases/{case}/amend", as_it_stands(amend)),
    page("cases/{case}/amend", proving.in_dialog(as_it_stands(sign)), ("POST",)),
    page("cases/{case}/amend/proof", proving.ask),
    page("cases/{case}/amend/window", proving.in_dialog(window), ("POST",)),
    page("cases/{case}/amend/wait", proving.in_dialog(wait)),
    page("cases/{case}/amend/draft", save, ("POST",)),
    page("cases/{case}/amend/changes", preview, ("POST",)),
]
