"""My requests: what waits for the requester first, drafts among the cases, closed ones folded away."""

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from smart_app.banner import banner_of
from smart_app.case.codes import own_code
from smart_app.case.status import Status
from smart_app.case.view import Case
from smart_app.pages.requests import CLOSED, NEEDING, RUNNING, UNSENT, Row, draft_status, mine_of, place_of
from smart_app.store.drafts import Draft
from smart_app.words import Clock
from tests.smart_app.platform import Browser, Platform, launch_id
from tests.smart_app.steps import draft_path, filled, new_request, offer, patient_of, submit

NOW = datetime(2026, 11, 22, 20, 2, tzinfo=UTC)
MOVED = "Is it the lateral or the medial segment?"
BEGUN = "Should the begun question be finished?"


def case_in(state: str, since: datetime = NOW, **task: Any) -> Case:
    status = own_code("business-status", state, state)
    return Case({"id": state, "businessStatus": status, "lastModified": since.isoformat(), **task}, {}, {})


def row(place: int, question: str, specialty: str = "Spine", promised: str = "") -> Row:
    return Row(banner_of({}), place, "", question, Status(""), specialty, promised=promised)


@pytest.mark.parametrize(
    ("state", "place"),
    [
        ("info-requested", NEEDING),
        ("report-signed", NEEDING),
        ("report-amended", NEEDING),
        ("declined", NEEDING),
        ("submitted", RUNNING),
        ("in-review", RUNNING),
        ("cancel-requested", RUNNING),
        ("acknowledged", CLOSED),
        ("withdrawn", CLOSED),
    ],
)
def test_whom_a_case_waits_for(state: str, place: int) -> None:
    assert place_of(case_in(state), NOW) == place


def test_a_case_declined_long_ago_waits_for_nobody() -> None:
    assert place_of(case_in("declined", NOW - timedelta(days=13)), NOW) == NEEDING
    assert place_of(case_in("declined", NOW - timedelta(days=15)), NOW) == CLOSED


def test_closed_requests_are_folded_until_they_are_wanted() -> None:
    rows = [row(RUNNING, "running"), row(CLOSED, "done", "Heart"), row(CLOSED, "over")]
    mine = mine_of(rows, {})
    assert ([each.question for each in mine.list.rows], mine.folded) == (["running"], 2)
    assert [option.count for option in mine.list.choices[1].options] == [2, 1]
    for query, shown in (({"closed": "shown"}, 3), ({"q": "over"}, 1), ({"specialty": "Heart"}, 1)):
        mine = mine_of(rows, query)
        assert (len(mine.list.rows), mine.folded) == (shown, 0)
    assert len(mine_of(rows[1:], {}).list.rows) == 2
    assert mine_of([], {}).list.total == 0


def test_a_group_counts_all_its_rows_and_not_those_of_the_page() -> None:
    mine = mine_of([row(RUNNING, str(number)) for number in range(30)], {"page": "2"})
    assert (len(mine.list.rows), mine.counts["Running"]) == (5, 30)


def test_sorted_by_the_promise_those_without_come_last() -> None:
    rows = [row(UNSENT, "draft"), row(RUNNING, "later", promised="2026-12-02"), row(NEEDING, "soon", promised="2026")]
    for sort, wanted in (("promised", ["soon", "later", "draft"]), ("-promised", ["later", "soon", "draft"])):
        assert [each.question for each in mine_of(rows, {"sort": sort}).list.rows] == wanted


def test_a_draft_says_when_it_was_saved() -> None:
    clock = Clock("America/Chicago")
    draft = Draft("1", "Practitioner/1", "Patient/1", "request", "", "open", 1, {}, time.time())
    assert re.fullmatch(r"Draft, saved today \d\d:\d\d C[SD]T\.", draft_status(draft, clock).sentence)


@dataclass
class Desk:
    """A physician with one chart open."""

    browser: Browser
    page: httpx.Response

    @property
    def home(self) -> str:
        return f"/l/{launch_id(self.page)}"

    def listed(self, query: str = "", path: str = "requests") -> str:
        """The list's part of the page."""
        answer = self.browser.get(f"{self.home}/{path}{query}")
        assert answer.status_code == 200, answer.text
        return answer.text.partition("<konsil-list")[2].partition("</konsil-list>")[0]


