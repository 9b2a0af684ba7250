"""From the chart to the acknowledged report, through the pages, against real servers."""

import re
from collections.abc import Iterator

import pytest

from deploy.sandbox import charts
from tests.smart_app.platform import Browser, Platform


@pytest.fixture(scope="module")
def requester(hospital: Platform) -> Iterator[Browser]:
    yield hospital.browser()


def patient_of(tenant: str, place: int = 0) -> str:
    return [each["id"] for each in charts.resources(tenant) if each["resourceType"] == "Patient"][place]


def draft_path(page: str) -> str:
    found = re.search(r'action="(/l/[^"]+/drafts/[^"/]+)/send"', page)
    assert found, page
    return found.group(1)


def test_submit(hospital: Platform) -> None:
    browser = hospital.browser()
    page = browser.launch("epic", patient_of("epic"))
    draft = draft_path(page.text)
    picks = re.findall(r'name="pick" value="([^"]+)" checked', page.text)
    assert len(picks) > 3
    form = {
        "reason": "rare-complex",
        "question": "Is resection of the nodule the right next step, or another biopsy?",
        "diagnosis": re.search(r'<option value="(Condition/[^"]+)"', page.text).group(1),
        "service": "HealthcareService/thoracic-oncology",
        "product": "written-opinion",
        "urgency": "urgent",
        "basis": "treatment",
        "attested": "yes",
        "pick": picks,
    }
    saved = browser.post(draft, data=form, headers={"HX-Request": "true"})
    assert saved.status_code == 200, saved.text
    assert "Send request to Thoracic Oncology" in saved.text
    case = browser.post(f"{draft}/send", data=form)
    assert case.status_code == 200, case.text
    print(case.text)
    assert "Is resection of the nodule" in case.text
