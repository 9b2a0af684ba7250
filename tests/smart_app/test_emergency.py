"""Emergency access by the pages: asked for, shown on every page, ended, reviewed by somebody else."""

import re

import pytest

from deploy.sandbox import charts
from tests.smart_app.platform import Browser, Platform, launch_id
from tests.smart_app.steps import new_request, patient_of, submit

WORDS = "Unconscious in our emergency room, nobody to ask."
QUESTION = "Is this the question of a case that nobody else may see?"


@pytest.fixture(scope="module")
def case(hospital: Platform) -> str:
    asker = hospital.browser()
    home = f"/l/{launch_id(asker.launch('oracle', patient_of('oracle', 1)))}"
    return submit(asker, new_request(asker, home), question=QUESTION)


def arrive(hospital: Platform, username: str) -> tuple[Browser, str]:
    browser = hospital.browser()
    return browser, f"/l/{launch_id(browser.sign_in(username))}"


def access_of(text: str) -> str:
    found = re.search(r"/emergency/([^/\"]+)/end", text)
    assert found, text
    return found[1]


def test_it_is_offered_opened_shown_and_ended(hospital: Platform, case: str) -> None:
    consultant, home = arrive(hospital, "chen")
    refused = consultant.get(f"{home}/cases/{case}")
    assert refused.status_code == 404
    assert f"emergency?case={case}" in refused.text
    page = consultant.get(f"{home}/emergency?case={case}")
    assert "of the case that you were not shown" in page.text
    form = {"case": case, "reason": "life-or-limb", "words": WORDS, "minutes": "15"}
    unsaid = consultant.post(f"{home}/emergency", data=form | {"reason": "", "words": "x"})
    assert unsaid.status_code == 422
    assert "Choose why." in unsaid.text
    opened = consultant.post(f"{home}/emergency", data=form)
    assert opened.status_code == 200, opened.text
    assert "Record in an emergency" in opened.text
    assert "minutes left" in opened.text
    record = re.search(r'href="([^"]*/records/Condition/[^"]+)"', opened.text)
    assert record is not None
    assert consultant.get(record[1]).status_code == 200
    shown = consultant.get(f"{home}/cases/{case}")
    assert QUESTION in shown.text
    assert "End now" in shown.text
    ended = consultant.post(f"{home}/emergency/{access_of(shown.text)}/end")
    assert "has ended" in ended.text
    assert "to be reviewed" in ended.text
    assert consultant.get(f"{home}/cases/{case}").status_code == 404
    assert consultant.get(record[1]).status_code in {307, 404}


def test_an_officer_is_told_and_reviews(hospital: Platform, case: str) -> None:
    consultant, home = arrive(hospital, "chen")
    form = {"case": case, "reason": "cover", "words": f"{WORDS} Again.", "minutes": "60"}
    assert consultant.post(f"{home}/emergency", data=form).status_code == 200
    officer, desk = arrive(hospital, "sorensen")
    hospital.app.state.emergencies.forget("Practitioner/sorensen")
    assert "for your review" in officer.get(f"{desk}/access").text
    listed = officer.get(f"{desk}/emergencies")
    assert f"{WORDS} Again." in listed.text
    access = access_of(listed.text)
    address = f"{desk}/emergencies/{access}/review"
    assert officer.post(address, data={"verdict": "justified"}).status_code == 422
    said = {"verdict": "not-justified", "comment": "The colleague could be reached all day."}
    assert "The review is kept." in officer.post(address, data=said).text
    assert "could be reached" in officer.get(f"{desk}/emergencies").text
    assert officer.post(address, data=said).status_code == 400
    assert consultant.get(f"{home}/cases/{case}").status_code == 404, "what was not justified is over"


def test_a_patient_is_found_by_number_and_date_of_birth(hospital: Platform, case: str) -> None:
    patient = next(one for one in charts.resources("oracle") if one["id"] == patient_of("oracle", 1))
    number = patient["identifier"][0]["value"]
    consultant, home = arrive(hospital, "chen")
    form = {"number": number, "born": "1900-01-01", "reason": "life-or-limb", "words": WORDS}
    wrong = consultant.post(f"{home}/emergency", data=form)
    assert wrong.status_code == 422
    assert "No one patient here" in wrong.text
    found = consultant.post(f"{home}/emergency", data=form | {"born": patient["birthDate"]})
    assert "Record in an emergency" in found.text
    consultant.post(f"{home}/emergency/{access_of(found.text)}/end")


def test_who_does_not_treat_has_no_such_page(hospital: Platform, case: str) -> None:
    coordinator, home = arrive(hospital, "castillo")
    assert coordinator.get(f"{home}/emergency").status_code == 403
    assert coordinator.get(f"{home}/emergencies").status_code == 403
