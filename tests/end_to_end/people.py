"""What each person does, in a browser of their own, as they would: by what the page says."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import BrowserContext, Error, Frame, FrameLocator, Locator, Page, Request, expect

from deploy.sandbox.imaging.studies import CT_CHEST
from deploy.sandbox.people import PIN
from tests.end_to_end.browser import GREYS, workstation
from tests.end_to_end.platform import Platform

__all__ = ["Request"]
SECONDS = 60_000


@dataclass
class Desk:
    """One person at a screen."""

    platform: Platform
    context: BrowserContext
    page: Page


@contextmanager
def at_desk(platform: Platform, folder: Path) -> Iterator[Desk]:
    """A fresh browser."""
    with workstation(folder / f"browser-{time.monotonic_ns()}") as context:
        page = context.new_page()
        page.set_default_timeout(SECONDS)
        expect.set_options(timeout=SECONDS)
        yield Desk(platform, context, page)


def enter(desk: Desk, username: str, path: str = "") -> None:
    """Sign in with the demo's password: at the EHR for a physician, at our own server for everybody else."""
    who = desk.platform.person(username)
    desk.page.goto(who["where"])
    desk.page.get_by_label("User name").fill(who["user"])
    desk.page.get_by_label("Password").fill(who["password"])
    desk.page.get_by_role("button", name="Sign in").click()
    desk.page.wait_for_url(path or "**/l/**")


def open_app(desk: Desk, username: str, tenant: str, patient: str) -> FrameLocator:
    """The physician opens the patient's chart and the app in its frame."""
    enter(desk, username, f"**/{tenant}/")
    desk.page.get_by_role("link", name=re.compile(patient)).first.click()
    desk.page.get_by_role("link", name="Second opinion").first.click()
    return desk.page.frame_locator("iframe[title='Second opinion']")


def ask(desk: Desk, patient: str, study: str, line: str, question: str) -> None:
    """Write a request with one outside study ticked, up to the button that sends it."""
    app = open_app(desk, "nunez", "epic", patient)
    app.get_by_text("Diagnosis uncertain").click()
    app.get_by_label("Your question").fill(question)
    app.locator("#diagnosis").select_option(index=1)
    app.locator("#service").select_option(label=line)
    tick = app.locator("#priors li", has_text=study).get_by_role("checkbox")
    tick.wait_for()
    tick.check()
    app.get_by_label(re.compile("Treatment, physician to physician")).check()
    app.get_by_label(re.compile("I attest")).check()
    app.get_by_role("button", name=f"Send request to {line}").wait_for()
    expect(app.get_by_role("button", name=f"Send request to {line}")).to_be_enabled()


def send(desk: Desk, line: str, question: str) -> None:
    """Press the button, once more if the page says that a server did not answer, and see the case."""
    app = desk.page.frame_locator("iframe[title='Second opinion']")
    button, heading = (
        app.get_by_role("button", name=f"Send request to {line}"),
        app.get_by_role("heading", name=question),
    )
    button.click(no_wait_after=True)
    end = time.monotonic() + 120
    opened_again = False
    while not heading.count():
        assert time.monotonic() < end, f"the request was not sent: {app.locator('main').inner_text()}"
        desk.page.wait_for_timeout(1000)
        if app.get_by_text(re.compile("does not answer|Nothing was lost")).count():
            desk.page.get_by_role("link", name="Second opinion").first.click()
            opened_again = True
        elif opened_again and button.count() and button.is_enabled():
            button.click(no_wait_after=True)
            opened_again = False


def watch_arrival(desk: Desk, study: str) -> list[str]:
    """The sentences that the open case page shows while the study arrives, without a reload."""
    app = desk.page.frame_locator("iframe[title='Second opinion']")
    seen: list[str] = []
    row = app.locator(".k-retrieval", has_text=study)
    end = time.monotonic() + 90
    while time.monotonic() < end:
        words = row.first.inner_text()
        if words not in seen:
            seen.append(words)
        if "arrived" in words:
            return seen
        desk.page.wait_for_timeout(100)
    raise AssertionError(f"the study did not arrive: {seen}")


def reconcile(desk: Desk, decision: str = "accept") -> None:
    """HIM staff compare the most urgent arrival and decide; what is not plainly the same person is confirmed."""
    enter(desk, "harper")
    page = desk.page
    arrivals = page.locator("#arrivals a[data-row]")
    reload_until(desk, arrivals, "nothing arrived in the inbox")
    arrivals.first.click()
    page.get_by_text("What accepting changes in the images").wait_for()
    expect(page.locator(".k-thumbs img").first).to_be_visible()
    if decision == "accept":
        page.get_by_role("button", name=re.compile("^Accept for")).first.click()
        confirmed = page.locator("#accept").get_by_role("button", name=re.compile("^Accept for"))
        if confirmed.count():
            confirmed.click()
    else:
        page.get_by_role("button", name="Reject", exact=True).click()
        page.get_by_label("It is another person of the same name.").check()
        page.get_by_role("button", name="Reject the study").click()
    page.get_by_text(re.compile("^(Accepted for|Rejected; it stays)")).wait_for()


