"""Launch and sign-in against real servers.  https://hl7.org/fhir/smart-app-launch/app-launch.html"""

import pytest

from deploy.sandbox import charts
from tests.smart_app.platform import Platform


def patients(tenant: str) -> list[str]:
    return [each["id"] for each in charts.resources(tenant) if each["resourceType"] == "Patient"]


@pytest.mark.spec("SMART App Launch 2.2 app-launch.html#launch-app-ehr-launch")
def test_ehr_launch_opens_the_patient(hospital: Platform) -> None:
    browser = hospital.browser()
    page = browser.launch("epic", patients("epic")[0])
    assert page.status_code == 200, page.text
    assert page.url.path.endswith("/new")
    assert "New request for a second opinion" in page.text
