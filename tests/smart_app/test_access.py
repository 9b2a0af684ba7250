"""Who looked: what the privacy officer finds about a patient and about a person, and nobody else does."""

import re
import time

import pytest

from tests.smart_app.platform import Browser, Platform, launch_id
from tests.smart_app.steps import patient_of, submit

QUESTION = "Is this the question that the privacy officer looks into?"


@pytest.fixture(scope="module")
def officer(hospital: Platform) -> tuple[Browser, str]:
    asker = hospital.browser()
    submit(asker, asker.launch("epic", patient_of("epic", 1)), question=QUESTION)
    browser = hospital.browser()
    return browser, f"/l/{launch_id(browser.sign_in('sorensen'))}/access"


def shown(browser: Browser, address: str, wanted: str) -> str:
    """The page once an event with these words is on it: events are listed a moment after they happened."""
    end = time.monotonic() + 30
    while True:
        page = browser.get(address)
        assert page.status_code == 200, page.text
        if wanted in page.text or time.monotonic() > end:
            return page.text
        time.sleep(0.1)


def rows(text: str) -> list[str]:
    return re.findall(r"<tr>\s*<td.*?</tr>", text, re.DOTALL)


def test_who_saw_a_patient(officer: tuple[Browser, str]) -> None:
    browser, address = officer
    found = rows(shown(browser, f"{address}?patient=Wang&kind=written", "made Service Request"))
    assert found
    assert all("Xiuying Wang" in row or "王" in row for row in found)
    assert any("Requesting physician" in row for row in found)


def test_what_a_person_did(officer: tuple[Browser, str]) -> None:
    browser, address = officer
    text = shown(browser, f"{address}?person=S%C3%B8rensen&kind=sign-ins", "signed in")
    assert rows(text)
    assert all("Sørensen" in row for row in rows(text))


def test_a_name_that_nobody_has(officer: tuple[Browser, str]) -> None:
    browser, address = officer
    text = browser.get(f"{address}?patient=Nobodyhasthisname").text
    assert "no patient fits" in text
    assert not rows(text)


def test_pages_go_back_in_time(officer: tuple[Browser, str]) -> None:
    browser, address = officer
    first = shown(browser, address, 'rel="next"')
    following = re.search(r'rel="next" href="([^"]+)"', first)
    assert following is not None
    second = browser.get(address + following[1].replace("&amp;", "&"))
    assert second.status_code == 200
    assert rows(second.text)
    assert "Newest" in second.text


def test_programs_are_shown_when_they_are_asked_for(officer: tuple[Browser, str]) -> None:
    browser, address = officer
    assert not [row for row in rows(browser.get(address).text) if "Program" in row]
    everything = shown(browser, f"{address}?by=all&kind=seen", "Privacy officer")
    assert rows(everything)


def test_it_belongs_to_privacy_officers(hospital: Platform) -> None:
    browser = hospital.browser()
    home = launch_id(browser.sign_in("castillo"))
    assert browser.get(f"/l/{home}/access").status_code == 403
