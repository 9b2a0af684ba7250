"""Patients and who acts for one: their first page, the answer in plain words, and who looked at the record."""

import re

import pytest
from sqlalchemy import update

from deploy.sandbox import people
from fhir_server.auth import accounts, records
from fhir_server.auth.provision import Document
from fhir_server.auth.provision import provision as provision_server
from fhir_server.store import auth_joining, auth_registry
from fhir_server.store.auth_models import account
from tests.smart_app.platform import Browser, Platform, launch_id
from tests.smart_app.steps import QUESTION, new_request, offer, patient_of, shown, sign, submit


@pytest.fixture(scope="module")
def case(hospital: Platform) -> str:
    """A case of a patient for whom an opinion was asked."""
    asker = hospital.browser()
    home = f"/l/{launch_id(asker.launch('epic', patient_of('epic', 1)))}"
    return submit(asker, new_request(asker, home))


@pytest.fixture(scope="module")
def record(hospital: Platform, case: str) -> str:
    """The id of the patient in our server."""
    node = hospital.ours.state.node
    found = hospital.call(records.search(node, records.registrar(None), "Task", {"_id": case}))
    return str(found[0]["for"]["reference"]).partition("/")[2]


def person(hospital: Platform, record: str, role: str) -> str:
    """An account of the patient, or of a RelatedPerson who acts for her; gives its name."""
    node, name = hospital.ours.state.node, f"{role}-{record}"
    entry = {"username": name, "password": people.PASSWORD, "name": "Mei Wang", "roles": [role]}
    entry |= {"fhir_user": f"Patient/{record}"} if role == "patient" else {}

    async def make() -> None:
        await provision_server(node, Document.model_validate({"accounts": [entry]}))
        if role == "proxy":
            related = {
                "resourceType": "RelatedPerson",
                "id": "mei",
                "active": True,
                "patient": {"reference": f"Patient/{record}"},
                "name": [{"family": "Wang", "given": ["Mei"]}],
            }
            await records.put(node, records.registrar(None), [related])
            mine = await auth_registry.find_local_account(node.database, accounts.normal(name))
            assert mine is not None
            async with node.database.transaction() as transaction:
                await auth_joining.add_acting(transaction, mine.account_id, "RelatedPerson/mei", record)
                await transaction.execute(update(account).where(account.c.username == name).values(disabled=False))

    hospital.call(make())
    return name


@pytest.fixture(scope="module")
def patient(hospital: Platform, record: str) -> tuple[Browser, str]:
    browser = hospital.browser()
    return browser, f"/l/{launch_id(browser.sign_in(person(hospital, record, 'patient')))}"


@pytest.fixture(scope="module")
def proxy(hospital: Platform, record: str) -> tuple[Browser, str]:
    browser = hospital.browser()
    return browser, f"/l/{launch_id(browser.sign_in(person(hospital, record, 'proxy')))}"


def test_a_patient_sees_where_each_case_stands(patient: tuple[Browser, str]) -> None:
    browser, home = patient
    page = browser.get(f"{home}/")
    assert page.url.path == f"{home}/my"
    assert "Your second opinions" in page.text
    assert QUESTION in page.text
    assert "promised for" in page.text


def test_a_proxy_always_reads_for_whom(proxy: tuple[Browser, str]) -> None:
    browser, home = proxy
    page = browser.get(f"{home}/").text
    assert re.search(r"You act for [^.]*Wang", page)
    assert QUESTION in page
    assert "k-banner" in browser.get(f"{home}/looked").text


def test_who_looked_is_said_in_sentences_by_day(patient: tuple[Browser, str]) -> None:
    browser, home = patient
    text = shown(browser, f"{home}/looked", "wrote the request")
    assert re.search(r"<li><strong>[^<]+</strong> \(Requesting physician[^<]*\) wrote the request[^<]*: treats", text)
    reference = re.search(r'<option value="(Practitioner/[^"]+)">', text)
    assert reference is not None
    narrowed = browser.get(f"{home}/looked?person={reference[1]}").text
    names = set(re.findall(r"<li><strong>([^<]+)</strong>", narrowed))
    assert len(names) == 1


