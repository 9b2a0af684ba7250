"""Outside archives that are down, slow, closed to us, or hold what nobody can read: what people are told.

The peers are real: our own gateway as an archive, Orthanc, and a line between that can be made worse.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack, aclosing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom.filereader import dcmread
from sqlalchemy import select

from dicom_gateway import aside, priors
from dicom_gateway.gateway import Gateway
from dicom_gateway.index.models import set_aside, version
from dicom_gateway.ingest import Incoming, Source
from dicom_gateway.jobs import GatewayRunner
from dicom_gateway.peers import Peer, all_peers
from dicom_gateway.reconcile import Identity
from dicom_gateway.scp import Listener
from konsil.database import reader
from tests.dicom_gateway.conftest import MakeGateway, know, listening
from tests.dicom_gateway.line import line
from tests.dicom_gateway.objects import write_study
from tests.dicom_gateway.test_retrieve import ask, told, work
from tests.peers import orthanc, unused_port

pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore::UserWarning:pydicom")]

ANNA = Identity("Muster^Anna", "19710203", "F", "L-1", "LAKESIDE")
OFFERS = ["find", "get", "move"]


@contextmanager
def archive_with(make_gateway: MakeGateway, files: list[Path]) -> Iterator[tuple[Gateway, Listener]]:
    """Our gateway as an outside archive that holds these files."""
    with ExitStack() as stack:
        archive = make_gateway("pacs", mode="archive", ae_title="PACS")
        for path in files:
            archive.ingest.accept(Incoming.from_file(path.read_bytes(), Source()))
        archive.ingest.replay()
        yield archive, stack.enter_context(listening(archive))


def peers_of(gateway: Gateway) -> list[Peer]:
    with reader(gateway.engine).connect() as connection:
        return all_peers(connection)


def search(gateway: Gateway, seconds: float = 20) -> tuple[dict[str, tuple[str, str, str]], list[str]]:
    """What each peer answers to a search for Anna, and the studies that were found."""
    told = asyncio.run(listened(gateway, seconds))
    answers = {peer.name: (peer.state, peer.cause or "", peer.remedy or "") for peer, _ in told}
    return answers, [study.study_instance_uid for _, studies in told for study in studies]


async def listened(gateway: Gateway, seconds: float, until: str = "") -> list[priors.Told]:
    """What the peers tell, in its order; heard to the end, or until one of them has answered."""
    wanted, told = priors.Search(ANNA, seconds, datetime(2026, 11, 23, 12, tzinfo=UTC)), []
    async with aclosing(priors.search(peers_of(gateway), wanted)) as answers:
        async for each in answers:
            told.append(each)
            if until and each[0].name == until and each[0].state != "asked":
                break
    return told


def test_a_search_names_who_did_not_answer_and_shows_what_the_others_hold(
    make_gateway: MakeGateway, tmp_path: Path
) -> None:
    gateway = make_gateway()
    study, files = write_study(tmp_path / "study", [2])
    with archive_with(make_gateway, files) as (archive, theirs), line(theirs.port, delay_seconds=5) as slow:
        know(archive, name="konsil", ae_title="KONSIL", port=unused_port(), can=["store"])
        know(gateway, name="good", title="St. Anna", ae_title="PACS", port=theirs.port, can=OFFERS)
        know(gateway, name="slow", title="St. Berta", ae_title="PACS", port=slow.port, can=OFFERS)
        know(gateway, name="down", title="St. Clara", ae_title="PACS", port=unused_port(), can=OFFERS)
        know(gateway, name="wrong", title="St. Dora", ae_title="OTHER", port=theirs.port, can=OFFERS)
        night = {"hours": ["18:00-06:00"], "ae_title": "PACS", "port": theirs.port, "can": OFFERS}
        know(gateway, name="night", title="St. Emma", **night)
        begun = time.monotonic()
        heard = asyncio.run(listened(gateway, 4, until="good"))
        assert time.monotonic() - begun < 3, "the slow one holds nobody up, and stopping does not wait for it"
        answers, studies = search(gateway, seconds=4)
    states = [(peer.name, peer.state) for peer, _ in heard]
    assert set(states[:5]) == {(name, "asked") for name in ("good", "slow", "down", "wrong", "night")}
    assert states[-1] == ("good", "ok") and ("slow", "failed") not in states
    assert answers["night"][:2] == ("closed", "St. Emma is asked at other hours: 18:00-06:00.")
    assert study in studies
    assert answers["good"] == ("ok", "", "")
    assert answers["slow"][0] == "failed" and "St. Berta" in answers["slow"][1]
    assert answers["down"][1] == "St. Clara does not answer."
    assert answers["wrong"][1] == "St. Dora refuses connections from KONSIL."
    for name in ("slow", "down"):
        assert "without these images: they can be fetched later" in answers[name][2]
    assert "tell the coordinator" in answers["wrong"][2]


def test_a_patient_without_imaging_is_a_plain_answer(make_gateway: MakeGateway, tmp_path: Path) -> None:
    gateway = make_gateway()
    with archive_with(make_gateway, []) as (archive, theirs):
        know(archive, name="konsil", ae_title="KONSIL", port=unused_port(), can=["store"])
        know(gateway, name="good", title="St. Anna", ae_title="PACS", port=theirs.port, can=OFFERS)
        assert search(gateway) == ({"good": ("ok", "", "")}, [])


@pytest.mark.parametrize(
    ("ours", "theirs_title"), [("STRANGER", "PACS"), ("KONSIL", "NOBODY")], ids=["calling unknown", "called wrong"]
)
def test_an_archive_that_refuses_the_association(
    make_gateway: MakeGateway, tmp_path: Path, ours: str, theirs_title: str
) -> None:
    gateway = make_gateway()
    study, files = write_study(tmp_path / "study", [2])
    with archive_with(make_gateway, files) as (archive, theirs):
        know(archive, name="konsil", ae_title="KONSIL", port=unused_port(), can=["store"])
        peer = {"ae_title": theirs_title, "our_ae_title": ours, "port": theirs.port}
        know(gateway, name="outside", title="St. Anna", can=OFFERS, **peer)
        ask(gateway, study)
        done = work(gateway)
        assert (done.state, done.cause_code) == ("failed", "association-rejected")
        assert done.cause == f"St. Anna refuses connections from {ours}."
        assert done.remedy and f"register the AE title {ours}" in done.remedy
        know(
            gateway,
            name="outside",
            title="St. Anna",
            can=OFFERS,
            **peer | {"ae_title": "PACS", "our_ae_title": "KONSIL"},
        )
        ask(gateway, study)
        assert work(gateway).completeness == "A", "once it is mended the same request succeeds"


def test_a_line_that_drops_in_the_middle_is_taken_up_again(make_gateway: MakeGateway, tmp_path: Path) -> None:
    gateway = make_gateway(retrieval_backoff_seconds=0.2)
    study, files = write_study(tmp_path / "study", [30], side=128)
    with archive_with(make_gateway, files) as (archive, theirs), line(theirs.port, cuts=(10**6, 200_000)) as bad:
        know(archive, name="konsil", ae_title="KONSIL", port=unused_port(), can=["store"])
        know(gateway, name="outside", title="St. Anna", ae_title="PACS", port=bad.port, can=["find", "get"])
        ask(gateway, study)
        done = work(gateway, seconds=60)
    assert not bad.cuts, "the line was cut"
    assert (done.state, done.completeness, done.received, done.cause) == ("completed", "A", 30, None)


def test_an_archive_that_falls_silent_ends_with_a_sentence(make_gateway: MakeGateway, tmp_path: Path) -> None:
    gateway = make_gateway(retrieval_attempts=1, move_watchdog_seconds=0.6)
    study, files = write_study(tmp_path / "study", [3])
    with archive_with(make_gateway, files) as (archive, theirs), line(theirs.port) as slow:
        know(archive, name="konsil", ae_title="KONSIL", port=unused_port(), can=["store"])
        know(gateway, name="outside", title="St. Anna", ae_title="PACS", port=slow.port, can=["find", "get"])
        ask(gateway, study)
        runner = GatewayRunner(gateway)
        while told(gateway).state in {"requested", "listing"}:
            runner.run_due(1)
        slow.delay_seconds = 5
        done = work(gateway, seconds=40)
    assert (done.state, done.cause_code) == ("failed", "no-answer")
    assert done.cause == "St. Anna accepted the request and then stayed silent."


def test_a_study_that_vanishes_between_search_and_retrieval(make_gateway: MakeGateway, tmp_path: Path) -> None:
    gateway = make_gateway()
    study, files = write_study(tmp_path / "study", [2])
    with listening(gateway) as listener, orthanc(tmp_path / "pacs", "KONSIL", listener.port) as pacs:
        pacs.store(files)
        know(gateway, name="outside", title="St. Anna", ae_title="ORTHANC", port=pacs.port, can=["find", "get"])
        assert search(gateway)[1] == [study]
        for uid in pacs.instances():
            pacs.delete_instance(uid)
        ask(gateway, study)
        done = work(gateway)
    assert (done.state, done.cause_code, done.received) == ("failed", "study-not-found", 0)
    assert done.cause == "St. Anna does not know this study any more."
    assert done.remedy and done.remedy.startswith("Search the prior imaging again")


BROKEN = {
    "no bytes of a data set": lambda data: data[:400] + b"\xff" * 600,
    "another transfer syntax": lambda data: data.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.2\0"),
    "without its study": lambda data: data.replace(b"\x20\x00\x0d\x00UI", b"\x21\x00\x0d\x00UI"),
}


@pytest.mark.parametrize("way", ["get", "move"])
@pytest.mark.parametrize("damage", [*BROKEN])
def test_what_cannot_be_read_is_kept_aside_and_the_rest_is_taken(
    make_gateway: MakeGateway, tmp_path: Path, way: str, damage: str
) -> None:
    gateway = make_gateway(settle_seconds=0.3)
    study, files = write_study(tmp_path / "study", [5])
    with archive_with(make_gateway, files) as (archive, theirs), listening(gateway) as ours:
        broken = spoil(archive, damage)
        know(archive, name="konsil", ae_title="KONSIL", port=ours.port, can=["store"])
        know(gateway, name="outside", title="St. Anna", ae_title="PACS", port=theirs.port, can=["find", way])
        ask(gateway, study)
        done = work(gateway, seconds=60)
    assert (done.state, done.completeness, done.received, done.failed) == ("completed", "D", 4, 1)
    if (damage, way) == ("another transfer syntax", "move"):
        assert done.aside == 0 and done.cause_code == "instances-failed", "the archive noticed, and sent nothing"
        return
    assert done.aside == 1 and done.cause_code == "unreadable"
    assert done.cause == "St. Anna sent files that cannot be read; they are kept aside, the other images are here."
    with reader(gateway.engine).connect() as connection:
        assert aside.total(connection) == 1
        (key,) = connection.execute(select(set_aside.c.object_key)).scalars()
    with gateway.archive.open(key) as stream:
        assert broken[-200:] in stream.read(), "the bytes are there for whoever looks into it"


def spoil(archive: Gateway, damage: str) -> bytes:
    """Break one object on the archive's disk; its index still has it."""
    with reader(archive.engine).connect() as connection:
        key = connection.execute(select(version.c.object_key).order_by(version.c.id).offset(2)).scalars().first()
    path = archive.archive.path(str(key))
    whole = path.read_bytes()
    assert dcmread(path).StudyInstanceUID
    spoiled = BROKEN[damage](whole)
    assert spoiled != whole
    path.chmod(0o600)
    path.write_bytes(spoiled)
    return spoiled