def desk(hospital: Platform, place: int) -> Desk:
    browser = hospital.browser()
    page = browser.launch("oracle", patient_of("oracle", place))
    if not page.url.path.endswith("/chart"):
        page = new_request(browser, f"/l/{launch_id(page)}")
    return Desk(browser, page)


def part(listed: str, words: str) -> str:
    """The row that holds these words."""
    return next(each for each in listed.split("<tr")[1:] if words in each)


@pytest.fixture(scope="module")
def begun(hospital: Platform) -> Desk:
    """A draft with a question, in the chart of the second patient."""
    made = desk(hospital, 1)
    form = filled(made.page.text, question=BEGUN)
    assert made.browser.post(draft_path(made.page.text), data=form, headers={"HX-Request": "true"}).status_code == 200
    return made


def test_a_draft_goes_on_in_its_own_patients_chart_only(hospital: Platform, begun: Desk) -> None:
    own = part(begun.listed(), BEGUN)
    assert f'href="{begun.home}/new"' in own and "Go on writing" in own
    assert "Draft, saved today" in own
    other = part(desk(hospital, 0).listed(), BEGUN)
    assert "Open the chart of this patient to go on." in other
    assert "<a " not in other
    assert "Name unknown" not in other


def test_a_draft_is_discarded_and_taken_back(begun: Desk) -> None:
    action = re.search(r'action="([^"]+/discard)"', part(begun.listed(), BEGUN))
    assert action
    answer = begun.browser.post(action.group(1))
    assert "The draft was discarded." in answer.text
    assert BEGUN not in answer.text
    begun.browser.post(action.group(1).replace("discard", "restore"))
    assert BEGUN in begun.listed()


def test_a_question_comes_first_and_a_closed_request_is_folded(hospital: Platform, begun: Desk) -> None:
    asking = desk(hospital, 2)
    closed = submit(asking.browser, asking.page, question="Is this one withdrawn?")
    assert asking.browser.post(f"{asking.home}/cases/{closed}/withdraw").status_code == 200
    asks = desk(hospital, 2)
    case = submit(asks.browser, asks.page, question="Which approach is safer?")
    assert "Running" in asks.listed()
    offer(hospital, case, "lindqvist")
    consultant = hospital.browser()
    reads = f"/l/{launch_id(consultant.sign_in('lindqvist'))}/cases/{case}"
    for step, form in (("accept", {}), ("read", {}), ("ask", {"text": MOVED})):
        assert consultant.post(f"{reads}/{step}", data=form).status_code == 200

    listed = asks.listed()
    assert listed.index("Waiting for you") < listed.index("Which approach") < listed.index("Not sent yet")
    mine = part(listed, "Which approach")
    assert f"“{MOVED}”" in mine and "1 unread message" in mine
    assert f'href="{asks.home}/cases/{case}/messages"' in mine
    assert 'data-label="Promised"' in mine and "Thoracic Oncology" in mine
    assert "Is this one withdrawn?" not in listed
    assert "closed request" in listed
    assert "Is this one withdrawn?" in asks.listed("?closed=shown")
    assert "Is this one withdrawn?" in part(asks.listed("?q=withdrawn"), "Withdrawn")

    by_name = asks.listed("?sort=patient&stage=Question+for+you")
    assert "Waiting for you</span>" in by_name and BEGUN not in by_name
    assert "Nothing fits" in asks.listed("?q=no-such-words")


def test_one_patients_requests_in_the_frame(hospital: Platform) -> None:
    again = desk(hospital, 2)
    submit(again.browser, again.page, question="A second one at the same time?")
    listed = again.listed(path="patient")
    assert "A second one at the same time?" in listed and "Which approach" in listed
    assert BEGUN not in listed


def test_nothing_asked_yet(hospital: Platform) -> None:
    browser = hospital.browser()
    page = browser.sign_in("castillo")
    assert "No request yet" in browser.get(f"/l/{launch_id(page)}/requests").text
