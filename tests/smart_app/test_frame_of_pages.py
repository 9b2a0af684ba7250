"""What stands around every page: finding, help, the guided visit, who is signed in, which patient."""

import re
import sqlite3
import time

import httpx
import pytest

from smart_app.banner import banner_of
from smart_app.launches import Launch
from smart_app.store.sealed import open_json, seal_json
from smart_app.tour import TOURS, role_of
from smart_app.words import script_language
from tests.smart_app.platform import Browser, Platform, launch_id
from tests.smart_app.steps import patient_of

KOWALCZYK = 4  # for whom no test sends a request


def entered(hospital: Platform, username: str) -> tuple[Browser, str]:
    browser = hospital.browser()
    return browser, f"/l/{launch_id(browser.sign_in(username))}"


def test_the_palette_finds_pages_and_says_when_nothing_fits(hospital: Platform) -> None:
    browser, base = entered(hospital, "castillo")
    assert "Triage" in browser.get(f"{base}/find?q=tri").text
    assert "Nothing fits" in browser.get(f"{base}/find?q=zzzzzz").text
    assert "How konsil works" in browser.get(f"{base}/find?q=").text


def test_help_tells_each_role_its_own_part(hospital: Platform) -> None:
    browser, base = entered(hospital, "harper")
    page = browser.get(f"{base}/help").text
    assert "Your part: Health information" in page
    assert "Your part: Coordinator" not in page


def test_the_guided_visit_is_shown_until_it_is_left_and_again_when_asked_for(hospital: Platform) -> None:
    browser, base = entered(hospital, "harper")
    assert "<konsil-tour" in browser.get(f"{base}/inbox").text
    assert browser.request("POST", f"{base}/tour/leave").status_code == 204
    assert "<konsil-tour" not in browser.get(f"{base}/inbox").text
    other, elsewhere = entered(hospital, "harper")
    assert "<konsil-tour" not in other.get(f"{elsewhere}/inbox").text, "it is remembered by person, not by browser"
    assert "<konsil-tour" in browser.post(f"{base}/tour/again").text


def test_every_role_that_works_here_has_a_tour_of_three_to_six_steps() -> None:
    for role in ("requester", "coordinator", "consultant", "him", "radiologist"):
        assert 3 <= len(TOURS[role]) <= 6
    person = Launch(id="x", session_id="x", subject="x", practitioner="Practitioner/x", expires_at=0)
    assert role_of(person) == ""
    assert role_of(person.model_copy(update={"roles": ("consultant", "radiologist")})) == "radiologist"


def test_a_page_says_who_is_signed_in_and_until_when(hospital: Platform) -> None:
    browser, base = entered(hospital, "castillo")
    page = browser.get(f"{base}/help").text
    assert "Rosa Castillo" in page
    assert re.search(
        r"Signed in until (today|\w{3} \d+ \w{3}), ?\d\d:\d\d C[SD]T|Signed in until \w+ \d\d:\d\d C[SD]T", page
    )


def test_the_edge_of_a_patient_is_the_same_from_the_hospital_and_from_us() -> None:
    theirs = {"id": "wang", "identifier": [{"value": "E-40017"}]}
    ours = {"id": "6f3c", "identifier": [{"value": "E-40017"}, {"value": "wang"}]}
    assert banner_of(theirs).edge == banner_of(ours).edge


def test_the_banner_says_which_language_needs_an_interpreter() -> None:
    spoken = {"language": {"coding": [{"code": "ar"}], "text": "Arabic"}, "preferred": True}
    english = {"language": {"coding": [{"code": "en-US"}]}}
    assert (banner_of({"communication": [spoken]}).interpreter, banner_of({"communication": [spoken]}).language) == (
        "Arabic",
        "ar",
    )
    assert banner_of({"communication": [english, spoken]}).interpreter == ""
    assert banner_of({"communication": [english, spoken]}).language == "ar"
    assert banner_of({}).interpreter == ""


