"""The listener against DCMTK: who gets in, what is kept, what is found and sent."""

from pathlib import Path

import pytest
from pydicom import dcmread

from dicom_gateway.index.query import Place, Query, find, locate
from konsil.database import reader
from tests.dicom_gateway.conftest import MakeGateway, know, listening
from tests.dicom_gateway.objects import write_study
from tests.peers import run, storescp, storescu, unused_port

pytestmark = pytest.mark.peer


@pytest.mark.spec("PS3.4 A.4")
def test_echo_from_a_known_peer_only(make_gateway: MakeGateway) -> None:
    gateway = make_gateway()
    know(gateway, name="sender", ae_title="KNOWN", port=104)
    with listening(gateway) as listener:
        echo = ["echoscu", "-v", "127.0.0.1", str(listener.port)]
        assert run([*echo, "-aet", "KNOWN", "-aec", "KONSIL"]).returncode == 0
        stranger = run([*echo, "-aet", "STRANGER", "-aec", "KONSIL"], check=False)
        assert "Calling AE Title Not Recognized" in stranger.stderr + stranger.stdout
        wrong = run([*echo, "-aet", "KNOWN", "-aec", "OTHER"], check=False)
        assert "Called AE Title Not Recognized" in wrong.stderr + wrong.stdout


def test_a_known_title_from_another_address_is_refused(make_gateway: MakeGateway) -> None:
    gateway = make_gateway()
    know(gateway, name="sender", ae_title="KNOWN", port=104, addresses=["192.0.2.7"])
    with listening(gateway) as listener:
        command = ["echoscu", "-v", "-aet", "KNOWN", "-aec", "KONSIL", "127.0.0.1", str(listener.port)]
        assert run(command, check=False).returncode != 0


def test_gateway_mode_quarantines_and_answers_no_query(make_gateway: MakeGateway, tmp_path: Path) -> None:
    gateway = make_gateway()
    know(gateway, name="sender", ae_title="STORESCU", port=104)
    study, files = write_study(tmp_path / "study", [3])
    with listening(gateway) as listener:
        storescu(listener.port, "KONSIL", files)
        query = ["findscu", "-v", "-S", "-aet", "STORESCU", "-aec", "KONSIL", "127.0.0.1", str(listener.port)]
        refused = run([*query, "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID"], check=False)
        assert "No presentation context" in refused.stderr + refused.stdout or refused.returncode != 0
    gateway.ingest.replay()
    with reader(gateway.engine).connect() as connection:
        assert find(connection, Query("STUDY")) == []
        kept = locate(connection, Place(study_instance_uid=study), ("quarantined",))
    assert len(kept) == 3
    assert {item.retrieval for item in kept} == {None}


@pytest.fixture
def filled(make_gateway: MakeGateway, tmp_path: Path):  # type: ignore[no-untyped-def]
    gateway = make_gateway("pacs", mode="archive", ae_title="PACS")
    know(gateway, name="sender", ae_title="STORESCU", port=104)
    study, files = write_study(tmp_path / "study", [3, 2])
    _, others = write_study(tmp_path / "other", [1], PatientName="Müller^Jörg", PatientID="2", StudyDate="20200101",
                            SpecificCharacterSet="ISO_IR 100")  # fmt: skip
    with listening(gateway) as listener:
        storescu(listener.port, "PACS", [*files, *others])
        gateway.ingest.replay()
        yield gateway, listener, study, files


def ask(port: int, *keys: str, model: str = "-S", folder: Path) -> list[Path]:
    """Query with findscu; the answers as files."""
    folder.mkdir(exist_ok=True)
    options = [part for key in keys for part in ("-k", key)]
    command = ["findscu", model, "-X", "-od", str(folder), "-aet", "STORESCU", "-aec", "PACS", *options]
    run([*command, "127.0.0.1", str(port)])
    return sorted(folder.iterdir())


