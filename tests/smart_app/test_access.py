"""Who looked: what the privacy officer finds about a patient and about a person, and nobody else does."""

import csv
import io
import re

import pytest

from smart_app.unusual import marks
from smart_app.words import Clock
from tests.smart_app.platform import Browser, Platform, launch_id
from tests.smart_app.steps import new_request, patient_of, shown, submit

QUESTION = "Is this the question that the privacy officer looks into?"


@pytest.fixture(scope="module")
def officer(hospital: Platform) -> tuple[Browser, str]:
    asker = hospital.browser()
    home = f"/l/{launch_id(asker.launch('epic', patient_of('epic', 1)))}"  # perhaps a case that other tests left
    submit(asker, new_request(asker, home), question=QUESTION)
    browser = hospital.browser()
    return browser, f"/l/{launch_id(browser.sign_in('sorensen'))}/access"


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


def test_the_list_as_a_file_and_that_it_was_taken(officer: tuple[Browser, str]) -> None:
    browser, address = officer
    shown(browser, f"{address}?patient=Wang&kind=written", "made Service Request")
    answer = browser.get(address.replace("/access", "/access.csv") + "?patient=Wang&kind=written")
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/csv")
    found = list(csv.reader(io.StringIO(answer.text.lstrip("\ufeff"))))
    assert found[0][:4] == ["When", "Who", "Role", "Did what"]
    assert any("made Service Request" in row for row in found)
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in found for cell in row)
    text = shown(browser, f"{address}?person=S%C3%B8rensen&kind=exports", "took as a file")
    assert all("Sørensen" in row for row in rows(text))


def test_what_is_unusual() -> None:
    clock = Clock("Europe/Berlin")
    event: dict[str, object] = {
        "recorded": "2026-11-18T13:00:00Z",
        "agent": [{"who": {"reference": "Practitioner/p"}, "requestor": True}],
        "entity": [{"what": {"reference": "Patient/a"}}],
    }
    families = {"Practitioner/p": "Meyer", "Patient/a": "MEYER", "Patient/b": "Roth"}
    assert marks(event, families, clock) == ("same family name",)
    event["entity"] = [{"what": {"reference": "Patient/b"}}]
    assert marks(event, families, clock) == ()
    assert marks(event | {"recorded": "2026-11-18T19:30:00Z"}, families, clock) == ("at night or on a weekend",)
    assert marks(event | {"recorded": "2026-11-21T12:00:00Z"}, families, clock) == ("at night or on a weekend",)
    purpose = [{"coding": [{"code": "BTG"}]}]
    assert marks(event | {"purposeOfEvent": purpose}, families, clock) == ("emergency access",)


def test_who_is_on_a_case_is_not_among_those_without_one(officer: tuple[Browser, str]) -> None:
    browser, address = officer
    fits = f"{address}?patient=Wang&kind=written"
    assert "made Service Request" in shown(browser, fits, "made Service Request")
    answer = browser.get(f"{fits}&unusual=no-case")
    assert answer.status_code == 200
    assert '<option value="no-case" selected>' in answer.text
    assert "made Service Request" not in answer.text


def test_only_the_unusual(officer: tuple[Browser, str]) -> None:
    browser, address = officer
    for row in rows(browser.get(f"{address}?unusual=1").text):
        assert "k-tone-attention" in row
