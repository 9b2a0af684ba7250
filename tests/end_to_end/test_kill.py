"""Each program is killed once in the middle of its work; the case is finished all the same, nothing doubled or lost."""

import threading
from pathlib import Path

import pytest

from deploy.sandbox.imaging.studies import CT_CHEST
from tests.end_to_end import checks, people
from tests.end_to_end.platform import Platform, platform
from tests.end_to_end.test_main_path import ANSWER, IMAGES, KEEP_EVERY, LINE, PATIENT, QUESTION, RECORD_NUMBER

pytestmark = [pytest.mark.peer, pytest.mark.timeout(900)]


def kill_soon(running: Platform, name: str, seconds: float) -> threading.Timer:
    """Kill a program while whatever follows goes on."""
    timer = threading.Timer(seconds, running.kill, [name])
    timer.start()
    return timer


def kill_during_retrieval(running: Platform, desk: people.Desk) -> None:
    """Worker and listener die as soon as the first images are here; the gateway's web program too."""
    row = desk.page.frame_locator("iframe[title='Second opinion']").locator(".k-retrieval").first
    for _ in range(600):
        if any(sign in row.inner_text() for sign in ("on its way", "arrived")):
            break
        desk.page.wait_for_timeout(50)
    for name in ("dicom_worker", "dicom_listener", "dicom_gateway"):
        running.kill(name)


def test_every_program_may_die_once(tmp_path: Path) -> None:
    """fhir_server while the request is sent, the gateway while images come and change, the app before write-back."""
    with platform(tmp_path, keep_every=KEEP_EVERY) as running:
        with people.at_desk(running, tmp_path) as desk:
            people.ask(desk, "Lef", CT_CHEST.description, LINE, QUESTION)
            killer = kill_soon(running, "fhir_server", 0.15)
            people.send(desk, LINE, QUESTION)
            killer.join()
            kill_during_retrieval(running, desk)
            people.watch_arrival(desk, CT_CHEST.description)
        with people.at_desk(running, tmp_path) as desk:
            people.reconcile(desk)
            running.kill("dicom_worker")
        with people.at_desk(running, tmp_path) as desk:
            people.offer(desk, "Dr. Maja Lindqvist")
        with people.at_desk(running, tmp_path) as desk:
            people.start_reading(desk, "lindqvist")
            people.report(desk, ANSWER)
            running.kill("app_worker")
            running.kill("smart_app")
        running.wait_for("smart_app")
        checks.written_back(running, "epic", PATIENT, ANSWER)
        running.kill("ehr")
        running.wait_for("ehr")
        with people.at_desk(running, tmp_path) as desk:
            people.acknowledge(desk, "nunez", "epic", "Lef", ANSWER)
        checks.forwarded(running, IMAGES, RECORD_NUMBER)
        checks.nothing_doubled(running, IMAGES)
        checks.written_back(running, "epic", PATIENT, ANSWER)
