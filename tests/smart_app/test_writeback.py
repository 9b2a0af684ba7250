"""Write-back where it is hard: a hospital with habits, one that has not opened its record yet, a second worker."""

import hashlib
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pypdf

from smart_app.tenants import Provision, Tenant
from tests.smart_app.platform import Browser, Platform, launch_id
from tests.smart_app.steps import drain, filed, offer, patient_of, sign, submit

KOWALCZYK = 4  # for whom no test sends a request


def signed_form() -> bytes:
    """A release of information of one blank page."""
    writer, target = pypdf.PdfWriter(), io.BytesIO()
    writer.add_blank_page(300, 400)
    writer.write(target)
    return target.getvalue()


CONSENT = signed_form()


@contextmanager
def closed_record(hospital: Platform, name: str) -> Iterator[None]:
    """A hospital that has not given us a backend client."""
    store = hospital.app.state.services.provisioned
    client, system, tenant = store.key("client"), store.key("system"), store.by_name(name)

    def put(content: Tenant) -> None:
        store.provision(Provision(client=client, system=system, tenants=[content]))

    put(tenant.model_copy(update={"backend": None}))
    try:
        yield
    finally:
        put(tenant)


def consented(browser: Browser, page: str) -> None:
    """Attach the patient's signed form, as the file field does."""
    address = re.search(r'id="consent-form"[^>]* hx-post="([^"]+)"', page)
    assert address
    files = {"consent": ("release.pdf", CONSENT, "application/pdf")}
    assert "release.pdf" in browser.post(address.group(1), files=files).text


def test_what_a_hospital_refuses_is_shown_and_can_be_sent_again(hospital: Platform) -> None:
    requester = hospital.browser()
    page = requester.launch("oracle", patient_of("oracle"))
    consented(requester, page.text)
    case = submit(requester, page, basis="consent")
    offer(hospital, case, "lindqvist")
    consultant = hospital.browser()
    sign(consultant, f"/l/{launch_id(consultant.sign_in('lindqvist'))}/cases/{case}")
    address = f"/l/{launch_id(page)}/cases/{case}"
    with closed_record(hospital, "oracle"):
        drain(hospital)
        assert "Send it again" in requester.get(f"{address}/report").text
    assert requester.post(f"{address}/send-again").status_code == 200
    drain(hospital)
    assert "Filed at Northfield Regional Hospital." in requester.get(f"{address}/report").text
    found = filed(hospital, "oracle", patient_of("oracle"))
    assert len(found) == 1
    assert found[0]["author"] == [{"reference": "Practitioner/meyer"}]


def test_the_consent_travels_with_its_hash(hospital: Platform) -> None:
    browser = hospital.browser()
    page = browser.launch("epic", patient_of("epic", KOWALCZYK))
    consented(browser, page.text)
    again = browser.get(page.url.path)
    assert "release.pdf" in again.text
    draft = re.search(r"/drafts/([^/]+)/send", page.text)
    assert draft
    store = hospital.app.state.services.drafts
    assert store.part(draft.group(1), "consent") == CONSENT
    content = store.find(draft.group(1), "Practitioner/x")
    assert content is None
    owner = browser_practitioner(hospital, browser, launch_id(page))
    assert store.find(draft.group(1), owner).content["consent"]["sha256"] == hashlib.sha256(CONSENT).hexdigest()


def browser_practitioner(hospital: Platform, browser: Browser, launch: str) -> str:
    secret = browser.cookies["127.0.0.1"]["__Host-konsil-app"]
    practitioner: str = hospital.app.state.services.sessions.find_launch(launch, secret).practitioner
    return practitioner


def test_what_is_no_scan_is_not_taken(hospital: Platform) -> None:
    browser = hospital.browser()
    page = browser.launch("epic", patient_of("epic", KOWALCZYK))
    address = re.search(r'id="consent-form"[^>]* hx-post="([^"]+)"', page.text)
    assert address
    answer = browser.post(address.group(1), files={"consent": ("page.html", b"<script>", "application/pdf")})
    assert "neither a PDF nor a picture" in answer.text
