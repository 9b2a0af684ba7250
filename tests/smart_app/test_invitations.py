"""Staff invite patients and who acts for them: found, chosen, sent, sent again, taken back; every step by the pages."""

import re
import time
from email import message_from_bytes, policy
from pathlib import Path

import httpx
import pytest

from fhir_server.auth import records
from tests.smart_app.platform import Browser, Platform, launch_id
from tests.smart_app.steps import new_request, patient_of, submit

ADDRESS = "ada@mail.example"


@pytest.fixture(scope="module")
def desk(hospital: Platform) -> tuple[Browser, str]:
    browser = hospital.browser()
    return browser, f"/l/{launch_id(browser.sign_in('castillo'))}"


@pytest.fixture(scope="module")
def case(hospital: Platform) -> str:
    """A case of a patient for whom somebody acts."""
    asker = hospital.browser()
    home = f"/l/{launch_id(asker.launch('epic', patient_of('epic', 3)))}"
    made = submit(asker, new_request(asker, home))
    node, registrar = hospital.ours.state.node, records.registrar(None)
    (task,) = hospital.call(records.search(node, registrar, "Task", {"_id": made}))
    related = {
        "resourceType": "RelatedPerson",
        "id": "noa",
        "active": True,
        "patient": task["for"],
        "name": [{"family": "Adler", "given": ["Noa"]}],
        "birthDate": "1970-02-03",
        "relationship": [{"text": "sister"}],
    }
    hospital.call(records.put(node, registrar, [related]))
    return made


def letters(hospital: Platform, count: int) -> list[str]:
    """The texts of the mails to the address, once there are so many, in no order."""
    folder: Path = hospital.ours.state.node.settings.mail_folder
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        mails = [message_from_bytes(each.read_bytes(), policy=policy.default) for each in folder.glob("*.eml")]
        texts = [each.get_body(("plain",)).get_content() for each in mails if ADDRESS in each["To"]]  # type: ignore[union-attr]
        if len(texts) >= count:
            return texts
        time.sleep(0.1)
    raise AssertionError("no mail came")


def first(page: httpx.Response) -> str:
    """The newest line of the list."""
    return page.text.partition("<tbody>")[2].partition("</tr>")[0]


def deed(page: httpx.Response, name: str) -> str:
    found = re.search(rf'action="([^"]*/invitations/[0-9a-f-]+/{name})"', page.text)
    assert found is not None, page.text
    return found[1]


def test_a_patient_and_who_acts_for_one_are_invited(hospital: Platform, desk: tuple[Browser, str], case: str) -> None:
    browser, home = desk
    assert "Nobody has this name" in browser.post(f"{home}/invitations/new", data={"who": "Nobodyatall"}).text
    overview = browser.get(f"{home}/cases/{case}")
    patient = re.search(r"invitations/new\?patient=([A-Za-z0-9.-]+)", overview.text)
    assert patient is not None, "the case leads there"
    form = browser.get(f"{home}/invitations/new?patient={patient[1]}")
    assert "sister; no e-mail address" in form.text
    family = re.search(r'k-banner-name">\s*<bdi[^>]*>([^<]+)<', overview.text)
    assert family is not None
    name = family[1].split(",")[0].split()[-1]
    assert f"patient={patient[1]}" in browser.post(f"{home}/invitations/new", data={"who": name}).text
    given = {"patient": patient[1], "subject": f"Patient/{patient[1]}", "email": "no address"}
    refused = browser.post(f"{home}/invitations/send", data=given)
    assert refused.status_code == 422
    assert "No invitation was sent." in refused.text
    assert 'value="no address"' in refused.text
    sent = browser.post(f"{home}/invitations/send", data=given | {"email": ADDRESS})
    assert f"The invitation goes to {ADDRESS}." in sent.text
    (text,) = letters(hospital, 1)
    assert name not in text, "the mail says nothing of the person"

    again = browser.post(deed(sent, "resend"))
    assert "Sent again" in again.text
    old, new = text, next(each for each in letters(hospital, 2) if each != text)
    links = [re.search(r"https?://\S+", each)[0] for each in (old, new)]  # type: ignore[index]
    assert [browser.get(link).status_code == 200 for link in links] == [False, True]
    assert "invited" in first(browser.get(f"{home}/invitations"))

    gone = browser.post(deed(again, "revoke"))
    assert "Taken back" in gone.text
    assert "taken back" in first(gone)
    assert "/resend" not in first(gone)
    assert browser.get(links[1]).status_code != 200
    late = browser.post(deed(again, "revoke"))
    assert "open no more" in late.text

    proxy = browser.post(f"{home}/invitations/send", data=given | {"subject": "RelatedPerson/noa", "email": ADDRESS})
    assert "Noa" in first(proxy)
    assert "acts for" in first(proxy)


def test_they_are_for_staff_alone(hospital: Platform) -> None:
    for username in ("ito", "sorensen"):
        browser = hospital.browser()
        home = f"/l/{launch_id(browser.sign_in(username))}"
        answers = [browser.get(f"{home}/invitations"), browser.get(f"{home}/invitations/new?patient=x")]
        answers.append(browser.post(f"{home}/invitations/send", data={"subject": "Patient/x"}))
        assert [each.status_code for each in answers] == [403, 403, 403], username