def reload_until(desk: Desk, wanted: Locator, otherwise: str, seconds: float = 90) -> None:
    """Load the page again until it shows what is wanted."""
    end = time.monotonic() + seconds
    while not wanted.count():
        assert time.monotonic() < end, otherwise
        desk.page.wait_for_timeout(500)
        desk.page.reload()


def offer(desk: Desk, consultant: str) -> None:
    """The coordinator offers the case that is ready."""
    enter(desk, "castillo")
    offers = desk.page.locator(".k-column", has_text="Ready").get_by_role("link", name="Offer")
    reload_until(desk, offers, "no case became ready")
    offers.first.click()
    desk.page.get_by_role("button", name=f"Offer to {consultant}").click()
    desk.page.get_by_text(re.compile(f"{consultant}")).first.wait_for()


def start_reading(desk: Desk, username: str) -> Frame:
    """The consultant accepts and opens the reading room; gives the viewer's frame once it shows a picture."""
    enter(desk, username)
    desk.page.locator("[data-row] a, a[data-row]").first.click()
    desk.page.get_by_role("button", name="Accept the case").click()
    desk.page.get_by_role("button", name="Start reading").click(no_wait_after=True)
    desk.page.get_by_role("heading", name="Records").wait_for()
    return viewer(desk)


def viewer(desk: Desk, seconds: float = 120) -> Frame:
    """The viewer's frame, with pixels on its canvas."""
    end, greys = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        frame = next((each for each in desk.page.frames if "/viewer?" in each.url), None)
        greys = greys_of(frame) if frame else 0
        if frame and greys > 50:
            return frame
        desk.page.wait_for_timeout(500)
    raise AssertionError(f"the viewer shows no picture: {greys} grey values, {[each.url for each in desk.page.frames]}")


def greys_of(frame: Frame) -> int:
    """Grey values on the canvas; none while the frame is on its way to another page."""
    try:
        return int(frame.evaluate(GREYS))
    except Error as error:
        if "context was destroyed" in error.message or "detached" in error.message:
            return 0
        raise


def report(desk: Desk, answer: str) -> None:
    """Write the report, see it saved, sign it."""
    page = desk.page
    page.get_by_label("Answer to the question").fill(answer)
    for line in ("Repeat the biopsy before surgery.", "Discuss in the board."):
        page.get_by_label("Recommendation", exact=True).last.fill(line)
        page.keyboard.press("Enter")
    for legend, choice in (
        ("Diagnosis", "Changed"),
        ("Treatment", "Modified"),
        ("Confidence", "High"),
        ("Adequacy of the data", "Adequate"),
        ("First subspecialty review", "Yes"),
    ):
        group = page.get_by_role("group", name=legend, exact=True)
        group.get_by_text(choice, exact=True).click()
    page.locator(".k-entry", has_text=CT_CHEST.description).get_by_role("button", name=re.compile("^Cite")).click()
    page.keyboard.type("The mass abuts the pleura.")
    page.get_by_text("Ready to sign.").wait_for()
    page.get_by_role("button", name="Sign…").click()
    page.get_by_text("It cannot be taken back.").wait_for()
    page.get_by_label("Your signing PIN").fill(PIN)
    page.get_by_role("button", name="Sign and send the report").click(no_wait_after=True)
    page.wait_for_url(re.compile(r"/cases/[^/]+/(report|sign)$"))
    assert page.url.endswith("/report"), f"the report was not signed: {page.locator('main').inner_text()}"
    page.get_by_text(answer).first.wait_for()


def acknowledge(desk: Desk, username: str, tenant: str, patient: str, answer: str) -> None:
    """The physician finds the report in the chart's notes, reads the answer in the app and closes the loop."""
    page = desk.page
    app = open_app(desk, username, tenant, patient)
    app.get_by_role("link", name="Read the report").wait_for()
    page.get_by_role("link", name="Notes").click()
    page.get_by_text("second opinion", exact=True).first.wait_for()
    page.get_by_role("link", name="Second opinion").first.click()
    app.get_by_role("link", name="Read the report").click()
    app.get_by_text(answer).first.wait_for()
    app.get_by_role("button", name="Acknowledge the report").click()
    app.get_by_text("Acknowledged. Thank you.").wait_for()
    app.get_by_role("link", name="Report", exact=True).click()
    app.get_by_text(answer).first.wait_for()
