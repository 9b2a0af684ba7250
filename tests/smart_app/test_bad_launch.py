"""Launches and sign-ins that go wrong: each with a sentence that says why, and a way on."""

import re
import sqlite3
import time

import pytest

from smart_app.errors import LaunchRefused
from smart_app.oauth import CLOCK_SKEW_SECONDS, _not_valid
from tests.smart_app.platform import Platform, launch_id
from tests.smart_app.steps import draft_path, patient_of
from tests.smart_app.test_launch import KOWALCZYK, authorization


def test_an_unknown_hospital_and_a_launch_without_one_say_so(hospital: Platform) -> None:
    browser = hospital.browser()
    unknown = browser.request("GET", "/launch?iss=http://127.0.0.1:1/fhir&launch=x")
    assert "came from an address that is not known" in unknown.text
    missing = browser.request("GET", "/launch")
    assert "named no hospital" in missing.text
    for answer in (unknown, missing):
        assert answer.status_code == 400
        assert "Open the app from a patient" in answer.text
        assert 'href="/"' in answer.text


def test_a_used_an_expired_and_a_forged_answer_are_told_apart(hospital: Platform) -> None:
    browser = hospital.browser()
    location, asked = authorization(hospital, browser)
    back = browser.request("GET", location).headers["location"]
    forged = browser.request("GET", back.replace(asked["state"], "A" * 32))
    assert "not begun in this browser" in forged.text
    assert browser.request("GET", back).status_code == 303
    assert "was used already" in browser.request("GET", back).text
    location, _ = authorization(hospital, browser)
    back = browser.request("GET", location).headers["location"]
    with sqlite3.connect(hospital.app_settings.data_dir / "app.db") as database:
        database.execute("UPDATE authorization_request SET expires_at = 0 WHERE used_at IS NULL")
    assert "took longer than 10 minutes" in browser.request("GET", back).text


def test_a_browser_that_keeps_no_cookies_is_told_so(hospital: Platform) -> None:
    browser = hospital.browser()
    location, _ = authorization(hospital, browser)
    back = browser.request("GET", location).headers["location"]
    browser.cookies["127.0.0.1"].clear()
    answer = browser.request("GET", back)
    assert answer.status_code == 400
    assert "keeps no cookies" in answer.text
    assert "Allow cookies" in answer.text


def test_a_launch_that_the_hospital_no_longer_knows(hospital: Platform) -> None:
    browser = hospital.browser()
    url = hospital.launch_url("epic", patient_of("epic", KOWALCZYK), browser)
    assert browser.get(url).status_code == 200
    again = browser.get(url)
    assert again.status_code == 400
    assert "did not accept this launch" in again.text
    assert "Open the app again from the patient" in again.text


def test_a_code_that_the_hospital_refuses(hospital: Platform) -> None:
    browser = hospital.browser()
    location, _ = authorization(hospital, browser)
    back = browser.request("GET", location).headers["location"]
    answer = browser.request("GET", re.sub(r"code=[^&]+", "code=wrong", back))
    assert answer.status_code == 400
    assert "too old or had been used already" in answer.text


def test_the_second_person_in_a_browser_is_told_and_sees_nothing_of_the_first(hospital: Platform) -> None:
    browser = hospital.browser()
    first = browser.launch("epic", patient_of("epic", KOWALCZYK))
    second = browser.sign_in("castillo")
    assert "You are signed in as Rosa Castillo" in second.text
    assert "session of the person before you has ended" in second.text
    assert browser.request("GET", first.url.path).status_code == 401
    assert browser.request("POST", f"{draft_path(first.text)}/discard").status_code == 401


def test_a_form_of_one_patients_tab_acts_on_that_patient_only(hospital: Platform) -> None:
    browser = hospital.browser()
    one, other = (browser.launch("epic", patient_of("epic", place)) for place in (KOWALCZYK, 0))
    assert launch_id(one) != launch_id(other)
    foreign = draft_path(one.text).replace(launch_id(one), launch_id(other))
    for deed in ("", "/send", "/priors"):
        answer = browser.request("POST", f"{foreign}{deed}", data={"question": "mixed"})
        assert answer.status_code == 404, deed
    edges = [re.search(r'<body class="[^"]*k-edge-(\d)', page.text) for page in (one, other)]
    assert all(edges)


def test_an_ended_launch_leads_back_to_its_hospital(hospital: Platform) -> None:
    browser = hospital.browser()
    page = browser.launch("oracle", patient_of("oracle"))
    store = hospital.app.state.services.sessions
    with store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE launch SET expires_at = ? WHERE id = ?", (time.time() - 1, launch_id(page)))
    ended = browser.request("GET", page.url.path)
    assert ended.status_code == 401
    assert "You are signed out" in ended.text
    assert f'href="{hospital.plan.ehr_url}"' in ended.text
    fragment = browser.request("POST", f"{draft_path(page.text)}", headers={"HX-Request": "true"})
    assert fragment.status_code == 401


def test_errors_inside_a_launch_keep_the_menu(hospital: Platform) -> None:
    browser = hospital.browser()
    base = f"/l/{launch_id(browser.sign_in('harper'))}"
    wrong_role = browser.get(f"{base}/triage")
    assert wrong_role.status_code == 403
    assert 'aria-label="Main"' in wrong_role.text
    assert "To the first page" in wrong_role.text
    missing = browser.get(f"{base}/cases/none")
    assert missing.status_code == 404
    assert "To the first page" in missing.text
    assert "There is no page at this address" in browser.get("/nowhere").text


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"iat": 600, "exp": 900}, "clock is 10 minutes ahead of ours"),
        ({"iat": -4000, "exp": -600}, "ended 10 minutes ago: its clock or ours is wrong"),
        ({"iat": 0, "exp": 300}, "is not valid (ValueError)"),
    ],
)
def test_a_clock_that_is_wrong_is_named(claims: dict[str, int], words: str) -> None:
    now = time.time()
    refused = _not_valid(ValueError(), {name: now + value for name, value in claims.items()})
    assert isinstance(refused, LaunchRefused)
    assert words in refused.sentence
    assert CLOCK_SKEW_SECONDS == 120
    assert ("2 minutes" in refused.remedy) == ("clock" in refused.sentence)
