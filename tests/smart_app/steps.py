"""Steps that several tests take through the pages."""

import json
import re
import time
from contextlib import closing
from typing import Any

import httpx
from sqlalchemy import update

from deploy.sandbox import charts, people
from konsil.oauth_client import ASSERTION_TYPE, ClientKey, client_assertion
from smart_app.jobs import Work
from smart_app.store.models import outbox
from tests.smart_app.platform import Browser, Platform, hidden_fields, launch_id

QUESTION = "Is resection of the nodule the right next step, or another biopsy?"
ANSWER = "Resection is the right next step; another biopsy would not change it."
Resource = dict[str, Any]


def patient_of(tenant: str, place: int = 0) -> str:
    return [each["id"] for each in charts.resources(tenant) if each["resourceType"] == "Patient"][place]


def draft_path(page: str) -> str:
    found = re.search(r'action="(/l/[^"]+/drafts/[^"/]+)/send"', page)
    assert found, page
    return found.group(1)


def filled(page: str, **changes: object) -> dict[str, object]:
    """The form as a physician would fill it in, sensible ticks left as they are."""
    diagnosis = re.search(r'<option value="(Condition/[^"]+)"', page)
    assert diagnosis
    return {
        "reason": "rare-complex",
        "question": QUESTION,
        "diagnosis": diagnosis.group(1),
        "service": "HealthcareService/thoracic-oncology",
        "product": "written-opinion",
        "urgency": "urgent",
        "basis": "treatment",
        "attested": "yes",
        "pick": re.findall(r'name="pick" value="([^"]+)"[^>]* checked', page),
        **changes,
    }


def new_request(browser: Browser, home: str) -> httpx.Response:
    """The form, once the chart is read."""
    page = browser.get(f"{home}/new")
    waiting = re.search(r'id="opening" hx-post="([^"]+)"', page.text)
    return browser.post(waiting.group(1)) if waiting else page


def submit(browser: Browser, page: httpx.Response, **changes: object) -> str:
    """Send the request of a form page; the case's id."""
    sent = browser.post(f"{draft_path(page.text)}/send", data=filled(page.text, **changes))
    assert "/cases/" in sent.url.path, sent.text
    return sent.url.path.rpartition("/")[2]


def offer(hospital: Platform, case: str, username: str) -> httpx.Response:
    coordinator = hospital.browser()
    launch = launch_id(coordinator.sign_in("castillo"))
    form = {"practitioner": f"Practitioner/{username}"}
    return coordinator.post(f"/l/{launch}/cases/{case}/offer", data=form)


def sign(consultant: Browser, case: str) -> httpx.Response:
    """Accept, read, sign."""
    return consultant.post(f"{case}/sign", data=opinion(open_room(consultant, case)))


def open_room(consultant: Browser, case: str) -> str:
    """Accept, start reading; the reading room's page."""
    assert "took the case" in consultant.post(f"{case}/accept").text
    room = consultant.post(f"{case}/read")
    assert QUESTION in room.text, room.text
    return str(room.text)


def opinion(room: str) -> dict[str, object]:
    reviewed = re.findall(r'name="reviewed" value="([^"]+)"', room)
    values = dict(re.findall(r'type="radio"[^>]*name="([^"]+)"[^>]*value="([^"]+)"', room))
    text = {"answer": ANSWER, "findings": "Spiculated nodule.", "recommendations": "Lobectomy"}
    fields = {name: value for name, value in hidden_fields(room).items() if name in ("window", "opened")}
    return {**fields, **values, **text, "cites": reviewed[0], "reviewed": reviewed, "pin": people.PIN}


def drain(hospital: Platform) -> None:
    """A worker comes, lets the cursor look, which may have looked a moment ago, and the jobs it finds run, and goes."""
    with closing(Work(hospital.app_settings)) as work:
        runner = work.runner()
        with work.engine.begin() as connection:
            connection.execute(update(outbox).where(outbox.c.kind == "cursor").values(next_attempt_at=0.0))
        for _ in range(4):
            runner.run_due()


def filed(hospital: Platform, tenant: str, patient: str) -> list[Resource]:
    """What a script of the hospital finds of ours among the patient's documents."""
    kept = json.loads((hospital.plan.directory / "keys.json").read_text())
    base = f"{hospital.plan.ehr_url}/{tenant}"
    key = ClientKey("demo-script", kept[f"{tenant}-script"], f"{base}/oauth/token")
    form = {"grant_type": "client_credentials", "scope": "system/*.rs", "client_assertion_type": ASSERTION_TYPE}
    with httpx.Client(trust_env=False) as client:
        proof = {"client_assertion": client_assertion(key)}
        token = client.post(key.token_url, data=form | proof).json()["access_token"]
        wanted = {"patient": patient, "type": "http://loinc.org|11488-4", "_count": "100"}
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/fhir+json"}
        answer = client.get(f"{base}/fhir/DocumentReference", params=wanted, headers=headers)
    found = [entry["resource"] for entry in answer.json().get("entry", [])]
    return [each for each in found if any("writeback" in one.get("system", "") for one in each.get("identifier", []))]


def shown(browser: Browser, address: str, wanted: str) -> str:
    """The page once these words are on it: events are listed a moment after they happened."""
    end = time.monotonic() + 90
    while True:
        page = browser.get(address)
        assert page.status_code == 200, page.text
        if wanted in page.text or time.monotonic() > end:
            return page.text
        time.sleep(0.1)
