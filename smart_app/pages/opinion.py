"""`cases/{case}/opinion` and `cases/{case}/sign`: the report is saved as it is typed, then signed once."""

from datetime import UTC, datetime
from functools import partial
from typing import Any

from anyio.to_thread import run_sync
from starlette.responses import Response

from smart_app.errors import Changed, FhirFailure, Invalid, NotFound, Unavailable
from smart_app.pages import proving
from smart_app.reading import writing
from smart_app.reading.room import Room, draft_of, enter
from smart_app.reading.signing import FONTS, prepare, send_once, written_on
from smart_app.report import pdf
from smart_app.report.compare import as_text, compared
from smart_app.report.ease import ease_of
from smart_app.report.form import content_of, opinion_of
from smart_app.report.letterhead import letterhead
from smart_app.report.opinion import Opinion
from smart_app.store.drafts import Draft
from smart_app.visit import Visit, page
from smart_app.words import Clock

ELSEWHERE = "This report was changed in another window."


def state_of(visit: Visit, room: Room, draft: Draft) -> dict[str, Any]:
    """What stands below the form: saved when, what is missing, what was not looked at, how the patient's part reads."""
    opinion = opinion_of(draft.content, room.citable)
    looked = set(draft.content.get("reviewed", []))
    return {
        "checks": opinion.checks(),
        "unseen": [each for each in room.timeline.studies if each.cite not in looked],
        "ease": ease_of(opinion.patient_version),
        "saved_at": moment_of(draft) if draft.content else "",
        "version": draft.version,
    }


def moment_of(draft: Draft) -> str:
    """When a draft was last kept, as a FHIR instant."""
    return datetime.fromtimestamp(draft.updated_at, UTC).isoformat(timespec="seconds")


async def save(visit: Visit) -> Response:
    """Keep what was typed; answer with the state of the draft and what is still missing.

    What another window wrote meanwhile stays as it is: 409, and the person chooses.  `over` is the version that the
    person decided to write over; that one is put aside.
    """
    form = await visit.form()
    content = content_of(form)
    try:
        room = await enter(visit)
    except NotFound:
        return await save_lost(visit, content)
    except (Unavailable, FhirFailure):
        await keep_blindly(visit, content, str(form.get("opened", "")))
        raise
    drafts, draft = visit.services.drafts, await draft_of(visit, room.case)
    over = str(form.get("over", ""))
    kept = await writing.keep(drafts, draft, content, str(form.get("opened", "")), over)
    await written_on(visit, draft)
    if kept and over == str(draft.version):
        await writing.put_aside(drafts, draft, draft.content, moment_of(draft))
    now = await draft_of(visit, room.case)
    shown = state_of(visit, room, now)
    return visit.render("opinion_state.html", 200 if kept else 409, kept=kept, case=room.case, **shown)


async def keep_blindly(visit: Visit, content: dict[str, Any], opened: str) -> None:
    """Keep the words although the record server fails; the page sends them again and hears the rest then."""
    drafts, case = visit.services.drafts, visit.request.path_params["case"]
    if draft := await run_sync(drafts.existing, visit.launch.practitioner, "report", f"Task/{case}"):
        await writing.keep(drafts, draft, content, opened)


async def save_lost(visit: Visit, content: dict[str, Any]) -> Response:
    """The case went to somebody else while this person was writing: their words are kept as their own."""
    case = visit.request.path_params["case"]
    drafts = visit.services.drafts
    draft = await run_sync(drafts.existing, visit.launch.practitioner, "report", f"Task/{case}")
    if draft is None:
        raise NotFound("There is no such case, or it is not yours to see.")
    await run_sync(drafts.save, draft, content)
    return visit.render("opinion_lost.html", case_id=case)


async def compare(visit: Visit) -> Response:
    """This window's words beside those that were kept (or put aside), what differs marked."""
    room = await enter(visit)
    form = await visit.form()
    draft = await draft_of(visit, room.case)
    other = await writing.aside(visit.services.drafts, draft) if form.get("with") == "aside" else None
    theirs, at = (other.content, other.at) if other else (draft.content, moment_of(draft))
    rows = compared(content_of(form), theirs)
    values = {"rows": rows, "at": at, "case": room.case, "version": draft.version, "is_aside": other is not None}
    return visit.render("opinion_compare.html", **values)


async def theirs(visit: Visit) -> Response:
    """Give way to the other window's version; this window's words are put aside."""
    room = await enter(visit)
    draft = await draft_of(visit, room.case)
    now = Clock().now().isoformat(timespec="seconds")
    await writing.put_aside(visit.services.drafts, draft, content_of(await visit.form()), now)
    return back_to(visit, "You see the other window's version. Yours is kept.", undo=True)


