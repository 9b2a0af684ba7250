"""The main job with real peers: Chromium, Orthanc as the outside PACS, storescp as the radiologist's PACS."""

from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from deploy.sandbox import charts
from deploy.sandbox.imaging.studies import CT_CHEST, FILM
from deploy.sandbox.plan import Program
from tests.conftest import fresh_database
from tests.end_to_end import checks, engine, people
from tests.end_to_end.platform import Platform, eventually, platform

QUESTION = "Is this the primary, or is it a metastasis of something else?"
ANSWER = "We think that this is a second primary. The biopsy should be repeated before anybody operates."
KEEP_EVERY = 5
IMAGES = 300 // KEEP_EVERY
LINE = "Thoracic Oncology"
PATIENT, RECORD_NUMBER = "lefevre", "4471902"

pytestmark = [pytest.mark.peer, pytest.mark.timeout(900)]


def whole_path(running: Platform, folder: Path) -> None:
    """From the chart to the acknowledgement."""
    with people.at_desk(running, folder) as desk:
        kept = cookies_of(desk)
        people.ask(desk, "Lef", CT_CHEST.description, LINE, QUESTION)
        people.send(desk, LINE, QUESTION)
        sentences = people.watch_arrival(desk, CT_CHEST.description)
        assert len(sentences) > 1, "the arrival was not visible while it went on"
        assert kept and all("__Host-konsil-app" in each for each in kept)
        assert not [each for each in kept if "control=" in each], "the control cookie came back in the frame"
    with people.at_desk(running, folder) as desk:
        people.reconcile(desk)
    with people.at_desk(running, folder) as desk:
        people.offer(desk, "Dr. Maja Lindqvist")
    with people.at_desk(running, folder) as desk:
        people.start_reading(desk, "lindqvist")
        people.report(desk, ANSWER)
    checks.written_back(running, "epic", PATIENT, ANSWER)
    with people.at_desk(running, folder) as desk:
        people.acknowledge(desk, "nunez", "epic", "Lef", ANSWER)
    checks.forwarded(running, IMAGES, RECORD_NUMBER)
    checks.nothing_doubled(running, IMAGES)
    assert checks.case_in(running, "acknowledged") is not None


def cookies_of(desk: people.Desk) -> list[str]:
    """A list that fills with the cookies that the app's frame sends; a control cookie waits in the browser for it."""
    app = desk.platform.plan.app_url
    desk.context.add_cookies(
        [{"name": "control", "value": "1", "url": app, "secure": True, "httpOnly": True, "sameSite": "None"}]
    )
    sent: list[str] = []

    def note(request: people.Request) -> None:
        if request.url.startswith(f"{app}/l/") and request.resource_type in ("document", "xhr", "fetch"):
            sent.append(request.all_headers().get("cookie", ""))

    desk.page.on("requestfinished", note)
    return sent


def test_embedded(tmp_path: Path) -> None:
    """On SQLite, local files and the filesystem broker, as `make demo` runs."""
    with platform(tmp_path, keep_every=KEEP_EVERY) as running:
        whole_path(running, tmp_path)
        without_a_screen(running, tmp_path)


def without_a_screen(running: Platform, folder: Path) -> None:
    """An interface engine submits over plain HTTP and takes the same path; this time HIM staff reject the study."""
    patient = next(each for each in charts.resources("epic") if each["id"] == PATIENT)
    bundle = engine.submission(patient, FILM.study_instance_uid)
    with closing(running.fhir("konsil")) as fhir:
        answer = fhir.post("", json=bundle, headers={"Content-Type": "application/fhir+json"})
    assert answer.status_code == 200, answer.text
    eventually(lambda: checks.case_in(running, "reconciling"), "the film to wait for HIM staff")
    with people.at_desk(running, folder) as desk:
        people.reconcile(desk, "reject")
    ready = eventually(lambda: checks.case_in(running, "ready-for-triage"), "the case to go on without the film")
    assert ready["id"] == engine.task_id(answer.json(), "fulfill", bundle)
    assert "ImagingStudy" not in str(ready.get("input"))
    checks.forwarded(running, IMAGES, RECORD_NUMBER)


@pytest.mark.full  # what differs is tested on both databases program by program, and by tests/konsil with Redis
def test_postgresql_and_redis(tmp_path: Path, postgresql_cluster: str, redis_url: str) -> None:
    """The same path on PostgreSQL, one database a program, and Redis."""
    with ExitStack() as stack:
        names: tuple[Program, ...] = ("fhir", "app", "dicom")
        fresh = contextmanager(fresh_database)
        databases = {name: stack.enter_context(fresh(postgresql_cluster)) for name in names}
        broker = redis_url.rsplit("/", 1)[0]
        with platform(tmp_path, databases, broker, keep_every=KEEP_EVERY) as running:
            whole_path(running, tmp_path)
