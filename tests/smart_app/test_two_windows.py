"""Two people, or two windows, in one report: nothing that was written is lost."""

import re

import pytest

from tests.smart_app.platform import Browser, Platform, launch_id
from tests.smart_app.steps import offer, open_room, opinion, patient_of, submit

HTMX = {"HX-Request": "true"}


@pytest.fixture(scope="module")
def case(hospital: Platform) -> tuple[Browser, str]:
    """A case that Dr. Lindqvist reads."""
    requester, consultant = hospital.browser(), hospital.browser()
    found = submit(requester, requester.launch("epic", patient_of("epic", 2)))
    offer(hospital, found, "lindqvist")
    address = f"/l/{launch_id(consultant.sign_in('lindqvist'))}/cases/{found}"
    open_room(consultant, address)
    return consultant, address


def written(room: str, answer: str) -> dict[str, object]:
    return opinion(room) | {"answer": answer}


def room(consultant: Browser, address: str) -> str:
    return str(consultant.get(f"{address}/read").text)


def test_the_second_window_is_told_and_may_compare(case: tuple[Browser, str]) -> None:
    consultant, address = case
    mine, theirs = room(consultant, address), room(consultant, address)
    assert consultant.post(f"{address}/opinion", data=written(theirs, "Resect it now."), headers=HTMX).is_success
    late = consultant.post(f"{address}/opinion", data=written(mine, "Watch it now."), headers=HTMX)
    assert late.status_code == 409
    assert "This report was changed" in late.text and "Take mine" in late.text
    both = consultant.post(f"{address}/opinion/compare", data=written(mine, "Watch it now."), headers=HTMX)
    assert "<mark>Watch</mark>" in both.text and "<mark>Resect</mark>" in both.text


def test_taking_mine_keeps_theirs_beside(case: tuple[Browser, str]) -> None:
    consultant, address = case
    mine, theirs = room(consultant, address), room(consultant, address)
    consultant.post(f"{address}/opinion", data=written(theirs, "Theirs."), headers=HTMX)
    late = consultant.post(f"{address}/opinion", data=written(mine, "Mine."), headers=HTMX)
    over = re.search(r'"over": "(\d+)"', late.text)
    assert over
    form = written(mine, "Mine.") | {"over": over.group(1)}
    assert consultant.post(f"{address}/opinion", data=form, headers=HTMX).status_code == 200
    shown = room(consultant, address)
    assert ">Mine.</textarea>" in shown and "Another version of this report" in shown
    back = consultant.post(f"{address}/opinion/back")
    assert ">Theirs.</textarea>" in back.text and "Another version of this report" in back.text


def test_giving_way_keeps_mine_beside(case: tuple[Browser, str]) -> None:
    consultant, address = case
    mine = room(consultant, address)
    shown = consultant.post(f"{address}/opinion/theirs", data=written(mine, "My own words."))
    assert ">My own words.</textarea>" not in shown.text
    assert ">My own words.</textarea>" in consultant.post(f"{address}/opinion/back").text


def test_a_cleared_report_comes_back(case: tuple[Browser, str]) -> None:
    consultant, address = case
    shown = room(consultant, address)
    cleared = consultant.post(f"{address}/opinion/clear", data=written(shown, "Cleared by mistake."))
    assert "Report cleared." in cleared.text and "Cleared by mistake." not in cleared.text
    assert ">Cleared by mistake.</textarea>" in consultant.post(f"{address}/opinion/back").text


def test_the_preview_is_a_pdf_that_nobody_keeps(case: tuple[Browser, str]) -> None:
    consultant, address = case
    paper = consultant.get(f"{address}/opinion.pdf")
    assert paper.content.startswith(b"%PDF") and paper.headers["cache-control"] == "no-store"


def test_laboratory_values_and_records_open_beside(case: tuple[Browser, str]) -> None:
    consultant, address = case
    links = re.findall(r'href="([^"]+)" data-open', room(consultant, address))
    assert any("/labs" in link for link in links), links
    answers = [consultant.get(link.replace("&amp;", "&"), headers=HTMX) for link in dict.fromkeys(links)]
    assert {each.status_code for each in answers} == {200}
    assert not [each.url.path for each in answers if "<!doctype" in each.text]


def test_who_lost_the_case_while_writing_keeps_the_words(hospital: Platform, case: tuple[Browser, str]) -> None:
    consultant, address = case
    shown = room(consultant, address)
    given = offer(hospital, address.rpartition("/")[2], "okafor")
    assert given.status_code == 200, given.text
    late = consultant.post(f"{address}/opinion", data=written(shown, "Half a sentence"), headers=HTMX)
    assert late.status_code == 200 and "given to somebody else" in late.text
    words = consultant.get(f"{address}/opinion.txt")
    assert "Half a sentence" in words.text
    lost = consultant.get(f"{address}/read")
    assert lost.status_code == 404 and "Keep a copy of my text" in lost.text
    assert consultant.post(f"{address}/sign", data=written(shown, "Half a sentence")).status_code == 404
