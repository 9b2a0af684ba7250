"""`cases/{case}/opinion` and `cases/{case}/sign`: the report is saved as it is typed, then signed once."""

from pathlib import Path
from typing import Any

from anyio import create_task_group
from anyio.to_thread import run_sync
from joserfc.jwk import ECKey, RSAKey, import_key
from starlette.responses import Response
from typst import TypstError

from smart_app.case import material
from smart_app.case.material import Record
from smart_app.case.view import Case, load_case
from smart_app.errors import AppError, Changed, Invalid, Unavailable
from smart_app.gateway import gateway_of
from smart_app.pages.reading import draft_of
from smart_app.report import bundle, pdf
from smart_app.report.form import content_of, opinion_of
from smart_app.report.letterhead import letterhead
from smart_app.report.opinion import Opinion
from smart_app.store.drafts import Draft
from smart_app.visit import Visit, page
from smart_app.words import Clock

FONTS = Path(__file__).parent.parent / "static" / "vendor" / "fonts"


async def save(visit: Visit) -> Response:
    """Keep what was typed; answer with the state of the draft and what is still missing."""
    form = await visit.form()
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    draft = await draft_of(visit, case)
    content = content_of(form)
    records = await material.of(visit.fhir, case.task, case.request)
    kept = await keep(visit, draft, content, str(form.get("opened", "")))
    return visit.render(
        "opinion_state.html",
        200 if kept else 409,
        kept=kept,
        gaps=opinion_of(content, records).missing(),
        saved_at=Clock(visit.services.settings.time_zone).now().strftime("%H:%M:%S"),
    )


async def keep(visit: Visit, draft: Draft, content: dict[str, Any], opened: str) -> bool:
    """Whether the content could be kept: not when another window has written since this one was opened.

    A window may always write after itself: `window` names it, `opened` is the draft's version when it was loaded.
    """
    mine = draft.content.get("window") == content["window"] or str(draft.version) == opened
    return mine and await run_sync(visit.services.drafts.save, draft, content)


async def sign(visit: Visit) -> Response:
    """Typeset, sign and send in one transaction; a second click finds the draft taken."""
    case = await load_case(visit.fhir, visit.request.path_params["case"])
    records = await material.of(visit.fhir, case.task, case.request)
    form = await visit.form()
    content = content_of(form)
    opinion = opinion_of(content, records)
    if gaps := opinion.missing():
        raise Invalid(" ".join(gaps), "Go back, complete the report and sign again.")
    draft = await draft_of(visit, case)
    if not await keep(visit, draft, content, str(form.get("opened", ""))):
        raise Changed("This report was changed in another window.", "Open the case again and look before you sign.")
    if not await run_sync(visit.services.drafts.start_sending, draft.id):
        raise Changed("This report is being signed in another window.", "Open the case to see the result.")
    try:
        await send(visit, case, opinion, records)
    except (AppError, TypstError):
        await run_sync(visit.services.drafts.reopen, draft.id)
        raise
    await run_sync(visit.services.drafts.finish, draft.id)
    return visit.go(f"cases/{case.id}/report")


async def send(visit: Visit, case: Case, opinion: Opinion, records: list[Record]) -> None:
    """The signed transaction.  Raises FhirFailure with the rule that stands in the way."""
    key = await signing_key(visit)
    when = Clock(visit.services.settings.time_zone).now()
    head = await letterhead(visit, case, when)
    paper = await run_sync(pdf.render, opinion, head, FONTS)
    signing = bundle.Signing(
        task=case.task,
        service_request=case.request,
        signer=visit.launch.practitioner,
        when=when,
        instances=await instances(visit, opinion, records),
        first_report=next((each.reference for each in records if each.resource_type == "DiagnosticReport"), None),
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


async def instances(visit: Visit, opinion: Opinion, records: list[Record]) -> list[str]:
    """SOP Instance UIDs of the reviewed studies, as available now (case model, rule 7)."""
    reviewed = {each.reference for each in opinion.reviewed}
    studies = [each.study_instance_uid for each in records if each.study_instance_uid and each.reference in reviewed]
    gateway = await gateway_of(visit)
    found: list[str] = []

    async def one(study: str) -> None:
        found.extend(await gateway.instances(study))

    async with create_task_group() as group:
        for study in studies:
            group.start_soon(one, study)
    return sorted(found)


routes = [
    page("cases/{case}/opinion", save, ("POST",)),
    page("cases/{case}/sign", sign, ("POST",)),
]
