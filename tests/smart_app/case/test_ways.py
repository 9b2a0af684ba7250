"""The ways out of a case, two people at once, and amending, through the pages."""

import re
from dataclasses import dataclass

import httpx
import pytest

from deploy.sandbox import people
from tests.smart_app.platform import Browser, Platform, hidden_fields, launch_id
from tests.smart_app.steps import drain, filed, new_request, offer, open_room, opinion, patient_of, submit


@dataclass
class Seat:
    """A person at their screen, and the address of the case there."""

    browser: Browser
    case: str

    def get(self, tab: str = "") -> httpx.Response:
        return self.browser.get(f"{self.case}{tab}")

    def post(self, step: str, **form: object) -> httpx.Response:
        return self.browser.post(f"{self.case}/{step}", data=form)


@dataclass
class Table:
    """Everybody around one case."""

    requester: Seat
    coordinator: Seat
    consultant: Seat


@pytest.fixture
def table(hospital: Platform) -> Table:
    requester, coordinator, consultant = hospital.browser(), hospital.browser(), hospital.browser()
    page = requester.launch("epic", patient_of("epic"))
    home = f"/l/{launch_id(page)}"
    case = submit(requester, new_request(requester, home))
    offer(hospital, case, "lindqvist")
    return Table(
        Seat(requester, f"{home}/cases/{case}"),
        Seat(coordinator, f"/l/{launch_id(coordinator.sign_in('castillo'))}/cases/{case}"),
        Seat(consultant, f"/l/{launch_id(consultant.sign_in('lindqvist'))}/cases/{case}"),
    )


def test_a_case_is_given_back_with_its_reason(table: Table) -> None:
    page = table.consultant.get()
    assert "Give this case back?" in page.text
    given = table.consultant.post("decline", reason="I am away next week.")
    assert given.url.path.endswith("/worklist")
    assert table.consultant.get().status_code == 404
    activity = table.coordinator.get("/activity").text
    assert "Dr. Maja Lindqvist gave the case back" in activity
    assert "I am away next week." in activity
    assert "Rosa Castillo offered it to Dr. Maja Lindqvist" in activity


def test_a_request_is_withdrawn_before_it_is_accepted(table: Table) -> None:
    for _ in range(2):
        withdrawn = table.requester.post("withdraw")
        assert withdrawn.status_code == 200, withdrawn.text
    assert "Withdrawn" in withdrawn.text
    assert table.consultant.get().status_code == 404
    late = table.consultant.post("accept")
    assert late.status_code == 404


def test_later_the_coordinator_decides_about_a_withdrawal(table: Table) -> None:
    table.consultant.post("accept")
    assert table.requester.post("ask-to-withdraw").status_code == 400
    asked = table.requester.post("ask-to-withdraw", reason="The patient decided.")
    assert "wants to withdraw since" in asked.text
    assert "“The patient decided.”" in table.coordinator.get().text
    assert "is reading since" in table.coordinator.post("keep-reading").text
    table.requester.post("ask-to-withdraw", reason="The patient has decided.")
    assert "Withdrawn" in table.coordinator.post("confirm-withdrawal").text
    assert table.consultant.get().status_code == 404


def test_a_case_that_cannot_be_delivered_says_why(table: Table) -> None:
    table.consultant.post("accept")
    table.consultant.post("unable", reason="The slides are too pale to read.")
    assert "The slides are too pale to read." in table.requester.get().text


def test_who_comes_second_reads_who_was_first(table: Table) -> None:
    standing = hidden_fields(table.consultant.get().text)["standing"]
    table.coordinator.post("reject", reason="Out of our scope.")
    late = table.requester.post("withdraw")
    assert "Rosa Castillo declined it just now." in late.text
    assert "Here is the case as it stands." in late.text
    assert "offered" in standing


def test_a_stale_form_is_noticed(table: Table) -> None:
    page = table.coordinator.get().text
    stale = hidden_fields(page)["standing"]
    table.consultant.post("accept")
    late = table.coordinator.post("unable", reason="No consultant at all.", standing=stale)
    assert "Dr. Maja Lindqvist accepted it just now." in late.text


def test_a_second_click_is_no_conflict(table: Table) -> None:
    for _ in range(2):
        assert "took the case" in table.consultant.post("accept").text


def test_an_addendum_keeps_what_was_signed(hospital: Platform, table: Table) -> None:
    seat = table.consultant
    signed = seat.browser.post(f"{seat.case}/sign", data=opinion(open_room(seat.browser, seat.case)))
    assert "Resection is the right next step" in signed.text, signed.text
    drain(hospital)
    before = len(filed(hospital, "epic", patient_of("epic")))
    assert table.requester.get("/amend").status_code == 403

    form = re.sub(r"(?s)^.*?<form [^>]*id=.amend.", "", seat.get("/amend").text)
    draft = hidden_fields(form)["draft"]
    kept = seat.post("amend/draft", draft=draft, kind="appended", addendum="The film of 2023 came.", reason="A film")
    assert "not sent" in kept.text
    assert "The film of 2023 came." in seat.get("/amend").text
    assert "What changes" in seat.post("amend/changes", kind="appended", addendum="The film of 2023 came.").text
    told = {
        "draft": draft,
        "kind": "appended",
        "addendum": "The film of 2023 shows it.",
        "reason": "An older film.",
        "pin": people.PIN,
    }
    assert seat.post("amend", draft=draft, kind="appended", addendum="x", reason="").status_code == 400
    for _ in range(2):
        amended = seat.post("amend", **told)
        assert amended.status_code == 200, amended.text
    assert "Resection is the right next step" in amended.text
    assert "The film of 2023 shows it." in amended.text
    assert amended.text.count("k-version") >= 2

    asked = table.requester.get("/report")
    assert "Acknowledge the report" in asked.text
    assert "An older film; not acknowledged yet." in table.requester.get().text
    first = table.requester.get("/report.pdf?version=1")
    assert first.content != table.requester.get("/report.pdf").content
    drain(hospital)
    documents = filed(hospital, "epic", patient_of("epic"))
    assert len(documents) == before + 1
    assert [each["status"] for each in documents].count("superseded") == 1
    assert sum("relatesTo" in each for each in documents) == 1
    assert "Report read and acknowledged" in table.requester.post("acknowledge").text


def test_a_correction_changes_the_words(table: Table) -> None:
    seat = table.consultant
    form = opinion(open_room(seat.browser, seat.case))
    seat.browser.post(f"{seat.case}/sign", data=form)
    corrected = {**form, "kind": "corrected", "reason": "The wrong side.", "answer": "Resect on the left."}
    shown = seat.post("amend", **{name: value for name, value in corrected.items() if name != "opened"})
    assert "Resect on the left." in shown.text
    assert "<del>" in shown.text
    paper = table.requester.get("/report/print").text
    assert "Corrected." in paper
    assert "Resect on the left." in paper
    assert "before you change anything" in table.requester.get("/report/print?for=patient").text
