"""Question, answer and messages through the pages, against real servers."""

from dataclasses import dataclass

import pytest

from tests.smart_app.platform import Browser, Platform, hidden_fields, launch_id
from tests.smart_app.steps import offer, patient_of, submit

ASKED = "Was the nodule there on the film of 2023?"
TOLD = "Yes, of 6 mm; the film is attached."


@dataclass
class Running:
    """A case that is being read, and the two who talk about it; `asks` and `reads` are its addresses for each."""

    id: str
    requester: Browser
    asks: str
    consultant: Browser
    reads: str


@pytest.fixture(scope="module")
def running(hospital: Platform) -> Running:
    requester, consultant = hospital.browser(), hospital.browser()
    case = submit(requester, requester.launch("oracle", patient_of("oracle")), question="Has it grown?")
    home = launch_id(requester.launch("oracle", patient_of("oracle")))
    offer(hospital, case, "lindqvist")
    reads = f"/l/{launch_id(consultant.sign_in('lindqvist'))}/cases/{case}"
    consultant.post(f"{reads}/accept")
    return Running(case, requester, f"/l/{home}/cases/{case}", consultant, reads)


def form(browser: Browser, case: str, text: str) -> dict[str, str]:
    page = browser.get(f"{case}/messages")
    assert page.status_code == 200, page.text
    return hidden_fields(page.text[page.text.index('id="write"') :]) | {"text": text}


def test_a_half_written_message_is_kept_and_sent_once(running: Running) -> None:
    written = form(running.requester, running.asks, "The CT is on its way.")
    kept = running.requester.post(f"{running.asks}/messages/draft", data=written, headers={"HX-Request": "true"})
    assert "not sent yet" in kept.text
    assert "The CT is on its way.</textarea>" in running.requester.get(f"{running.asks}/messages").text
    for _ in range(2):
        sent = running.requester.post(f"{running.asks}/messages", data=written)
        assert sent.text.count("The CT is on its way.") == 1
    assert "</textarea>" in sent.text
    assert running.requester.post(f"{running.asks}/messages", data={"text": " "}).status_code == 400


def test_what_is_new_is_marked_until_it_was_shown(running: Running) -> None:
    running.requester.post(f"{running.asks}/messages", data={"text": "One more thing."})
    assert 'class="k-count"' in running.consultant.get(running.reads).text
    assert "new</span>" in running.consultant.get(f"{running.reads}/messages").text
    assert 'class="k-count"' not in running.consultant.get(running.reads).text
    assert 'class="k-count"' not in running.requester.get(running.asks).text


def test_a_question_stops_the_case_until_it_is_answered(running: Running) -> None:
    asking = form(running.consultant, running.reads, ASKED)
    for _ in range(2):
        asked = running.consultant.post(f"{running.reads}/ask", data=asking)
        assert asked.status_code == 200, asked.text
    assert asked.text.count("k-message-text") == asked.text.count("k-message-head") > 0

    seen = running.requester.get(running.asks).text
    assert f"<strong>Dr. Maja Lindqvist asks:</strong> {ASKED}" in seen
    assert "Answer the question" in seen
    listed = running.requester.get(f"{running.asks.partition('/cases')[0]}/requests").text
    assert f"“{ASKED}”" in listed

    answered = running.requester.post(f"{running.asks}/answer", data=form(running.requester, running.asks, TOLD))
    assert "is reading since" in answered.text
    assert ASKED not in running.requester.get(running.asks).text
    thread = running.consultant.get(f"{running.reads}/messages").text
    assert thread.index(ASKED) < thread.index(TOLD)


def test_a_late_answer_says_that_the_case_moved_on(running: Running) -> None:
    late = running.requester.post(f"{running.asks}/answer", data={"text": "Too late."})
    assert "You answered the question" in late.text
    assert "Here is the case as it stands." in late.text


def test_nobody_outside_the_case_reads_or_writes(hospital: Platform, running: Running) -> None:
    for stranger, home in (outsider(hospital, "ito"), requester_elsewhere(hospital)):
        for method, path in (("GET", "messages"), ("POST", "messages"), ("POST", "ask"), ("POST", "messages/draft")):
            answer = stranger.request(method, f"{home}/cases/{running.id}/{path}", data={"text": "x"})
            assert answer.status_code == 404


def outsider(hospital: Platform, username: str) -> tuple[Browser, str]:
    browser = hospital.browser()
    return browser, f"/l/{launch_id(browser.sign_in(username))}"


def requester_elsewhere(hospital: Platform) -> tuple[Browser, str]:
    browser = hospital.browser()
    return browser, f"/l/{launch_id(browser.launch('epic', patient_of('epic')))}"


def test_from_another_patients_chart_a_case_is_read_and_not_touched(hospital: Platform, running: Running) -> None:
    chart = f"/l/{launch_id(running.requester.launch('oracle', patient_of('oracle', 1)))}/cases/{running.id}"
    for part in ("", "/records", "/messages", "/report", "/activity"):
        page = running.requester.get(f"{chart}{part}")
        assert "Another patient than the open chart." in page.text, part
        assert 'aria-label="Patient"' in page.text, part
        assert "<textarea" not in page.text, part
    assert 'id="ways"' in running.requester.get(running.asks).text
    assert 'id="ways"' not in running.requester.get(chart).text
    for deed in ("messages", "withdraw", "ask-to-withdraw", "acknowledge"):
        refused = running.requester.post(f"{chart}/{deed}", data={"text": "mixed", "reason": "mixed up"})
        assert refused.status_code == 403, deed
        assert "another patient" in refused.text
    assert "Another patient" not in running.requester.get(running.asks).text