@pytest.mark.spec("PS3.4 C.2.2.2")
@pytest.mark.parametrize(
    ("key", "hits"),
    [
        ("PatientName=muster*", 1),
        ("PatientName=MUSTER^ANNA", 1),
        ("PatientName=Must?r^*", 1),
        ("PatientName=X*", 0),
        ("PatientID=X-*", 1),
        ("PatientID=x-*", 0),
        ("StudyDate=20240101-", 1),
        ("StudyDate=-20240101", 1),
        ("StudyDate=20200101-20240517", 2),
        ("StudyDate=20240517", 1),
        ("ModalitiesInStudy=CT", 2),
        ("ModalitiesInStudy=MR", 0),
        ("StudyInstanceUID=1.2.3\\1.2.4", 0),
        ("StudyDescription=CT*", 2),
    ],
)
def test_find_matches(filled, tmp_path: Path, key: str, hits: int) -> None:  # type: ignore[no-untyped-def]
    _, listener, _, _ = filled
    keys = ["QueryRetrieveLevel=STUDY", key, "NumberOfStudyRelatedInstances"]
    assert len(ask(listener.port, *keys, folder=tmp_path / "answers")) == hits


@pytest.mark.spec("PS3.4 C.6")
def test_find_at_every_level_with_counts_and_character_sets(filled, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    _, listener, study, files = filled
    patients = ask(listener.port, "QueryRetrieveLevel=PATIENT", "PatientID", "PatientName", model="-P",
                   folder=tmp_path / "patients")  # fmt: skip
    names = {str(dcmread(path).PatientName) for path in patients}
    assert names == {"Muster^Anna", "Müller^Jörg"}
    counts = ("ModalitiesInStudy", "NumberOfStudyRelatedInstances", "NumberOfStudyRelatedSeries")
    wanted = ("QueryRetrieveLevel=STUDY", f"StudyInstanceUID={study}", *counts)
    (found,) = ask(listener.port, *wanted, folder=tmp_path / "studies")
    ds = dcmread(found)
    assert (ds.NumberOfStudyRelatedInstances, ds.NumberOfStudyRelatedSeries, ds.ModalitiesInStudy) == (5, 2, "CT")
    assert ds.RetrieveAETitle == "PACS"
    series = ask(listener.port, "QueryRetrieveLevel=SERIES", f"StudyInstanceUID={study}", "SeriesInstanceUID",
                 "NumberOfSeriesRelatedInstances", folder=tmp_path / "series")  # fmt: skip
    assert sorted(dcmread(path).NumberOfSeriesRelatedInstances for path in series) == [2, 3]
    images = ask(listener.port, "QueryRetrieveLevel=IMAGE", f"StudyInstanceUID={study}", "SOPInstanceUID",
                 folder=tmp_path / "images")  # fmt: skip
    assert {dcmread(path).SOPInstanceUID for path in images} == {dcmread(path).SOPInstanceUID for path in files}


@pytest.mark.spec("PS3.4 C.4.3")
def test_get(filled, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    _, listener, study, files = filled
    folder = tmp_path / "got"
    folder.mkdir()
    command = ["getscu", "-S", "-B", "-od", str(folder), "-aet", "STORESCU", "-aec", "PACS"]
    run(
        [*command, "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}", "127.0.0.1", str(listener.port)]
    )
    assert len(list(folder.iterdir())) == len(files)


@pytest.mark.spec("PS3.4 C.4.2")
def test_move_to_the_caller_itself_but_nowhere_else(filled, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    gateway, listener, study, files = filled
    move = ["movescu", "-v", "-S", "-aet", "STORESCU", "-aec", "PACS", "-k", "QueryRetrieveLevel=STUDY"]
    what = ["-k", f"StudyInstanceUID={study}", "127.0.0.1", str(listener.port)]
    with storescp(tmp_path / "destination", "STORESCU") as destination:
        know(gateway, name="sender", ae_title="STORESCU", port=destination.port)
        know(gateway, name="elsewhere", ae_title="OTHER", host="192.0.2.1", port=unused_port())
        run([*move, "-aem", "STORESCU", *what])
        assert len(destination.files()) == len(files)
        refused = run([*move, "-aem", "OTHER", *what], check=False)
        assert "MoveDestinationUnknown" in refused.stderr + refused.stdout
