"""A hospital's record that answers 401, 403, 429, 500, nothing, late or nonsense, at each moment it is asked.

The tenant is the sandbox's own, made to misbehave as `POST /sandbox/misbehave` does.
"""

import html
import json
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from deploy.sandbox.ehr.trouble import Trouble
from fhir_server.auth import tokens
from fhir_server.store.auth_models import token
from konsil.outbox import Job
from smart_app import writeback
from smart_app.fhir import FhirClient
from smart_app.jobs import Work
from smart_app.store.sealed import open_json, seal_json
from tests.smart_app.platform import Browser, Platform, launch_id
from tests.smart_app.steps import QUESTION, draft_path, drain, filed, filled, offer, patient_of, sign, submit

WANG = 1
LABS, DOCUMENTS, CHART = "/fhir/Observation*", "/fhir/DocumentReference*", "/fhir/*"
TOKEN, WRITE_BACK = "/oauth/token", "/fhir/DocumentReference"
AGAIN = "Read the chart again"


@pytest.fixture(autouse=True)
def calm(hospital: Platform) -> Iterator[None]:
    """The trouble ends with the test."""
    yield
    relieve(hospital)


def relieve(hospital: Platform) -> None:
    hospital.troubles.stop()
    give_up_after(hospital, 20)
    hospital.app.state.tokens._silent.clear()


def give_up_after(hospital: Platform, seconds: float) -> None:
    services = hospital.app.state.services
    for tenant in services.provisioned.tenants():
        services.clients.for_origins(tenant.origins()).timeout = httpx.Timeout(seconds)


def trouble(hospital: Platform, path: str, answer: str, **more: object) -> Trouble:
    if answer == "nothing":
        give_up_after(hospital, 2)
    given = {"tenant": "epic", "method": "GET", "seconds": 1.0} | more
    return hospital.troubles.add(Trouble(path=path, answer=answer, **given))  # type: ignore[arg-type]


def text_of(page: httpx.Response) -> str:
    assert page.status_code == 200, page.text
    return " ".join(html.unescape(page.text).split())


def begun(hospital: Platform, tenant: str = "epic", place: int = WANG) -> tuple[Browser, httpx.Response]:
    """A request form, the chart read."""
    browser = hospital.browser()
    return browser, launched(browser, tenant, place)


def launched(browser: Browser, tenant: str = "epic", place: int = WANG) -> httpx.Response:
    """The request form after a launch, whatever cases of the patient other tests have left."""
    page = browser.launch(tenant, patient_of(tenant, place))
    return page if "/drafts/" in page.text else opened(browser, browser.get(f"/l/{launch_id(page)}/new"))


def opened(browser: Browser, page: httpx.Response) -> httpx.Response:
    """The form behind the page that says that the chart is being read."""
    waiting = re.search(r'id="opening" hx-post="([^"]+)"', page.text)
    return browser.post(waiting.group(1)) if waiting else page


def read_again(browser: Browser, page: httpx.Response, **form: object) -> httpx.Response:
    """Press the button, and let the page that says so do its work."""
    return opened(browser, browser.post(f"{draft_path(page.text)}/refresh", data=filled(page.text, **form)))


REASONS = {
    "401": "The access token is not valid. Open the app again from the patient's chart.",
    "403": "The scopes of the token do not cover this. Ask your administrator whether this app may read it.",
    "break-the-glass": "The hospital protects this chart (break the glass). Open the chart in the hospital's record",
    "429": "Too many requests. Nothing was lost. Try again in 1 second.",
    "500": "The record server failed. Nothing was lost. Try again in a moment.",
    "503": "The record server is down for the moment. Nothing was lost. Try again in 1 second.",
    "nothing": "The record server does not answer. Nothing was lost. Try again in a moment.",
    "garbage": "The record server's answer cannot be read. Nothing was lost.",
}


@pytest.mark.parametrize(("answer", "reason"), REASONS.items(), ids=REASONS)
def test_what_cannot_be_read_is_named_and_the_rest_is_there(hospital: Platform, answer: str, reason: str) -> None:
    browser, page = begun(hospital)
    browser.post(f"{draft_path(page.text)}/discard")
    trouble(hospital, LABS, answer)
    page = opened(browser, browser.get(f"/l/{launch_id(page)}/new"))
    text = text_of(page)
    assert f"Laboratory values and vital signs could not be read. {reason}" in text
    assert AGAIN in text
    assert "Left frontal glioma" in text
    hospital.troubles.stop()
    page = read_again(browser, page, question=QUESTION)
    assert "could not be read" not in text_of(page)
    assert QUESTION in page.text
    picked = re.findall(r'name="pick" value="(Observation/[^"]+)" data-sensible checked', page.text)
    assert picked, "the values that came now are ticked as they would have been"


def test_a_busy_record_is_given_the_time_it_asks_for(hospital: Platform) -> None:
    browser, page = begun(hospital)
    made = trouble(hospital, LABS, "429", left=3)
    began = time.monotonic()
    page = read_again(browser, page)
    assert time.monotonic() - began >= 1
    assert made.left == 0
    assert "could not be read" not in text_of(page)


