"""From the chart to the acknowledged report, through the pages, against real servers."""

import base64
import io
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import pypdf
import pytest

from tests.smart_app.platform import Browser, Platform, launch_id
from tests.smart_app.steps import (
    ANSWER,
    QUESTION,
    draft_path,
    drain,
    filed,
    filled,
    offer,
    open_room,
    opinion,
    patient_of,
)

ASKED_ONCE = f"{QUESTION} Her daughter asks too."


@dataclass
class Story:
    """What one case leaves behind from step to step."""

    requester: Browser
    case: str = ""


def test_a_draft_is_kept_and_says_what_is_missing(hospital: Platform) -> None:
    browser = hospital.browser()
    page = browser.launch("epic", patient_of("epic"))
    draft, form = draft_path(page.text), filled(page.text, question="")
    saved = browser.post(draft, data=form, headers={"HX-Request": "true"})
    assert saved.status_code == 200, saved.text
    assert re.search(r'1 to go: <a href="#question">the question</a>', saved.text)
    refused = browser.post(f"{draft}/send", data=form)
    assert refused.status_code == 400
    assert "Still missing: the question." in refused.text
    again = browser.launch("epic", patient_of("epic"))
    assert draft_path(again.text).rpartition("/")[2] == draft.rpartition("/")[2]
    assert 'value="rare-complex" checked' in again.text


def test_a_draft_is_nobody_elses_and_no_other_patients(hospital: Platform) -> None:
    browser = hospital.browser()
    draft = draft_path(browser.launch("epic", patient_of("epic")).text).rpartition("/")[2]
    other_patient = launch_id(browser.launch("epic", patient_of("epic", 1)))
    assert browser.post(f"/l/{other_patient}/drafts/{draft}", data={}).status_code == 404
    stranger = hospital.browser()
    other_person = launch_id(stranger.launch("oracle", patient_of("oracle")))
    assert stranger.post(f"/l/{other_person}/drafts/{draft}", data={}).status_code == 404


def test_records_can_be_looked_at_before_they_go_along(hospital: Platform) -> None:
    browser = hospital.browser()
    page = browser.launch("epic", patient_of("epic"))
    shown = [browser.get(address) for address in re.findall(r'class="k-preview" href="([^"]+)"', page.text)]
    assert len(shown) > 2
    assert {each.status_code for each in shown} == {200}
    assert not [each.url.path for each in shown if "holds no text and no file" in each.text]


@pytest.fixture(scope="module")
def story(hospital: Platform) -> Iterator[Story]:
    """One case from request to acknowledgement; the tests below take its steps in their order."""
    yield Story(hospital.browser())


def test_a_double_click_sends_one_request(hospital: Platform, story: Story) -> None:
    page = story.requester.launch("epic", patient_of("epic"))
    draft, form = draft_path(page.text), filled(page.text, question=ASKED_ONCE)
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: story.requester.post(f"{draft}/send", data=form), range(2)))
    third = story.requester.post(f"{draft}/send", data=form)
    cases = {answer.url.path.rpartition("/")[2] for answer in [*answers, third] if "/cases/" in answer.url.path}
    assert len(cases) == 1, [answer.text[-600:] for answer in answers]
    assert {answer.status_code for answer in [*answers, third]} <= {200, 409}
    story.case = cases.pop()
    assert ASKED_ONCE in third.text
    listed = story.requester.get(f"/l/{launch_id(page)}/requests")
    assert listed.text.count(ASKED_ONCE) == 1


def test_the_case_page_shows_where_it_stands(hospital: Platform, story: Story) -> None:
    page = story.requester.launch("epic", patient_of("epic"))
    assert page.url.path.endswith(f"/cases/{story.case}")
    assert "waiting for the coordinator" in page.text
    assert "Thoracic Oncology" in page.text
    for tab, words in (
        ("records", "Adenocarcinoma"),
        ("imaging", "No prior imaging"),
        ("activity", "sent the request"),
    ):
        assert words in story.requester.get(f"{page.url.path}/{tab}").text


def test_the_case_page_is_live(hospital: Platform, story: Story) -> None:
    page = story.requester.launch("epic", patient_of("epic"))
    cookie = story.requester.cookies["127.0.0.1"]["__Host-konsil-app"]
    events = f"{hospital.plan.app_url}{page.url.path}/events"
    headers = {"Cookie": f"__Host-konsil-app={cookie}"}
    with httpx.Client(trust_env=False) as client, client.stream("GET", events, headers=headers) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        names = [next(line for line in lines if line.startswith("event: ")) for _ in range(2)]
    assert names == ["event: case-head", "event: case-retrievals"]


def test_another_hospital_sees_nothing_of_it(hospital: Platform, story: Story) -> None:
    stranger = hospital.browser()
    launch = launch_id(stranger.launch("oracle", patient_of("oracle")))
    assert stranger.get(f"/l/{launch}/cases/{story.case}").status_code == 404


def test_the_coordinator_sees_the_fitting_consultant_first(hospital: Platform, story: Story) -> None:
    coordinator = hospital.browser()
    board = coordinator.sign_in("castillo")
    assert QUESTION in board.text
    dialog = coordinator.get(f"/l/{launch_id(board)}/cases/{story.case}/offer")
    names = re.findall(r'name="practitioner" value="([^"]+)"', dialog.text)
    assert names[0] == "Practitioner/lindqvist"
    assert "The specialty that is asked" in dialog.text
    assert "Offered to Dr. Maja Lindqvist" in offer(hospital, story.case, "lindqvist").text


def test_the_consultant_accepts_reads_and_signs(hospital: Platform, story: Story) -> None:
    consultant = hospital.browser()
    worklist = consultant.sign_in("lindqvist")
    assert "Offered to you" in worklist.text
    case = f"/l/{launch_id(worklist)}/cases/{story.case}"
    first, second = open_room(consultant, case), consultant.get(f"{case}/read").text
    assert consultant.post(f"{case}/opinion", data=opinion(second)).status_code == 200
    refused = consultant.post(f"{case}/sign", data=opinion(first))
    assert refused.status_code == 409 and "another window" in refused.text
    signed = consultant.post(f"{case}/sign", data=opinion(second))
    assert signed.status_code == 200, signed.text
    assert "signed the report" in signed.text


def test_the_report_is_filed_once_in_the_hospitals_record(hospital: Platform, story: Story) -> None:
    drain(hospital)
    found = filed(hospital, "epic", patient_of("epic"))
    assert len(found) == 1
    pdf = base64.b64decode(found[0]["content"][0]["attachment"]["data"])
    assert ANSWER.split(";")[0] in pypdf.PdfReader(io.BytesIO(pdf)).pages[0].extract_text().replace("\n", " ")
    assert found[0]["docStatus"] == "final"
    drain(hospital)
    assert len(filed(hospital, "epic", patient_of("epic"))) == 1


def test_the_requester_reads_and_acknowledges(hospital: Platform, story: Story) -> None:
    page = story.requester.launch("epic", patient_of("epic"))
    assert "Read the report" in page.text
    assert "Acknowledge the report" in story.requester.get(f"{page.url.path}/report").text
    report = story.requester.get(f"{page.url.path}/report")
    assert ANSWER in report.text
    assert "Filed at Lakeside Medical Center." in report.text
    pdf = story.requester.get(f"{page.url.path}/report.pdf")
    assert pdf.headers["content-type"] == "application/pdf"
    closed = story.requester.post(f"{page.url.path}/acknowledge")
    assert "Report read and acknowledged" in closed.text