@pytest.mark.parametrize(
    ("name", "spoken", "language"),
    [
        ("王秀英", "zh-Hans", "zh-Hans"),
        ("黃志明", "zh-Hant", "zh-Hant"),
        ("黃志明", "en-US", "zh"),
        ("ليلى الراشد", "ar", "ar"),
        ("ليلى الراشد", "en", "ar"),
        ("Layla Al-Rashid", "ar", "en"),
        ("María García", "es", "es"),
        ("Nguyễn Thị", "", "en"),
    ],
)
def test_names_carry_the_language_of_their_script(name: str, spoken: str, language: str) -> None:
    assert script_language(name, spoken) == language


def test_a_page_left_open_goes_on_after_the_same_person_signs_in_again(hospital: Platform) -> None:
    browser, base = entered(hospital, "castillo")
    browser.request("POST", "/sign-out")
    assert browser.request("GET", f"{base}/here").status_code == 401
    again = launch_id(browser.sign_in("castillo"))
    assert browser.request("GET", f"{base}/here", headers={"HX-Request": "true"}).status_code == 204
    moved = browser.request("GET", f"{base}/triage?view=table")
    assert (moved.status_code, moved.headers["location"]) == (307, f"/l/{again}/triage?view=table")


def test_after_a_sign_out_the_next_person_is_asked_who_they_are(hospital: Platform) -> None:
    browser, _ = entered(hospital, "castillo")
    page = browser.post("/sign-out")
    assert "You are signed out" in page.text
    link = re.search(r'href="(/sign-in[^"]*)"', page.text)
    assert link
    assert "Password" in browser.get(link.group(1)).text
    assert "Health information" in browser.sign_in("harper", link.group(1)).text


def test_a_page_left_open_is_not_taken_over_by_another_person_or_patient(hospital: Platform) -> None:
    browser, base = entered(hospital, "castillo")
    browser.request("POST", "/sign-out")
    browser.sign_in("harper", "/sign-in?prompt=login")
    assert browser.request("GET", f"{base}/here").status_code == 401
    physician = hospital.browser()
    former = launch_id(physician.launch("epic", patient_of("epic", KOWALCZYK)))
    store = hospital.app.state.services.sessions
    with store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE launch SET ended_at = ? WHERE id = ?", (time.time(), former))
    other = physician.launch("epic", patient_of("epic", 0))
    assert other.status_code == 200
    assert physician.request("GET", f"/l/{former}/here").status_code == 401
    physician.launch("epic", patient_of("epic", KOWALCZYK))
    assert physician.request("GET", f"/l/{former}/here", headers={"HX-Request": "true"}).status_code == 204


def own_token(hospital: Platform, launch: str) -> str:
    tokens = hospital.app.state.services.sessions.tokens(launch)
    assert tokens is not None
    return str(tokens.own.access_token)


def as_bearer(hospital: Platform, token: str) -> int:
    address = f"{hospital.app_settings.fhir_base_url}/Task?_count=1"
    return httpx.get(address, headers={"Authorization": f"Bearer {token}"}, trust_env=False).status_code


def test_a_sign_out_gives_the_token_back_and_with_it_what_the_viewer_shows(hospital: Platform) -> None:
    browser, base = entered(hospital, "castillo")
    token = own_token(hospital, base.rpartition("/")[2])
    assert as_bearer(hospital, token) == 200
    browser.request("POST", "/sign-out")
    end = time.monotonic() + 30
    while as_bearer(hospital, token) == 200:
        assert time.monotonic() < end, "the token still opens what it opened"
        time.sleep(0.2)


def test_a_launch_whose_tokens_cannot_be_renewed_has_ended_and_the_next_takes_its_place(hospital: Platform) -> None:
    browser, base = entered(hospital, "castillo")
    former = base.rpartition("/")[2]
    with sqlite3.connect(hospital.app_settings.data_dir / "app.db") as database:
        (sealed,) = database.execute("SELECT tokens FROM launch WHERE id = ?", (former,)).fetchone()
        tokens = open_json(sealed)
        tokens["own"] |= {"expires_at": 0, "refresh_token": "no longer known"}
        database.execute("UPDATE launch SET tokens = ? WHERE id = ?", (seal_json(tokens), former))
    assert browser.request("GET", f"{base}/triage").status_code == 401
    assert browser.request("GET", f"{base}/here").status_code == 401, "the page would believe that it can save again"
    browser.sign_in("castillo")
    assert browser.request("GET", f"{base}/here", headers={"HX-Request": "true"}).status_code == 204
