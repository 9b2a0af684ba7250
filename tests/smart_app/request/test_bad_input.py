"""What goes wrong while a request is written: said where it happened, nothing lost, a way on."""

import io
import json
import re
from concurrent.futures import ThreadPoolExecutor

import httpx
import pypdf
import pytest

from smart_app.errors import Invalid
from smart_app.request.consent_file import content_type_of
from tests.smart_app.platform import Browser, Platform, hidden_fields, launch_id
from tests.smart_app.steps import draft_path, filled, patient_of

HTMX = {"HX-Request": "true"}


def pdf(pages: int = 1, password: str = "") -> bytes:
    writer, target = pypdf.PdfWriter(), io.BytesIO()
    for _ in range(pages):
        writer.add_blank_page(300, 400)
    if password:
        writer.encrypt(password)
    writer.write(target)
    return target.getvalue()


def request_page(hospital: Platform, tenant: str = "epic", place: int = 5) -> tuple[Browser, httpx.Response]:
    browser = hospital.browser()
    return browser, browser.launch(tenant, patient_of(tenant, place))


def upload(browser: Browser, page: httpx.Response, name: str, body: bytes) -> httpx.Response:
    file = {"consent": (name, body, "application/pdf")}
    return browser.post(f"{draft_path(page.text)}/consent", files=file, headers=HTMX)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "The file is empty."),
        (b"PK\x03\x04 a zip", "neither a PDF nor a picture"),
        (pdf()[:200], "This PDF is broken"),
        (b"%PDF-1.7\n" + b"\x00" * 5000, "This PDF is broken"),
        (pdf(password="secret"), "locked with a password"),
        (b"\x89PNG\r\n\x1a\n" + b"no picture", "This picture is broken"),
        (b"\xff\xd8\xff\xe0 no picture", "This picture is broken"),
    ],
    ids=["empty", "zip", "cut", "noise", "locked", "png", "jpeg"],
)
def test_what_is_no_signed_form_is_refused_in_words(body: bytes, sentence: str) -> None:
    with pytest.raises(Invalid, match=sentence) as refused:
        content_type_of(body)
    assert refused.value.remedy


def test_a_broken_consent_is_refused_where_it_was_chosen_and_a_good_one_taken(hospital: Platform) -> None:
    browser, page = request_page(hospital)
    kept = upload(browser, page, "signed.pdf", pdf())
    assert "signed.pdf" in kept.text
    refused = upload(browser, page, "broken.pdf", pdf()[:200])
    assert refused.status_code == 200  # a fragment that htmx puts in the place of the old one
    assert "This PDF is broken" in refused.text
    assert "signed.pdf" in refused.text  # what was there before is still there
    assert 'type="file"' in refused.text


def test_a_file_over_the_limit_is_read_to_its_end_and_refused(hospital: Platform) -> None:
    browser, page = request_page(hospital)
    megabytes = hospital.app_settings.upload_megabytes
    refused = upload(browser, page, "large.pdf", b"%PDF" + b"0" * (megabytes * 1024 * 1024))
    assert f"The file is larger than {megabytes} MB." in refused.text
    assert 'type="file"' in refused.text


def test_two_windows_do_not_write_over_each_other(hospital: Platform) -> None:
    browser, first = request_page(hospital)
    draft = draft_path(first.text)
    older = filled(first.text, question="What the older window says, at length.") | hidden_fields(first.text)
    assert "saved" in browser.post(draft, data=older, headers=HTMX).text
    second = browser.get(f"/l/{launch_id(first)}/new")
    newer = filled(second.text, question="What the newer window says, at length.") | hidden_fields(second.text)
    browser.post(draft, data=newer, headers=HTMX)
    told = browser.post(draft, data=older | {"story": "more"}, headers=HTMX)
    assert "opened in another window" in told.text
    assert told.headers["hx-retarget"] == "#elsewhere"
    assert "What the newer window says" in browser.get(f"/l/{launch_id(first)}/new").text
    taken = browser.post(draft, data=older | {"take_over": "yes"}, headers=HTMX)
    assert "What the older window says" in taken.text


def test_saves_at_the_same_time_lose_nothing(hospital: Platform) -> None:
    browser, page = request_page(hospital)
    draft, form = draft_path(page.text), filled(page.text, story="A story.") | hidden_fields(page.text)

    def save(number: int) -> int:
        if number % 2:
            return upload(browser, page, "signed.pdf", pdf()).status_code
        return browser.post(draft, data=form, headers=HTMX).status_code

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(save, range(8))) == {200}
    shown = browser.get(f"/l/{launch_id(page)}/new").text
    assert "A story." in shown
    assert "signed.pdf" in shown


def test_a_discarded_draft_can_be_taken_back(hospital: Platform) -> None:
    browser, page = request_page(hospital)
    draft = draft_path(page.text)
    browser.post(draft, data=filled(page.text, question="Keep this question for me.") | hidden_fields(page.text))
    away = browser.post(f"{draft}/discard")
    assert "The draft was discarded." in away.text
    undo = re.search(r'action="([^"]+/restore)"', away.text)
    assert undo, away.text
    back = browser.post(undo.group(1))
    assert "Keep this question for me." in back.text


def test_archives_that_cannot_be_asked_do_not_stop_a_request(hospital: Platform) -> None:
    """The gateway of this platform does not run: the search says so, and the request can go without it."""
    browser, page = request_page(hospital)
    answer = browser.post(f"{draft_path(page.text)}/priors", headers=HTMX | {"Accept": "application/x-ndjson"})
    (line,) = (json.loads(each)["html"] for each in answer.text.splitlines())
    assert "The imaging gateway does not answer." in line
    assert "Search again" in line
    without_script = browser.post(f"{draft_path(page.text)}/priors")
    assert without_script.url.path.endswith("/new") and "Your question" in without_script.text


def test_the_back_button_after_sending_shows_that_a_case_runs(hospital: Platform) -> None:
    browser, page = request_page(hospital, "oracle", 3)
    asked = "Would you operate on this now, or wait?"
    form, draft = filled(page.text, question=asked) | hidden_fields(page.text), draft_path(page.text)
    sent = browser.post(f"{draft}/send", data=form)
    assert "/cases/" in sent.url.path, sent.text
    reading = re.search(r'hx-post="([^"]+/chart)"', browser.get(f"/l/{launch_id(page)}/new").text)
    assert reading, "a new draft reads the chart first"
    back = browser.post(reading.group(1))
    assert "A request for this patient is running" in back.text
    assert asked in back.text
    again = browser.post(f"{draft}/send", data=form)  # the old page's button, pressed again
    assert again.url.path == sent.url.path
