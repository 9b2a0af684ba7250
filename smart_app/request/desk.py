"""A draft request with everything around it: chart copy, priors, service lines; for page, autosave and sending."""

import hashlib
import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import date
from typing import Any

import orjson
from anyio.to_thread import run_sync

from smart_app.case.turnaround import promised_day
from smart_app.errors import Changed, NotFound
from smart_app.gateway import gateway_of
from smart_app.request.chart import Chart, Item, items, read_chart
from smart_app.request.content import Attachment, Content
from smart_app.request.letter import Letter, letter_of
from smart_app.request.priors import Priors, priors_from, with_told
from smart_app.request.relevance import Need, Rules, reasons, rules_from, suggested
from smart_app.request.service_lines import ServiceLine, line_named, service_lines
from smart_app.store.drafts import Draft
from smart_app.visit import Visit
from smart_app.words import Clock

TRIES = 5
EARLIER = "earlier-chart"
NUMBER_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"


@dataclass(frozen=True)
class Desk:
    """Everything on the physician's desk for one request."""

    draft: Draft
    content: Content
    chart: Chart
    items: list[Item]
    priors: Priors
    lines: list[ServiceLine]
    rules: Rules

    def suggested(self, today: date) -> dict[str, str]:
        """The outside studies that this request most likely needs, each with the reason."""
        return suggested(self.rules, self.priors.studies, self._need(today))

    def relevant(self, today: date) -> dict[str, str]:
        """The same of all studies, also of those that may be another person's."""
        return reasons(self.rules, self.priors.studies, self._need(today))

    def _need(self, today: date) -> Need:
        letter, specialty = self.letter, f"{self.line.name} {self.line.specialty}" if self.line else ""
        words = " ".join((letter.question, letter.diagnosis, letter.story, specialty))
        return Need(specialty, words, today)

    @property
    def letter(self) -> Letter:
        """The letter as it stands."""
        return letter_of(self.content, self.items, self.priors)

    @property
    def line(self) -> ServiceLine | None:
        """The chosen service line."""
        return line_named(self.lines, self.content.service)

    def promised(self, today: date) -> date:
        """The day the opinion is promised for."""
        return promised_day(self.content.product, self.content.urgency, today)

    def promised_for(self, urgency: str, today: date) -> date:
        """The day the opinion would be promised for at another urgency."""
        return promised_day(self.content.product, urgency, today)

    def group(self, name: str) -> list[Item]:
        """The chart's items of one group."""
        return [item for item in self.items if item.group == name]


async def open_desk(visit: Visit, draft: Draft) -> Desk:
    """Put a draft on the desk; the chart is read once from the hospital's record and then kept beside the draft."""
    kept = await run_sync(visit.services.drafts.part, draft.id, "chart")
    chart = Chart(**orjson.loads(kept)) if kept else await read_and_keep(visit, draft)
    found = await run_sync(visit.services.drafts.part, draft.id, "priors")
    listed = _listed(visit, chart)
    priors = priors_from(orjson.loads(found)) if found else Priors()
    content = Content.model_validate(draft.content)
    rules = rules_from(visit.services.settings.prior_rules)
    return Desk(draft, content, chart, listed, priors, await service_lines(visit.fhir), rules)


async def current_draft(visit: Visit) -> Draft:
    """The unsent request for the launch's patient; begun, with its case number, when there is none."""
    patient = visit.launch.patient or ""
    return await run_sync(visit.services.drafts.current, visit.launch.practitioner, "request", patient, patient)


async def draft_of(visit: Visit, draft_id: str) -> Draft:
    """A draft of this person for this launch's patient.  Raises NotFound: a draft never crosses patients."""
    draft = await run_sync(visit.services.drafts.find, draft_id, visit.launch.practitioner)
    if draft is None or draft.patient != visit.launch.patient:
        raise NotFound("This draft belongs to another patient or another person.")
    return draft


async def own_draft(visit: Visit, draft_id: str) -> Draft:
    """A draft of this person, of whichever patient: to be put away or taken back, not to be shown.  Raises NotFound."""
    draft = await run_sync(visit.services.drafts.find, draft_id, visit.launch.practitioner)
    if draft is None or draft.purpose != "request":
        raise NotFound("This draft belongs to another person, or is gone.")
    return draft