def test_the_patient_reads_that_a_proxy_looked(patient: tuple[Browser, str], proxy: tuple[Browser, str]) -> None:
    proxy[0].get(f"{proxy[1]}/my")
    browser, home = patient
    assert "Mei Wang" in shown(browser, f"{home}/looked", "Acting for a patient")


def test_the_privacy_officer_finds_a_proxy_by_name(hospital: Platform, proxy: tuple[Browser, str]) -> None:
    proxy[0].get(f"{proxy[1]}/my")
    browser = hospital.browser()
    home = f"/l/{launch_id(browser.sign_in('sorensen'))}/access"
    text = shown(browser, f"{home}?person=Mei", "Acting for a patient")
    assert "Mei Wang" in text
    assert "no person fits" in browser.get(f"{home}?person=Nobodyhasthisname").text


def test_pages_of_staff_are_not_theirs(patient: tuple[Browser, str]) -> None:
    browser, home = patient
    for path in ("access", "inbox"):
        assert browser.get(f"{home}/{path}").status_code == 403


def test_the_pages_are_not_for_staff(hospital: Platform) -> None:
    browser = hospital.browser()
    home = f"/l/{launch_id(browser.sign_in('castillo'))}"
    assert [browser.get(f"{home}/{path}").status_code for path in ("my", "looked")] == [403, 403]


def test_the_signed_answer_is_there_in_plain_words_and_as_pdf(
    hospital: Platform, case: str, patient: tuple[Browser, str], proxy: tuple[Browser, str]
) -> None:
    offer(hospital, case, "lindqvist")
    consultant = hospital.browser()
    sign(consultant, f"/l/{launch_id(consultant.sign_in('lindqvist'))}/cases/{case}")
    for browser, home in (patient, proxy):
        page = browser.get(f"{home}/my").text
        assert "The second opinion is ready" in page
        own = rf'href="([^"]+/cases/{case}/report(?:/print\?for=patient|\.pdf))"'
        addresses = re.findall(own, page)  # others of this worker may have asked about the same patient
        paper, pdf = (browser.get(each) for each in addresses)
        assert (paper.status_code, pdf.status_code) == (200, 200), paper.text
        assert "Your second opinion" in paper.text
        assert pdf.content.startswith(b"%PDF")


def test_a_patient_withdraws_a_release_and_a_proxy_cannot(
    hospital: Platform, record: str, patient: tuple[Browser, str], proxy: tuple[Browser, str]
) -> None:
    """The patient of the demo's chart agreed on paper: this release is one beside it, on which no case rests."""
    release = {
        "resourceType": "Consent",
        "id": "mei-withdraws",
        "status": "active",
        "scope": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]
        },
        "category": [{"coding": [{"system": "http://loinc.org", "code": "64292-6"}], "text": "Release for research"}],
        "patient": {"reference": f"Patient/{record}"},
        "policyRule": {"text": "Signed on paper"},
        "provision": {"type": "permit"},
    }
    node = hospital.ours.state.node
    hospital.call(records.put(node, records.registrar(None), [release]))
    address = "my/releases/mei-withdraws/withdraw"
    assert address not in proxy[0].get(f"{proxy[1]}/my").text
    assert proxy[0].post(f"{proxy[1]}/{address}").status_code == 403
    browser, home = patient
    page = browser.get(f"{home}/my").text
    assert f'action="{home}/{address}"' in page and "Within five seconds" in page
    after = browser.post(f"{home}/{address}").text
    assert "Release for research: not in force" in after and "The release is withdrawn." in after
    assert address not in after
    assert "was not in force any more" in browser.post(f"{home}/{address}").text
