"""What is still being written lives in the app alone: two forms, filled in half, kept by its own autosave."""

import re
from html import escape

from deploy.sandbox.cases import opinions
from deploy.sandbox.cases.browser import Form, PageError, hidden_fields
from deploy.sandbox.cases.people import People
from deploy.sandbox.cases.story import Story
from smart_app.case import material
from smart_app.case.view import load_case

DRAFT = re.compile(r'action="(/l/[^"]+/drafts/[^"/]+)/send"')
OPENING = re.compile(r'hx-post="(/l/[^"]+/drafts/[^"/]+/chart)"')
TICKED = re.compile(r'name="pick" value="([^"]+)" checked')
HTMX = {"HX_Request": "true"}


async def request(people: People, story: Story) -> None:
    """A request begun in the chart and left; a second time it is found as it was left."""
    browser, launch = await people.browser_in_chart(story.requester, story.patient)
    page = await browser.get(f"{launch}new")
    if opening := OPENING.search(page.text):
        page = await browser.post(str(page.url.join(opening.group(1))), {})
    if escape(story.question, quote=False)[:40] in page.text:
        return
    if not (found := DRAFT.search(page.text)):
        raise PageError("the request form names no draft")
    form: Form = {
        **hidden_fields(page.text),
        "reason": story.reason,
        "question": story.question,
        "story": story.story,
        "diagnosis": f"Condition/{story.patient}-problem-{story.diagnosis}",
        "service": f"HealthcareService/{story.service}",
        "product": story.product,
        "urgency": story.urgency,
        "pick": TICKED.findall(page.text),
    }
    await browser.post(str(page.url.join(found.group(1))), form, **HTMX)


async def report(people: People, story: Story, case_id: str) -> None:
    """A report begun in the reading room and left."""
    if story.opinion is None:
        return
    caller = await people.of_ours(story.consultant)
    case = await load_case(caller.fhir, case_id)
    records = await material.of(caller.fhir, case.task, case.request)
    browser, launch = await people.browser_at_app(story.consultant)
    page = await browser.get(f"{launch}cases/{case_id}/read")
    if escape(story.opinion.answer, quote=False)[:40] in page.text:
        return
    words = opinions.form(story.opinion, records)
    await browser.post(f"{launch}cases/{case_id}/opinion", {**hidden_fields(page.text), **words}, **HTMX)
