"""From the chart to the acknowledged report, through the pages, against real servers."""

import base64
import io
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import httpx
import pypdf
import pytest

from konsil.oauth_client import ClientKey, client_assertion
from smart_app.jobs import Work
from tests.smart_app.platform import Browser, Platform, launch_id
from tests.smart_app.test_launch import patient_of

QUESTION = "Is resection of the nodule the right next step, or another biopsy?"
ANSWER = "Resection is the right next step; another biopsy would not change it."


@dataclass
class Story:
    """What one case leaves behind from step to step."""

    requester: Browser
    case: str = ""

    @property
    def path(self) -> str:
        return self.case


def draft_path(page: str) -> str:
    found = re.search(r'action="(/l/[^"]+/drafts/[^"/]+)/send"', page)
    assert found, page
    return found.group(1)


def filled(page: str, **changes: object) -> dict[str, object]:
    """The form as a physician would fill it in, sensible ticks left as they are."""
    diagnosis = re.search(r'<option value="(Condition/[^"]+)"', page)
    assert diagnosis
    return {
        "reason": "rare-complex",
        "question": QUESTION,
        "diagnosis": diagnosis.group(1),
        "service": "HealthcareService/thoracic-oncology",
        "product": "written-opinion",
        "urgency": "urgent",
        "basis": "treatment",
        "attested": "yes",
        "pick": re.findall(r'name="pick" value="([^"]+)" checked', page),
        **changes,
    }


def test_a_draft_is_kept_and_says_what_is_missing(hospital: Platform) -> None:
    browser = hospital.browser()
    page = browser.launch("epic", patient_of("epic"))
    draft, form = draft_path(page.text), filled(page.text, question="")
    saved = browser.post(draft, data=form, headers={"HX-Request": "true"})
    assert saved.status_code == 200, saved.text
    assert "1 to go: the question" in saved.text
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


@pytest.fixture(scope="module")
def story(hospital: Platform) -> Iterator[Story]:
    """One case from request to acknowledgement; the tests below take its steps in their order."""
    yield Story(hospital.browser())


def test_a_double_click_sends_one_request(hospital: Platform, story: Story) -> None:
    page = story.requester.launch("epic", patient_of("epic"))
    draft, form = draft_path(page.text), filled(page.text)
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: story.requester.post(f"{draft}/send", data=form), range(2)))
    third = story.requester.post(f"{draft}/send", data=form)
    cases = {answer.url.path.rpartition("/")[2] for answer in [*answers, third] if "/cases/" in answer.url.path}
    assert len(cases) == 1, [answer.text[-600:] for answer in answers]
    assert {answer.status_code for answer in [*answers, third]} <= {200, 409}
    story.case = cases.pop()
    assert QUESTION in third.text
    listed = story.requester.get(f"/l/{launch_id(page)}/requests")
    assert listed.text.count(QUESTION) == 1


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


def test_the_coordinator_offers_it(hospital: Platform, story: Story) -> None:
    coordinator = hospital.browser()
    board = coordinator.sign_in("castillo")
    launch = launch_id(board)
    assert QUESTION in board.text
    dialog = coordinator.get(f"/l/{launch}/cases/{story.case}/offer")
    names = re.findall(r'name="practitioner" value="([^"]+)"', dialog.text)
    assert names[0] == "Practitioner/lindqvist"  # the specialty that is asked comes first
    assert "The specialty that is asked" in dialog.text
    offered = coordinator.post(f"/l/{launch}/cases/{story.case}/offer", data={"practitioner": names[0]})
    assert "Offered to Dr. Maja Lindqvist" in offered.text


def test_the_consultant_accepts_reads_and_signs(hospital: Platform, story: Story) -> None:
    consultant = hospital.browser()
    worklist = consultant.sign_in("lindqvist")
    case = f"/l/{launch_id(worklist)}/cases/{story.case}"
    assert "Offered to you" in worklist.text
    accepted = consultant.post(f"{case}/accept")
    assert "Dr. Maja Lindqvist took the case" in accepted.text
    room = consultant.post(f"{case}/read")
    assert room.status_code == 200, room.text
    assert QUESTION in room.text
    signed = consultant.post(f"{case}/sign", data=opinion(room.text))
    assert signed.status_code == 200, signed.text
    assert "signed the report" in signed.text


def opinion(room: str) -> dict[str, object]:
    reviewed = re.findall(r'name="reviewed" value="([^"]+)"', room)
    values = dict(re.findall(r'type="radio"[^>]*name="([^"]+)"[^>]*value="([^"]+)"', room))
    return {
        **values,
        "answer": ANSWER,
        "findings": "Spiculated nodule. [1]",
        "recommendations": "Lobectomy",
        "reviewed": reviewed,
    }


def test_the_report_is_filed_once_in_the_hospitals_record(hospital: Platform, story: Story) -> None:
    drain(hospital)
    found = documents(hospital)
    assert len(found) == 1
    pdf = base64.b64decode(found[0]["content"][0]["attachment"]["data"])
    assert ANSWER.split(";")[0] in pypdf.PdfReader(io.BytesIO(pdf)).pages[0].extract_text().replace("\n", " ")
    assert found[0]["docStatus"] == "final"
    drain(hospital)
    assert len(documents(hospital)) == 1


def drain(hospital: Platform) -> None:
    """A worker comes, lets the cursor look and the jobs it finds run, and goes."""
    with closing(Work(hospital.app_settings)) as work:
        runner = work.runner()
        for _ in range(4):
            runner.run_due()


def documents(hospital: Platform) -> list[dict[str, object]]:
    """What a script of the hospital finds among the patient's documents."""
    import json

    kept = json.loads((hospital.plan.directory / "keys.json").read_text())
    base = f"{hospital.plan.ehr_url}/epic"
    key = ClientKey("demo-script", kept["epic-script"], f"{base}/oauth/token")
    form = {
        "grant_type": "client_credentials",
        "scope": "system/*.rs",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": client_assertion(key),
    }
    with httpx.Client(trust_env=False) as client:
        token = client.post(key.token_url, data=form).json()["access_token"]
        wanted = {"patient": patient_of("epic"), "type": "http://loinc.org|11488-4"}
        answer = client.get(
            f"{base}/fhir/DocumentReference", params=wanted, headers={"Authorization": f"Bearer {token}"}
        )
    entries = [entry["resource"] for entry in answer.json().get("entry", [])]
    return [each for each in entries if any("writeback" in one.get("system", "") for one in each.get("identifier", []))]


def test_the_requester_reads_and_acknowledges(hospital: Platform, story: Story) -> None:
    page = story.requester.launch("epic", patient_of("epic"))
    assert "Acknowledge the report" in page.text
    report = story.requester.get(f"{page.url.path}/report")
    assert ANSWER in report.text
    assert "Filed at Lakeside Medical Center." in report.text
    pdf = story.requester.get(f"{page.url.path}/report.pdf")
    assert pdf.headers["content-type"] == "application/pdf"
    closed = story.requester.post(f"{page.url.path}/acknowledge")
    assert "Report read and acknowledged" in closed.text