def opened(desk: Desk) -> Content:
    """The content as a window that opens it finds it: that window writes from now on.  The first one ever finds a case
    number, sensible records ticked, the only service line chosen."""
    window = {"window": secrets.token_urlsafe(9)}
    if desk.content.prefilled:
        return desk.content.model_copy(update=window)
    values = window | {
        "prefilled": bool(desk.items) or not desk.chart.unread,  # nothing read: nothing was ticked yet
        "case_number": desk.content.case_number or new_case_number(),
        "picks": tuple(item.reference for item in desk.items if item.ticked),
        "service": desk.lines[0].reference if len(desk.lines) == 1 else "",
    }
    return desk.content.model_copy(update=values)


def new_case_number() -> str:
    """A number that people can read out: `K-7QM4-TX2P`, 40 random bits, no letters that look alike."""
    letters = [secrets.choice(NUMBER_LETTERS) for _ in range(8)]
    return f"K-{''.join(letters[:4])}-{''.join(letters[4:])}"


async def search_outside(visit: Visit, draft: Draft) -> AsyncGenerator[Priors]:
    """Search the outside archives; what is known is kept beside the draft with each archive's answer."""
    content: dict[str, Any] = {}
    async with aclosing((await gateway_of(visit)).priors(draft.patient)) as told:
        async for each in told:
            content = with_told(content, each)
            await run_sync(visit.services.drafts.put_part, draft.id, "priors", orjson.dumps(content))
            yield priors_from(content)


async def keep(visit: Visit, draft_id: str, change: Callable[[Content], Content]) -> Draft:
    """Change a draft's content and keep it; done anew on what another request of this person wrote in between."""
    for _ in range(TRIES):
        draft = await draft_of(visit, draft_id)
        before = Content.model_validate(draft.content)
        after = change(before)
        if after == before or draft.state != "open":
            return draft
        if await run_sync(visit.services.drafts.save, draft, after.model_dump()):
            return await draft_of(visit, draft_id)
    raise Changed("The draft is being written by several windows at once.", "Close the others, then go on here.")


async def attach(visit: Visit, draft: Draft, name: str, content_type: str, body: bytes) -> Attachment:
    """Keep a signed consent beside the draft."""
    await run_sync(visit.services.drafts.put_part, draft.id, "consent", body)
    digest = hashlib.sha256(body).hexdigest()
    return Attachment(name=name, content_type=content_type, size=len(body), sha256=digest)


async def has_chart(visit: Visit, draft: Draft) -> bool:
    """Whether the chart has been read for this draft."""
    return await run_sync(visit.services.drafts.part, draft.id, "chart") is not None


async def read_and_keep(visit: Visit, draft: Draft) -> Chart:
    """Read the chart from the hospital's record and keep it beside the draft; what fails now and was read before stays.

    Of parts that come for the first time the sensible records are ticked, as at the first reading.
    """
    drafts = visit.services.drafts
    kept = await run_sync(drafts.part, draft.id, EARLIER)
    before = Chart(**orjson.loads(kept)) if kept else None
    chart = await read_chart(visit.ehr, visit.launch.ehr_patient or "", before)
    written = orjson.dumps({"resources": chart.resources, "missing": chart.missing, "unread": chart.unread})
    await run_sync(drafts.put_part, draft.id, "chart", written)
    if before is not None and before.unread:
        known = {item.reference for item in _listed(visit, before)}
        came = [item.reference for item in _listed(visit, chart) if item.ticked and item.reference not in known]
        await keep(visit, draft.id, lambda content: _ticked_too(content, came))
    return chart


def _ticked_too(content: Content, references: list[str]) -> Content:
    added = [each for each in references if each not in content.picks]
    return content.model_copy(update={"picks": (*content.picks, *added)}) if content.prefilled else content


def _listed(visit: Visit, chart: Chart) -> list[Item]:
    return items(chart, Clock(visit.services.settings.time_zone).now().date())


async def read_again(visit: Visit, draft: Draft) -> None:
    """Have the chart read once more when the form is opened; where that fails, the copy at hand fills the gap."""
    kept = await run_sync(visit.services.drafts.part, draft.id, "chart")
    if kept is not None:
        await run_sync(visit.services.drafts.put_part, draft.id, EARLIER, kept)
        await run_sync(visit.services.drafts.remove_part, draft.id, "chart")