def test_a_wait_beyond_patience_is_said_and_not_waited_for(hospital: Platform) -> None:
    browser, page = begun(hospital)
    trouble(hospital, DOCUMENTS, "429", seconds=600.0)
    began = time.monotonic()
    assert "Try again in 10 minutes." in text_of(read_again(browser, page))
    assert time.monotonic() - began < 60


def test_a_slow_record_is_waited_for(hospital: Platform) -> None:
    browser, page = begun(hospital)
    trouble(hospital, LABS, "slow", seconds=0.5)
    assert "could not be read" not in text_of(read_again(browser, page))


@pytest.mark.parametrize("answer", ["500", "nothing", "break-the-glass"])
def test_what_was_read_before_is_kept_when_it_cannot_be_read_again(hospital: Platform, answer: str) -> None:
    browser, page = begun(hospital)
    before = sorted(re.findall(r'name="pick" value="([^"]+)"', page.text))
    trouble(hospital, CHART, answer)
    page = read_again(browser, page, question=QUESTION, story="Typed just before.")
    text = text_of(page)
    assert "could not be read again; what was read before is kept." in text
    assert text.count("what was read before is kept") == 1  # one reason, one sentence
    assert sorted(re.findall(r'name="pick" value="([^"]+)"', page.text)) == before
    assert "Typed just before." in text
    hospital.troubles.stop()
    assert "could not be read" not in text_of(read_again(browser, page))


def test_a_chart_that_gives_nothing_at_first_is_ticked_once_it_comes(hospital: Platform) -> None:
    browser, page = begun(hospital)
    browser.post(f"{draft_path(page.text)}/discard")
    trouble(hospital, CHART, "500")
    page = opened(browser, browser.get(f"/l/{launch_id(page)}/new"))
    assert (
        "Problems, medicines, allergies, laboratory values, vital signs, reports, documents, procedures and visits"
        in (text_of(page))
    )
    number = re.search(r"Draft (K-\w{4}-\w{4})", text_of(page))
    hospital.troubles.stop()
    page = opened(browser, browser.post(f"{draft_path(page.text)}/refresh"))
    assert re.findall(r'name="pick" value="(Condition/[^"]+)" data-sensible checked', page.text)
    assert number and number.group(1) in page.text, "the case number stays"


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ("500", "The record server failed."),
        ("break-the-glass", "The hospital protects this chart (break the glass)."),
        ("garbage", "The record server's answer cannot be read."),
        ("nothing", "The record server does not answer."),
    ],
)
def test_a_launch_that_cannot_read_the_patient_says_so(hospital: Platform, answer: str, sentence: str) -> None:
    trouble(hospital, "/fhir/Patient/*", answer)
    page = hospital.browser().launch("epic", patient_of("epic", WANG))
    assert page.status_code in (403, 500, 503)
    text = html.unescape(page.text)
    assert sentence in text
    assert "Open the app again from the patient's chart." in text or "give the reason it asks for" in text


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ("429", "The sign-in server asks for patience."),
        ("500", "The sign-in server failed (500)."),
        ("nothing", "The sign-in server does not answer."),
        ("garbage", "The sign-in server's answer cannot be read."),
    ],
)
def test_a_launch_whose_token_does_not_come_says_so(hospital: Platform, answer: str, sentence: str) -> None:
    trouble(hospital, TOKEN, answer, method="POST")
    page = hospital.browser().launch("epic", patient_of("epic", WANG))
    assert page.status_code == 503
    assert sentence in html.unescape(page.text)


def age_token(hospital: Platform, launch: str) -> None:
    """The launch's token at the hospital has reached its end."""
    with sqlite3.connect(hospital.app_settings.data_dir / "app.db") as database:
        (sealed,) = database.execute("SELECT tokens FROM launch WHERE id = ?", (launch,)).fetchone()
        tokens = open_json(sealed)
        tokens["ehr"]["expires_at"] = 0
        database.execute("UPDATE launch SET tokens = ? WHERE id = ?", (seal_json(tokens), launch))


@pytest.mark.parametrize("answer", ["429", "500", "nothing", "garbage"])
def test_a_sign_in_that_cannot_be_renewed_now_is_renewed_later(hospital: Platform, answer: str) -> None:
    browser, page = begun(hospital)
    age_token(hospital, launch_id(page))
    trouble(hospital, TOKEN, answer, method="POST")
    began = time.monotonic()
    text = text_of(read_again(browser, page, question=QUESTION))
    assert time.monotonic() - began < 9 * 2, "nine parts must not wait one after the other"
    assert "The sign-in server" in text and "what was read before is kept" in text
    relieve(hospital)
    page = read_again(browser, browser.get(page.url.path))
    assert "could not be read" not in text_of(page)


