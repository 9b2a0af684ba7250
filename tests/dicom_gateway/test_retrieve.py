"""Retrieval from Orthanc: complete, half, refused, down, cancelled, killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from dicom_gateway import hours, retrieve
from dicom_gateway.gateway import Gateway
from dicom_gateway.index.models import instance, outbox, retrieval, version
from dicom_gateway.ingest import Incoming, Source
from dicom_gateway.jobs import GatewayRunner
from dicom_gateway.retrieval import fetch
from dicom_gateway.retrieve import Progress
from konsil.database import reader
from tests.dicom_gateway.conftest import MakeGateway, know, listening
from tests.dicom_gateway.objects import write_study
from tests.peers import Orthanc, orthanc, unused_port

pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore::UserWarning:pydicom")]

FORGETS = {"MaximumStorageCacheSize": 0}
SENDS_ANYONE = {"DicomAlwaysAllowFind": True, "DicomAlwaysAllowGet": True, "DicomAlwaysAllowMove": True}


def ask(gateway: Gateway, study: str, peer: str = "outside", task: str = "task-1", priority: str = "routine") -> None:
    with gateway.engine.begin() as connection:
        retrieve.request(connection, task, peer, study, priority=priority)


def work(gateway: Gateway, task: str = "task-1", seconds: float = 30) -> Progress:
    """Run what is due until the retrieval has ended."""
    runner, end = GatewayRunner(gateway), time.monotonic() + seconds
    while time.monotonic() < end:
        runner.run_due()
        done = told(gateway, task)
        if done.state in {"completed", "failed", "cancelled"}:
            return done
        time.sleep(0.05)
    raise AssertionError(f"the retrieval has not ended: {told(gateway, task)}")


def told(gateway: Gateway, task: str = "task-1") -> Progress:
    with reader(gateway.engine).connect() as connection:
        return retrieve.progress(connection, task)


def states(gateway: Gateway) -> list[tuple[str, str | None]]:
    with reader(gateway.engine).connect() as connection:
        return [(row.state, row.retrieval) for row in connection.execute(select(instance))]


def lose_one(pacs: Orthanc, files: Sequence[Path]) -> None:
    """Let Orthanc lose the file of one instance on its disk; its index still has it."""
    lost = files[len(files) // 2].read_bytes()[-2000:]
    storage = Path(str(pacs.process.args[1])).parent / "storage"  # type: ignore[index]
    (found,) = (path for path in storage.rglob("*-*") if path.is_file() and path.read_bytes().endswith(lost))
    found.unlink()


@pytest.mark.parametrize("way", ["get", "move"])
def test_a_whole_study_is_proven_complete(make_gateway: MakeGateway, tmp_path: Path, way: str) -> None:
    gateway = make_gateway()
    study, files = write_study(tmp_path / "study", [6, 4])
    with listening(gateway) as listener, orthanc(tmp_path / "pacs", "KONSIL", listener.port) as pacs:
        pacs.store(files)
        know(gateway, name="outside", ae_title="ORTHANC", port=pacs.port, can=["find", way])
        ask(gateway, study)
        done = work(gateway)
    assert (done.state, done.completeness, done.cause) == ("completed", "A", None)
    assert (done.expected, done.received, done.failed) == (10, 10, 0)
    assert set(states(gateway)) == {("quarantined", "task-1")}


@pytest.mark.parametrize("way", ["get", "move"])
def test_half_a_study_names_what_is_missing(make_gateway: MakeGateway, tmp_path: Path, way: str) -> None:
    gateway = make_gateway(settle_seconds=0.3)
    study, files = write_study(tmp_path / "study", [9])
    with (
        listening(gateway) as listener,
        orthanc(tmp_path / "pacs", "KONSIL", listener.port, options=FORGETS) as pacs,
    ):
        pacs.store(files)
        lose_one(pacs, files)
        know(gateway, name="outside", title="St. Anna", ae_title="ORTHANC", port=pacs.port, can=["find", way])
        ask(gateway, study)
        done = work(gateway)
    assert (done.state, done.completeness, done.cause_code) == ("completed", "D", "instances-failed")
    assert (done.expected, done.received, done.failed) == (9, 8, 1)
    assert done.cause == "St. Anna did not send some of the images."
    assert done.remedy


def test_a_list_of_round_length_is_not_proof(make_gateway: MakeGateway, tmp_path: Path) -> None:
    gateway = make_gateway()
    study, files = write_study(tmp_path / "study", [100], side=8)
    with listening(gateway) as listener, orthanc(tmp_path / "pacs", "KONSIL", listener.port) as pacs:
        pacs.store(files)
        know(gateway, name="outside", ae_title="ORTHANC", port=pacs.port, can=["find", "get"])
        ask(gateway, study)
        done = work(gateway)
    assert (done.state, done.completeness, done.received) == ("completed", "B", 100)


def test_an_unknown_study(make_gateway: MakeGateway, tmp_path: Path) -> None:
    gateway = make_gateway()
    with listening(gateway) as listener, orthanc(tmp_path / "pacs", "KONSIL", listener.port) as pacs:
        know(gateway, name="outside", ae_title="ORTHANC", port=pacs.port, can=["find", "get"])
        ask(gateway, "1.2.3.4")
        done = work(gateway)
    assert (done.state, done.cause_code, done.received) == ("failed", "study-not-found", 0)


def test_a_peer_that_does_not_know_us_as_destination(make_gateway: MakeGateway, tmp_path: Path) -> None:
    gateway = make_gateway()
    study, files = write_study(tmp_path / "study", [2])
    with listening(gateway), orthanc(tmp_path / "pacs", our_port=None, options=SENDS_ANYONE) as pacs:
        pacs.store(files)
        know(gateway, name="outside", ae_title="ORTHANC", port=pacs.port, can=["find", "move"])
        ask(gateway, study)
        done = work(gateway)
    assert (done.state, done.cause_code, done.failed) == ("failed", "unknown-destination", 2)
    assert done.remedy is not None and "register KONSIL as a move destination" in done.remedy


def test_a_peer_that_sends_under_a_title_we_do_not_know(make_gateway: MakeGateway, tmp_path: Path) -> None:
    gateway = make_gateway()
    study, files = write_study(tmp_path / "study", [2])
    with (
        listening(gateway) as listener,
        orthanc(tmp_path / "pacs", "KONSIL", listener.port, ae_title="REALNAME") as pacs,
    ):
        pacs.store(files)
        know(gateway, name="outside", ae_title="ALIAS", port=pacs.port, can=["find", "move"])
        ask(gateway, study)
        assert work(gateway).cause_code == "we-rejected"
        know(gateway, name="outside", ae_title="ALIAS", calling_ae_titles=["REALNAME"], port=pacs.port,
             can=["find", "move"])  # fmt: skip
        ask(gateway, study)
        assert work(gateway).completeness == "A"


def test_a_peer_that_is_down_is_asked_again_and_then_given_up(make_gateway: MakeGateway, tmp_path: Path) -> None:
    gateway = make_gateway(retrieval_attempts=3, retrieval_backoff_seconds=0.2)
    port = unused_port()
    know(gateway, name="outside", title="St. Anna", ae_title="ORTHANC", port=port, can=["find", "get"])
    study, files = write_study(tmp_path / "study", [2])
    ask(gateway, study)
    GatewayRunner(gateway).run_due()
    waiting = told(gateway)
    assert (waiting.state, waiting.cause_code) == ("waiting", "peer-down")
    assert waiting.cause == "St. Anna does not answer." and f"127.0.0.1:{port}" in str(waiting.remedy)
    assert work(gateway).state == "failed"
    with orthanc(tmp_path / "pacs", "KONSIL", 1, port=port) as pacs:
        pacs.store(files)
        ask(gateway, study)
        done = work(gateway)
    assert (done.state, done.completeness, done.cause) == ("completed", "A", None)


def test_a_peer_is_asked_at_its_hours_alone(make_gateway: MakeGateway) -> None:
    """Nothing is sent to it before; then it is asked, and found to be down."""
    gateway = make_gateway(retrieval_attempts=1)
    other = hours.DAYS[(datetime.now(UTC).weekday() + 3) % 7]
    entry = {"name": "outside", "title": "St. Anna", "ae_title": "X", "port": unused_port(), "can": ["find", "get"]}
    know(gateway, **entry, hours=[f"{other} 00:00-24:00"])
    ask(gateway, "1.2.3")
    runner = GatewayRunner(gateway)
    runner.run_due()
    assert (told(gateway).state, told(gateway).cause) == ("waiting", "St. Anna is asked at other hours.")
    know(gateway, **entry)
    with gateway.engine.begin() as connection:
        connection.execute(update(outbox).values(next_attempt_at=0))
    assert work(gateway).cause_code == "peer-down"


def test_the_more_urgent_goes_first(make_gateway: MakeGateway) -> None:
    """The routine study waits while something happens to the urgent one, and no longer than that."""
    gateway = make_gateway(retrieval_attempts=1)
    know(gateway, name="outside", ae_title="X", port=unused_port(), can=["find", "get"])
    ask(gateway, "1.2.3")
    ask(gateway, "1.2.4", task="urgent", priority="urgent")
    runner = GatewayRunner(gateway)
    runner.run_due()
    assert (told(gateway, "urgent").state, told(gateway).state) == ("failed", "requested")
    with gateway.engine.begin() as connection:
        silent = {"state": "fetching", "updated_at": time.time() - 2 * retrieve.LIFE_SECONDS}
        connection.execute(update(retrieval).where(retrieval.c.task_id == "urgent").values(silent))
        connection.execute(update(outbox).values(next_attempt_at=0))
    runner.run_due()
    assert told(gateway).state == "failed"


@pytest.mark.parametrize("way", ["get", pytest.param("move", marks=pytest.mark.full)])
def test_a_peer_is_fetched_from_no_faster_than_it_may(make_gateway: MakeGateway, tmp_path: Path, way: str) -> None:
    gateway = make_gateway()
    study, files = write_study(tmp_path / "study", [12], side=100)
    kilobytes = sum(path.stat().st_size for path in files) / 1000
    with listening(gateway) as listener, orthanc(tmp_path / "pacs", "KONSIL", listener.port) as pacs:
        pacs.store(files)
        entry = {"name": "outside", "ae_title": "ORTHANC", "port": pacs.port, "can": ["find", way]}
        know(gateway, **entry, kilobytes_per_second=int(kilobytes / 4))
        begun = time.monotonic()
        ask(gateway, study)
        done = work(gateway)
    assert (done.state, done.completeness, done.received) == ("completed", "A", 12)
    assert time.monotonic() - begun > 3.5


def test_cancelled(make_gateway: MakeGateway, tmp_path: Path) -> None:
    gateway = make_gateway()
    know(gateway, name="outside", ae_title="ORTHANC", port=unused_port(), can=["find", "get"])
    ask(gateway, "1.2.3")
    with gateway.engine.begin() as connection:
        retrieve.cancel(connection, "task-1")
    assert work(gateway).state == "cancelled"


@pytest.mark.parametrize("way", ["get", "move"])
def test_cancelled_in_the_middle(
    make_gateway: MakeGateway, tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "TICK_SECONDS", 0.05)
    gateway, pacs = make_gateway(), make_gateway("pacs", mode="archive", ae_title="PACS")
    study, files = write_study(tmp_path / "study", [500], side=100)
    for path in files:
        pacs.ingest.accept(Incoming.from_file(path.read_bytes(), Source()))
    pacs.ingest.replay()

    def cancel() -> None:
        while told(gateway).received < 3:
            time.sleep(0.02)
        with gateway.engine.begin() as connection:
            retrieve.cancel(connection, "task-1")

    with listening(gateway) as ours, listening(pacs) as theirs:
        know(pacs, name="konsil", ae_title="KONSIL", port=ours.port)
        know(gateway, name="outside", ae_title="PACS", port=theirs.port, can=["find", way])
        ask(gateway, study)
        canceller = threading.Thread(target=cancel)
        canceller.start()
        done = work(gateway, seconds=60)
        canceller.join()
    assert (done.state, done.cause_code) == ("cancelled", "cancelled")
    assert 3 <= done.received < 500


def test_an_unregistered_peer(make_gateway: MakeGateway) -> None:
    gateway = make_gateway()
    ask(gateway, "1.2.3", peer="nobody")
    assert work(gateway).cause_code == "unknown-peer"


WORKER = """
import sys, time
from pathlib import Path
from dicom_gateway.ingest import Incoming, Source
from dicom_gateway.jobs import GatewayRunner
from tests.dicom_gateway.conftest import opened
with opened(Path(sys.argv[1])) as gateway:
    runner = GatewayRunner(gateway)
    while True:
        runner.run_due()
        time.sleep(0.05)