async def clear(visit: Visit) -> Response:
    """Empty the report; the words are put aside and can be had again."""
    room = await enter(visit)
    draft = await draft_of(visit, room.case)
    content = content_of(await visit.form())
    await writing.put_aside(visit.services.drafts, draft, content, moment_of(draft))
    if not await run_sync(visit.services.drafts.save, draft, {"window": ""}):
        raise Changed(ELSEWHERE, "Open the report again and look.")
    return back_to(visit, "Report cleared.", undo=True)


async def back(visit: Visit) -> Response:
    """Take the version that was put aside, and put the present one aside."""
    room = await enter(visit)
    draft = await draft_of(visit, room.case)
    if not await writing.swap(visit.services.drafts, draft, moment_of(draft)):
        raise Changed("There is no other version any more.", "The report shows the one that is kept.")
    return back_to(visit, "The other version is back.")


def back_to(visit: Visit, said: str, undo: bool = False) -> Response:
    """The reading room again, with a word on what happened."""
    case = visit.request.path_params["case"]
    return visit.go(f"cases/{case}/read", said, f"cases/{case}/opinion/back" if undo else "")


async def words(visit: Visit) -> Response:
    """A person's own unsigned words as plain text, whoever has the case now."""
    case = visit.request.path_params["case"]
    draft = await run_sync(visit.services.drafts.existing, visit.launch.practitioner, "report", f"Task/{case}")
    if draft is None:
        raise NotFound("You have no unsigned report on this case.")
    named = {"content-disposition": 'attachment; filename="unsigned-report.txt"', "cache-control": "no-store"}
    return Response(as_text(draft.content), media_type="text/plain; charset=utf-8", headers=named)


async def preview(visit: Visit) -> Response:
    """The report as it would look on paper, marked as unsigned."""
    room = await enter(visit)
    draft = await draft_of(visit, room.case)
    when = Clock(visit.services.settings.time_zone).now()
    head = await letterhead(visit.fhir, room.case, visit.launch.practitioner, when)
    paper = await run_sync(pdf.render, opinion_of(draft.content, room.citable), head.unsigned(), FONTS)
    return Response(paper, media_type="application/pdf", headers={"cache-control": "no-store"})


async def sign(visit: Visit) -> Response:
    """Typeset, prove, sign and send in one transaction; a second click finds the draft taken."""
    room, draft, opinion = await ready(visit)
    await send_once(visit, draft, partial(prepare, visit, room, opinion))
    return visit.go(f"cases/{room.case.id}/report")


async def window(visit: Visit) -> Response:
    """Typeset, and give the address of the window in which the signer signs in anew."""
    room, draft, opinion = await ready(visit)
    return await proving.window(visit, draft, await prepare(visit, room, opinion))


async def wait(visit: Visit) -> Response:
    """Sign and send as soon as the signer has signed in anew."""
    case = visit.request.path_params["case"]
    draft = await run_sync(visit.services.drafts.existing, visit.launch.practitioner, "report", f"Task/{case}")
    return await proving.wait(visit, draft)


async def ready(visit: Visit) -> tuple[Room, Draft, Opinion]:
    """Keep what was typed, if it can be signed.  Raises Invalid, Changed."""
    room = await enter(visit)
    form = await visit.form()
    content = content_of(form)
    opinion = opinion_of(content, room.citable)
    if gaps := opinion.missing():
        raise Invalid(" ".join(gaps), "Go back, complete the report and sign again.")
    drafts, draft = visit.services.drafts, await draft_of(visit, room.case)
    if not await writing.keep(drafts, draft, content, str(form.get("opened", ""))):
        await writing.put_aside(drafts, draft, content, Clock().now().isoformat(timespec="seconds"))
        raise Changed(ELSEWHERE, "Open the report again, compare both versions, then sign. Nothing was lost.")
    return room, draft, opinion


routes = [
    page("cases/{case}/opinion", save, ("POST",)),
    page("cases/{case}/opinion.txt", words),
    page("cases/{case}/opinion.pdf", preview),
    page("cases/{case}/opinion/compare", compare, ("POST",)),
    page("cases/{case}/opinion/theirs", theirs, ("POST",)),
    page("cases/{case}/opinion/clear", clear, ("POST",)),
    page("cases/{case}/opinion/back", back, ("POST",)),
    page("cases/{case}/sign", proving.in_dialog(sign), ("POST",)),
    page("cases/{case}/sign/proof", proving.ask),
    page("cases/{case}/sign/window", proving.in_dialog(window), ("POST",)),
    page("cases/{case}/sign/wait", proving.in_dialog(wait)),
]