def test_a_sign_in_that_ended_for_good_says_how_to_come_back_and_keeps_the_draft(hospital: Platform) -> None:
    browser, page = begun(hospital)
    age_token(hospital, launch_id(page))
    trouble(hospital, TOKEN, "401", method="POST")
    page = read_again(browser, page, question=QUESTION)
    text = text_of(page)
    assert "This sign-in has ended. Open the app again from the patient's chart." in text
    assert QUESTION in text
    hospital.troubles.stop()
    assert QUESTION in launched(browser).text


def test_a_token_refused_before_its_time_is_renewed_once(hospital: Platform) -> None:
    """The record server takes every access token back: the nine parts of the chart meet it at once."""
    browser, page = begun(hospital)
    node = hospital.tenants["epic"].state.node

    async def access_tokens() -> int:
        rows = await node.database.fetch(select(token.c.token_hash).where(token.c.kind == "access"))
        return len(rows)

    async def take_back() -> None:
        async with node.database.transaction() as transaction:
            await transaction.execute(update(token).where(token.c.kind == "access").values(revoked_at=time.time()))
        tokens.forget(node.database)

    before = hospital.call(access_tokens())
    hospital.call(take_back())
    assert "could not be read" not in text_of(read_again(browser, page))
    assert hospital.call(access_tokens()) == before + 1


NOT_FILED = {
    "401": "the hospital's server did not accept our sign-in",
    "429": "the hospital's server asks for patience",
    "500": "the hospital's server answered 500",
    "503": "the hospital's server is down for the moment",
    "garbage": "the hospital's server gave an answer that cannot be read",
}


def test_a_report_that_cannot_be_filed_now_is_filed_later_and_once(
    hospital: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, address, requester = signed(hospital)
    before = len(filed(hospital, "epic", patient_of("epic", WANG)))

    def attempt(path: str, answer: str, **more: object) -> str:
        relieve(hospital)
        trouble(hospital, path, answer, method="POST", **more)
        make_due(hospital, case)
        drain(hospital)
        return html.unescape(requester.get(f"{address}/report").text)

    for answer, reason in NOT_FILED.items():
        assert f"Will be tried again: {reason}." in attempt(WRITE_BACK, answer)
    assert "Will be tried again: the hospital's sign-in server gave us no token." in attempt(TOKEN, "500")
    attempt(WRITE_BACK, "429", seconds=600.0)
    assert 500 < due(hospital, case) - time.time() <= 600, "Retry-After is kept to"
    text = attempt(WRITE_BACK, "break-the-glass")
    assert "The hospital protects this chart (break the glass). Open it there, give the reason" in text
    assert "Send it again" in text
    relieve(hospital)
    requester.post(f"{address}/send-again")
    drain(hospital)
    assert "Filed at Lakeside Medical Center." in requester.get(f"{address}/report").text
    assert len(filed(hospital, "epic", patient_of("epic", WANG))) == before + 1
    file_without_finding(hospital, case, monkeypatch)
    assert "Filed at Lakeside Medical Center." in requester.get(f"{address}/report").text
    assert len(filed(hospital, "epic", patient_of("epic", WANG))) == before + 1


def file_without_finding(hospital: Platform, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker whose first search finds nothing, as when another was just filing: the record says 59141."""
    look, first = writeback._existing, iter([None])

    async def late(ehr: FhirClient, patient: str, value: str) -> Any:
        return next(first, await look(ehr, patient, value))

    monkeypatch.setattr(writeback, "_existing", late)
    with sqlite3.connect(hospital.app_settings.data_dir / "app.db") as database:
        rows = database.execute("SELECT payload FROM outbox WHERE kind = 'writeback'").fetchall()
    payload = next(found for found in map(json.loads, (row[0] for row in rows)) if found["case"] == case)
    with closing(Work(hospital.app_settings)) as work:
        work.write_back(Job(0, "writeback", payload, 1, lambda: None))


def due(hospital: Platform, case: str) -> float:
    """When the report is tried next."""
    with sqlite3.connect(hospital.app_settings.data_dir / "app.db") as database:
        rows = database.execute("SELECT payload, next_attempt_at FROM outbox WHERE kind = 'writeback'").fetchall()
    return next(float(moment) for payload, moment in rows if json.loads(payload)["case"] == case)


def signed(hospital: Platform) -> tuple[str, str, Browser]:
    """A case with a signed report; the case, its address for the requester, and the requester."""
    requester, page = begun(hospital)
    case = submit(requester, page)
    offer(hospital, case, "lindqvist")
    consultant = hospital.browser()
    sign(consultant, f"/l/{launch_id(consultant.sign_in('lindqvist'))}/cases/{case}")
    return case, f"/l/{launch_id(page)}/cases/{case}", requester


def make_due(hospital: Platform, case: str) -> None:
    """Let the pause before the next try pass."""
    with sqlite3.connect(hospital.app_settings.data_dir / "app.db") as database:
        database.execute(
            "UPDATE outbox SET next_attempt_at = 0 WHERE kind = 'writeback' AND payload LIKE ?", (f"%{case}%",)
        )
