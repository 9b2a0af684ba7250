"""What pages look like half-way: dialogs, errors, lost lines, ended sign-ins; steps for the tests that look at them."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from playwright.sync_api import FrameLocator, Page, Route, expect

from tests.end_to_end.checks import all_of, state_of
from tests.end_to_end.people import Desk
from tests.end_to_end.platform import Platform

NO_LINE = re.compile("^No connection. What you wrote is kept")


def at(page: Page, path: str) -> None:
    """Go to a path of the launch that the page is in."""
    page.goto(re.sub(r"(/l/[^/]+/).*", rf"\g<1>{path}", page.url))


def in_reading(page: Page) -> str:
    """The path of the first case of the worklist that is being read."""
    link = str(page.locator("a[data-row][href$='/read']").first.get_attribute("href"))
    return re.sub(r"^.*/l/[^/]+/", "", link).removesuffix("/read")


def reading_room(page: Page, case: str) -> None:
    """Open a case in the reading room."""
    at(page, f"{case}/read")
    page.get_by_role("heading", name="Records").wait_for()


def write(page: Page, words: str) -> None:
    """Put the answer, and see it saved."""
    with page.expect_response(re.compile("/opinion$")):
        page.get_by_label("Answer to the question").fill(words)
    expect(page.locator("#report-saved")).to_contain_text("Saved")


def fully(page: Page) -> None:
    """Complete the report, so that it could be signed."""
    page.get_by_label("Recommendation", exact=True).last.fill("Repeat the biopsy before surgery.")
    for each in page.locator("fieldset.k-judge").all():
        each.locator("label").first.click()
    page.get_by_text("Ready to sign.").wait_for()


def end_sign_ins(platform: Platform) -> None:
    """All browsers' sessions have timed out."""
    path = next(Path(platform.plan.directory).rglob("app.db"))
    with closing(sqlite3.connect(path, timeout=30)) as database, database:
        database.execute("UPDATE session SET expires_at = 1")
        database.execute("UPDATE launch SET expires_at = 1")


def sign_in_again(desk: Desk, username: str) -> None:
    """By the dialog, in a window of its own, which says that it can be closed."""
    with desk.context.expect_page() as opened:
        desk.page.get_by_role("link", name="Sign in again").click()
    window, who = opened.value, desk.platform.person(username)
    window.wait_for_load_state()
    if window.get_by_label("User name").count():
        window.get_by_label("User name").fill(who["user"])
        window.get_by_label("Password").fill(who["password"])
        window.get_by_role("button", name="Sign in").click()
    window.get_by_text("You are signed in again").wait_for()
    window.close()


def request_form(desk: Desk, patient: str) -> FrameLocator:
    """The request for a patient, in the frame of the hospital's record."""
    page = desk.page
    page.goto(f"{desk.platform.plan.ehr_url}/epic/patients/{patient}/second-opinion")
    app = page.frame_locator("iframe[title='Second opinion']")
    app.get_by_role("heading").first.wait_for()
    frame = next(each for each in page.frames if "/l/" in each.url)
    frame.goto(re.sub(r"(/l/[^/]+/).*", r"\g<1>new", frame.url))
    app.get_by_label("Your question").wait_for()
    alone(app)
    return app


def alone(page: Page | FrameLocator) -> None:
    """Leave the guided first visit, where there is one."""
    tour = page.locator("konsil-tour")
    if tour.count():
        tour.get_by_role("button", name="Leave").press("Enter")  # the list of studies above may still grow
        expect(tour).to_have_count(0)
        page.locator("body").evaluate("() => scrollTo(0, 0)")


def name_study(platform: Platform, case: str, title: str) -> None:
    """A study that was accepted for the same patient becomes part of a case, as the gateway writes it."""
    task = next(each for each in all_of(platform, "konsil", f"Task?_id={case.rpartition('/')[2]}"))
    patient = task["for"]["reference"]
    studies = all_of(platform, "konsil", f"ImagingStudy?patient={patient}")
    study = next(each for each in studies if title in str(each.get("description")))
    kind = next(
        each for each in task["input"] if each.get("valueReference", {}).get("reference", "").startswith("Imag")
    )
    task["input"].append({**kind, "valueReference": {"reference": f"ImagingStudy/{study['id']}"}})
    with closing(platform.fhir("konsil")) as fhir:
        answer = fhir.put(f"Task/{task['id']}", json=task, headers={"Content-Type": "application/fhir+json"})
        assert answer.status_code == 200, answer.text
    assert state_of(answer.json()) == state_of(task)


def hold(page: Page, pattern: str) -> list[Route]:
    """Let requests that fit wait until they are let go."""
    held: list[Route] = []
    page.route(re.compile(pattern), lambda route: held.append(route))
    return held


def let_go(page: Page, held: list[Route]) -> None:
    """Send what waits, and whatever comes after it."""
    for each in held:
        each.continue_()
    page.unroute_all(behavior="wait")
