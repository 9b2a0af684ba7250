"""A whole case without a mouse, from the chart to the acknowledgement, the app in the EHR's cross-site frame."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import FrameLocator, Locator, Page

from deploy.sandbox.imaging.studies import CT_CHEST
from deploy.sandbox.people import PIN
from tests.end_to_end import people
from tests.end_to_end.people import Desk, at_desk
from tests.end_to_end.platform import Platform, platform
from tests.screens.keys import Keyboard

QUESTION = "Is this the primary, or is it a metastasis of something else?"
ANSWER = "We think that this is a second primary. The biopsy should be repeated before anybody operates."
LINE = "Thoracic Oncology"

pytestmark = [pytest.mark.peer, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with platform(tmp_path_factory.mktemp("keyboard"), keep_every=20) as up:
        yield up


def test_a_case_goes_round_by_keyboard_alone(running: Platform, tmp_path: Path) -> None:
    with at_desk(running, tmp_path) as desk:
        asks(desk)
    with at_desk(running, tmp_path) as desk:
        compares(desk)
    with at_desk(running, tmp_path) as desk:
        offers(desk)
    with at_desk(running, tmp_path) as desk:
        reads_and_signs(desk)
    with at_desk(running, tmp_path) as desk:
        acknowledges(desk)


def sign_in(desk: Desk, username: str) -> Keyboard:
    """User name, password, Enter."""
    who = desk.platform.person(username)
    desk.page.goto(who["where"])
    keys = Keyboard(desk.page)
    keys.write(desk.page.get_by_label("User name"), who["user"])
    keys.write(desk.page.get_by_label("Password"), who["password"])
    desk.page.keyboard.press("Enter")
    return keys


def open_app(desk: Desk) -> tuple[Keyboard, FrameLocator]:
    """The physician's way to the app: patient, tab."""
    keys = sign_in(desk, "nunez")
    keys.press(desk.page.get_by_role("link", name=re.compile("Lef")).first)
    keys.press(desk.page.get_by_role("link", name="Second opinion", exact=True).first)
    return keys, desk.page.frame_locator("iframe[title='Second opinion']")


def asks(desk: Desk) -> None:
    """Why, what, who; then send."""
    keys, app = open_app(desk)
    keys.choose(app.get_by_role("group", name="Reason"), app.get_by_label("Diagnosis uncertain"))
    keys.write(app.get_by_label("Your question"), QUESTION)
    diagnosis = app.locator("#diagnosis")
    keys.select(diagnosis, str(diagnosis.locator("option").nth(1).text_content()).strip()[:12])
    study = app.locator("#priors li", has_text=CT_CHEST.description).get_by_role("checkbox")
    if not study.is_checked():
        keys.press(study, "Space")
    keys.select(app.locator("#service"), LINE)
    basis = app.get_by_role("group", name=re.compile("On which basis"))
    keys.choose(basis, app.get_by_label(re.compile("Treatment, physician to physician")))
    keys.press(app.get_by_label(re.compile("I attest")), "Space")
    send = app.get_by_role("button", name=f"Send request to {LINE}")
    enabled(desk.page, send)
    keys.press(send)
    app.get_by_role("heading", name=QUESTION).wait_for()
    people.watch_arrival(desk, CT_CHEST.description)


def compares(desk: Desk) -> None:
    """HIM staff open the arrival and accept it."""
    keys = sign_in(desk, "harper")
    desk.page.wait_for_url("**/l/**")
    arrival = desk.page.locator("#arrivals a[data-row]")
    people.reload_until(desk, arrival, "nothing arrived in the inbox")
    keys.press(arrival.first)
    desk.page.get_by_text("What accepting changes in the images").wait_for()
    keys.press(desk.page.get_by_role("button", name=re.compile("^Accept for")).first)
    answer_dialog(desk.page, keys)
    desk.page.get_by_text(re.compile("^Accepted for")).wait_for()


def answer_dialog(page: Page, keys: Keyboard) -> None:
    """Confirm, if the page asks: the dialog has the focus, its own button does the deed."""
    page.wait_for_timeout(400)
    dialog = page.locator("dialog[open]")
    if dialog.count():
        keys.press(dialog.get_by_role("button").filter(has_not_text=re.compile("Keep|Cancel|Close|Back")).last)


def offers(desk: Desk) -> None:
    """The coordinator offers what is ready."""
    keys = sign_in(desk, "castillo")
    desk.page.wait_for_url("**/l/**")
    offer = desk.page.get_by_role("link", name=re.compile("Offer"))
    people.reload_until(desk, offer, "no case became ready")
    keys.press(offer.first)
    keys.press(desk.page.get_by_role("button", name="Offer to Dr. Maja Lindqvist"))
    desk.page.get_by_text(re.compile("Offered to Dr. Maja Lindqvist")).first.wait_for()


def reads_and_signs(desk: Desk) -> None:
    """The consultant accepts, opens the room, writes past the viewer, and signs."""
    page, keys = desk.page, sign_in(desk, "lindqvist")
    page.wait_for_url("**/l/**")
    keys.press(page.locator("a[data-row], [data-row] a").first)
    keys.press(page.get_by_role("button", name="Accept the case"))
    keys.press(page.get_by_role("button", name="Start reading"))
    page.get_by_role("heading", name="Records").wait_for()
    people.viewer(desk)
    writes(page, keys)
    page.get_by_text("Ready to sign.").wait_for()
    keys.press(page.get_by_role("button", name="Sign…"))
    page.get_by_text("It cannot be taken back.").wait_for()
    pin = page.get_by_label("Your signing PIN")
    pin.wait_for()
    keys.write(pin, PIN)
    keys.press(page.get_by_role("button", name="Sign and send the report"))
    page.wait_for_url(re.compile(r"/cases/[^/]+/report$"))
    page.get_by_text(ANSWER).first.wait_for()


def writes(page: Page, keys: Keyboard) -> None:
    """The report: answer, concordance, recommendations, what was reviewed."""
    keys.write(page.get_by_label("Answer to the question"), ANSWER)
    keys.write(page.get_by_label("Recommendation", exact=True).last, "Repeat the biopsy before surgery.")
    for legend, choice in (
        ("Diagnosis", "Changed"),
        ("Treatment", "Modified"),
        ("Confidence", "High"),
        ("Adequacy of the data", "Adequate"),
        ("First subspecialty review", "Yes"),
    ):
        group = page.get_by_role("group", name=legend, exact=True)
        keys.choose(group, group.get_by_role("radio", name=choice, exact=True))
    entry = page.locator(".k-entry", has_text=CT_CHEST.description)
    keys.press(entry.get_by_role("button", name=re.compile("^Cite")))
    page.keyboard.type("The mass abuts the pleura.")


def acknowledges(desk: Desk) -> None:
    """The physician reads the answer and closes the loop."""
    keys, app = open_app(desk)
    keys.press(app.get_by_role("link", name="Read the report"))
    app.get_by_text(ANSWER).first.wait_for()
    keys.press(app.get_by_role("button", name="Acknowledge the report"))
    app.get_by_text("Acknowledged. Thank you.").wait_for()


def enabled(page: Page, button: Locator) -> None:
    """Until the page says that the button may be pressed."""
    for _ in range(100):
        if button.count() and button.is_enabled():
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"{button} stays disabled")