"""


def test_killed_in_the_middle_it_goes_on_and_doubles_nothing(make_gateway: MakeGateway, tmp_path: Path) -> None:
    gateway = make_gateway()
    study, files = write_study(tmp_path / "study", [40, 40], side=128)
    root = Path(__file__).parents[2]
    with listening(gateway) as listener, orthanc(tmp_path / "pacs", "KONSIL", listener.port) as pacs:
        pacs.store(files)
        know(gateway, name="outside", ae_title="ORTHANC", port=pacs.port, can=["find", "get"])
        ask(gateway, study)
        environment = {**os.environ, "PYTHONPATH": str(root)}
        worker = subprocess.Popen([sys.executable, "-c", WORKER, str(tmp_path / "gateway")], env=environment)
        while len(states(gateway)) < 5:
            assert worker.poll() is None
            gateway.ingest.replay()
            time.sleep(0.02)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        assert told(gateway).state != "completed"
        with gateway.engine.begin() as connection:  # as if the dead worker's lease had run out
            connection.execute(update(outbox).values(leased_until=0))
        done = work(gateway, seconds=60)
    assert (done.state, done.completeness, done.received) == ("completed", "A", 80)
    with reader(gateway.engine).connect() as connection:
        assert connection.execute(select(func.count()).select_from(version)).scalar() == 80
