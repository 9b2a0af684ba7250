"""Taking in: bytes identical, promises kept through kill -9, duplicates and conflicts told apart."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from blake3 import blake3
from pydicom import dcmread
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, generate_uid
from sqlalchemy import delete, func, select

from dicom_gateway import journal
from dicom_gateway.dimse.store import send_instances
from dicom_gateway.errors import CannotUnderstand, DataSetMismatch, OutOfResources
from dicom_gateway.gateway import Gateway
from dicom_gateway.index.models import instance, patient, study, unindexed, version
from dicom_gateway.index.query import Place, Query, find, locate
from dicom_gateway.ingest import Incoming, Source
from dicom_gateway.part10 import read_meta
from dicom_gateway.peers import by_name
from konsil.database import reader
from tests.dicom_gateway.conftest import MakeGateway, know, listening, opened
from tests.dicom_gateway.objects import TESTFILES, file_of, slice_of, write_study
from tests.peers import ENVIRONMENT, run, storescp, unused_port, wait_for_port

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

# Each transfer syntax that pydicom ships an example of; the smallest file of each.
COMPRESSED = (
    "JPEGLSNearLossless_08.dcm",
    "image_dfl.dcm",
    "SC_rgb_gdcm_KY.dcm",
    "SC_rgb_rle.dcm",
    "SC_rgb_jpeg_gdcm.dcm",
    "SC_rgb_small_odd_jpeg.dcm",
    "SC_rgb_small_odd.dcm",
    "MR_small_jp2klossless.dcm",
    "SC_rgb_small_odd_big_endian.dcm",
    "rtdose_1frame.dcm",
    "JPEG-lossy.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "JPEG2000.dcm",
)


def put(gateway: Gateway, file: bytes, **source: str) -> None:
    gateway.ingest.accept(Incoming.from_file(file, Source(**source)))
    gateway.ingest.replay()


def rows(gateway: Gateway, table: object) -> int:
    with reader(gateway.engine).connect() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()  # type: ignore[arg-type]


def examples(folder: Path) -> tuple[list[Path], set[str]]:
    """One file of each transfer syntax, with UIDs of its own; and the syntaxes."""
    files, syntaxes = [], set()
    for name in COMPRESSED:
        ds = dcmread(TESTFILES / name)
        ds.StudyInstanceUID, ds.SeriesInstanceUID = ds.get("StudyInstanceUID") or generate_uid(), generate_uid()
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        ds.save_as(folder / name)
        files.append(folder / name)
        syntaxes.add(ds.file_meta.TransferSyntaxUID)
    assert len(syntaxes) == 12
    return files, syntaxes


@pytest.mark.peer
@pytest.mark.spec("PS3.4 B.2.2")
def test_every_compression_is_kept_byte_for_byte(make_gateway: MakeGateway, tmp_path: Path) -> None:
    """dcmsend sends the same to storescp, which keeps bits, and to us: both hold the same data sets.

    It sends what is not compressed as explicit little endian.
    """
    gateway = make_gateway(mode="archive")
    know(gateway, name="sender", ae_title="DCMSEND", port=104)
    files, syntaxes = examples(tmp_path)
    send = ["dcmsend", "-v", "-dn", "-aet", "DCMSEND", "-aec", "KONSIL", "127.0.0.1"]
    with listening(gateway) as listener, storescp(tmp_path / "reference") as reference:
        for port in (listener.port, reference.port):
            run([*send, str(port), *map(str, files)])
        gateway.ingest.replay()
        sent = {dcmread(path).SOPInstanceUID: path.read_bytes() for path in reference.files()}
    with reader(gateway.engine).connect() as connection:
        kept = {item.sop_instance_uid: item for item in locate(connection, Place())}
    assert set(kept) == set(sent)
    assert syntaxes - {item.transfer_syntax_uid for item in kept.values()} == {
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
    }
    for uid, item in kept.items():
        data_set = gateway.archive.path(item.object_key).read_bytes()[item.data_set_offset :]
        assert data_set == sent[uid][read_meta(sent[uid]).offset :]


@pytest.mark.spec("PS3.4 B.2.2")
def test_files_go_from_gateway_to_gateway_unchanged_in_their_own_syntax(
    make_gateway: MakeGateway, tmp_path: Path
) -> None:
    sender, receiver = make_gateway("sender", mode="archive"), make_gateway("receiver", mode="archive")
    files, syntaxes = examples(tmp_path)
    for path in files:
        put(sender, path.read_bytes())
    know(receiver, name="sender", ae_title="KONSIL", port=104)
    with listening(receiver) as listener, reader(sender.engine).connect() as connection:
        know(sender, name="receiver", ae_title="KONSIL", port=listener.port)
        sent = send_instances(sender.archive, by_name(connection, "receiver"), locate(connection, Place()))
        receiver.ingest.replay()
    assert all(item.stored for item in sent)
    with reader(receiver.engine).connect() as connection:
        kept = {item.sop_instance_uid: item for item in locate(connection, Place())}
    assert {item.transfer_syntax_uid for item in kept.values()} == syntaxes
    for path in files:
        file = path.read_bytes()
        meta = read_meta(file)
        item = kept[meta.sop_instance_uid]
        assert receiver.archive.path(item.object_key).read_bytes()[item.data_set_offset :] == file[meta.offset :]


@pytest.mark.peer
def test_kill_in_the_middle_of_an_association_loses_nothing_acknowledged(tmp_path: Path) -> None:
    folder, port = tmp_path / "gateway", unused_port()
    _, files = write_study(tmp_path / "study", [250], side=32)
    with opened(folder, mode="archive") as gateway:
        know(gateway, name="sender", ae_title="STORESCU", port=104)
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "KONSIL_DICOM_MODE": "archive",
        "KONSIL_DICOM_DATA_DIR": str(folder),
        "KONSIL_DICOM_DATABASE_URL": f"sqlite:///{folder}/index.db",
        "KONSIL_DICOM_DIMSE_PORT": str(port),
    }
    listener = subprocess.Popen(
        [sys.executable, "-m", "konsil", "dicom", "scp"], env=environment, stderr=subprocess.DEVNULL
    )
    wait_for_port(port, listener)
    success = re.compile(r"Received Store Response \(Success\)")
    command = ["storescu", "-v", "-aec", "KONSIL", "127.0.0.1", str(port), *map(str, files)]
    with (tmp_path / "log").open("w") as log:
        sender = subprocess.Popen(command, stdout=log, stderr=log, env=ENVIRONMENT)
        while len(success.findall((tmp_path / "log").read_text())) < 20:
            assert sender.poll() is None
            time.sleep(0.005)
        listener.send_signal(signal.SIGKILL)
        listener.wait()
        sender.wait(timeout=30)
    acknowledged = len(success.findall((tmp_path / "log").read_text()))
    assert 0 < acknowledged < 250
    with opened(folder, mode="archive") as gateway:
        gateway.ingest.replay()
        kept = rows(gateway, instance)
        assert acknowledged <= kept <= acknowledged + 1
        assert rows(gateway, version) == kept
        assert journal.segments(folder / "journal") == []


def test_the_same_bytes_twice_are_one_instance(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(mode="archive")
    file = file_of(slice_of("1.2.3", "1.2.3.4", 1))
    for _ in range(2):
        put(gateway, file)
    assert (rows(gateway, instance), rows(gateway, version)) == (1, 1)


def test_the_same_uid_with_other_content_is_kept_apart_and_flagged(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(mode="archive")
    first = slice_of("1.2.3", "1.2.3.4", 1)
    put(gateway, file_of(first))
    put(gateway, file_of(slice_of("1.2.3", "1.2.3.4", 2, uid=first.SOPInstanceUID)))
    with reader(gateway.engine).connect() as connection:
        (served,) = locate(connection, Place(study_instance_uid="1.2.3"))
        kinds = sorted(connection.execute(select(version.c.kind)).scalars())
    assert (served.flag, kinds) == ("conflict", ["conflicting", "original"])
    assert gateway.archive.path(served.object_key).read_bytes().endswith(first.PixelData)


def test_one_patient_id_of_two_issuers_is_two_patients(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(mode="archive")
    put(gateway, file_of(slice_of("1.2.3", "1.2.3.4", 1, IssuerOfPatientID="A")))
    put(gateway, file_of(slice_of("1.2.4", "1.2.4.4", 1, IssuerOfPatientID="B")))
    assert rows(gateway, patient) == 2


def test_another_person_under_one_patient_id_is_never_merged(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(mode="archive")
    put(gateway, file_of(slice_of("1.2.3", "1.2.3.4", 1)))
    put(gateway, file_of(slice_of("1.2.4", "1.2.4.4", 1, PatientName="Other^Otto", PatientBirthDate="19300101")))
    with reader(gateway.engine).connect() as connection:
        found = find(connection, Query("STUDY", {"PatientName": "Other*"}))
        marked = connection.execute(select(patient.c.conflict).order_by(patient.c.id)).scalars().all()
    assert [hit["0020000D"]["Value"] for hit in found] == [["1.2.4"]]
    assert marked == [False, True]


def test_a_second_patient_in_a_released_study_stays_hidden(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(mode="archive")
    put(gateway, file_of(slice_of("1.2.3", "1.2.3.4", 1)))
    put(gateway, file_of(slice_of("1.2.3", "1.2.3.4", 2, PatientID="OTHER")))
    with reader(gateway.engine).connect() as connection:
        assert len(locate(connection, Place(study_instance_uid="1.2.3"))) == 1
        (hidden,) = locate(connection, Place(study_instance_uid="1.2.3"), ("quarantined",))
    assert hidden.flag == "other-patient"


@pytest.mark.spec("PS3.4 B.2.3")
def test_what_cannot_be_kept_is_refused(make_gateway: MakeGateway) -> None:
    gateway = make_gateway()
    ds = slice_of("1.2.3", "1.2.3.4", 1)
    file = file_of(ds)
    body = file[read_meta(file).offset :]
    uids = (str(ds.SOPClassUID), str(ds.SOPInstanceUID), "1.2.840.10008.1.2.1")
    accept = gateway.ingest.accept
    with pytest.raises(DataSetMismatch):
        accept(Incoming.from_message((uids[0], "1.9.9", uids[2]), body, Source()))
    with pytest.raises(DataSetMismatch):
        accept(Incoming.from_message(("1.9.9", *uids[1:]), body, Source()))
    with pytest.raises(CannotUnderstand):
        accept(Incoming.from_message(uids, b"\x08\x00nonsense" * 20, Source()))
    with pytest.raises(CannotUnderstand):
        accept(Incoming.from_file(b"not DICOM", Source()))
    assert gateway.ingest.replay() == 0


def test_a_full_disk_is_out_of_resources_and_leaves_nothing(
    make_gateway: MakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = make_gateway(mode="archive")
    put(gateway, file_of(slice_of("1.2.3", "1.2.3.4", 1)))
    segment = journal.segments(gateway.settings.data_dir / "journal")[0]
    size, write = len(segment.read_bytes().rstrip(b"\0")), os.write

    def full(descriptor: int, data: bytes) -> int:
        if len(data) > 4096:
            write(descriptor, bytes(data[:4096]))
            raise OSError(28, "No space left on device")
        return write(descriptor, data)

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(OutOfResources):
            gateway.ingest.accept(Incoming.from_file(file_of(slice_of("1.2.3", "1.2.3.4", 2)), Source()))
    assert len(segment.read_bytes().rstrip(b"\0")) == size
    put(gateway, file_of(slice_of("1.2.3", "1.2.3.4", 3)))
    assert rows(gateway, instance) == 2


def test_a_record_cut_short_by_a_crash_is_set_aside(make_gateway: MakeGateway, tmp_path: Path) -> None:
    gateway = make_gateway("first", mode="archive")
    for number in (1, 2):
        gateway.ingest.accept(Incoming.from_file(file_of(slice_of("1.2.3", "1.2.3.4", number)), Source()))
    gateway.ingest.close()
    (segment,) = journal.segments(tmp_path / "first" / "journal")
    os.truncate(segment, segment.stat().st_size - 100)
    assert gateway.ingest.replay() == 1
    assert segment.with_suffix(".torn").exists()
    assert (rows(gateway, instance), rows(gateway, study)) == (1, 1)


def test_room_that_a_killed_writer_had_reserved_is_no_torn_record(make_gateway: MakeGateway, tmp_path: Path) -> None:
    gateway = make_gateway("first", mode="archive")
    gateway.ingest.accept(Incoming.from_file(file_of(slice_of("1.2.3", "1.2.3.4", 1)), Source()))
    (segment,) = journal.segments(tmp_path / "first" / "journal")
    reserved = segment.stat().st_size
    gateway.ingest.close()
    assert segment.stat().st_size < reserved
    os.truncate(segment, reserved)
    assert gateway.ingest.replay() == 1
    assert list(segment.parent.glob(f"{segment.stem}*")) == []


def test_a_segment_that_ends_while_it_is_read_is_read_to_its_end(
    make_gateway: MakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = make_gateway(mode="archive")
    accept, read_segment = gateway.ingest.accept, journal.read_segment
    accept(Incoming.from_file(file_of(slice_of("1.2.3", "1.2.3.4", 1)), Source()))

    def meanwhile(*arguments: object) -> None:
        read_segment(*arguments)  # type: ignore[arg-type]
        accept(Incoming.from_file(file_of(slice_of("1.2.3", "1.2.3.4", 2)), Source()))
        gateway.ingest.close()

    with monkeypatch.context() as patched:
        patched.setattr(journal, "read_segment", meanwhile)
        assert gateway.ingest.replay() == 1
    assert gateway.ingest.replay() == 1
    assert rows(gateway, instance) == 2
    assert list((gateway.settings.data_dir / "journal").glob("*.torn")) == []


def test_what_does_not_decode_is_kept_for_a_person(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(mode="archive")
    file = file_of(slice_of("1.2.3", "1.2.3.4", 1, ImageComments="x" * 40))
    broken = file.replace(b"\x28\x00\x02\x00US\x02\x00", b"\x28\x00\x02\x00SQ\x02\x00")
    gateway.ingest.accept(Incoming.from_file(broken, Source()))
    gateway.ingest.replay()
    assert rows(gateway, instance) + rows(gateway, unindexed) == 1


def test_a_number_of_a_wrong_length_does_not_hold_up_the_journal(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(mode="archive")
    file = file_of(slice_of("1.2.3", "1.2.3.4", 1))
    odd = file.replace(b"\x28\x00\x10\x00US\x02\x00", b"\x28\x00\x10\x00US\x01\x00", 1)
    assert odd != file
    put(gateway, odd)
    put(gateway, file_of(slice_of("1.2.3", "1.2.3.4", 2)))
    assert rows(gateway, instance) + rows(gateway, unindexed) == 2


def test_a_power_cut_before_the_archive_was_flushed_loses_nothing(tmp_path: Path) -> None:
    """What the index names and the disk lost comes from the journal again; what was deleted meanwhile does not."""
    folder, files = tmp_path / "gateway", [file_of(slice_of("1.2.3", "1.2.3.4", number)) for number in (1, 2, 3)]
    with opened(folder, mode="archive") as gateway:
        for file in files:
            gateway.ingest.accept(Incoming.from_file(file, Source()))
        assert gateway.ingest.replay() == 3
        with reader(gateway.engine).connect() as connection:
            gone, torn, deleted = (item.object_key for item in locate(connection, Place()))
        with gateway.engine.begin() as connection:
            connection.execute(delete(version).where(version.c.object_key == deleted))
        gateway.archive.path(gone).unlink()
        gateway.archive.path(deleted).unlink()
        os.truncate(gateway.archive.path(torn), 0)
    with opened(folder, mode="archive") as gateway:
        assert gateway.ingest.replay() == 0, "indexed already"
        assert sorted(gateway.archive.path(key).read_bytes() for key in (gone, torn)) == sorted(
            file for file in files if blake3(file).hexdigest() != deleted
        )
        assert not gateway.archive.path(deleted).exists()
        assert journal.segments(folder / "journal") == []


def test_a_segment_goes_only_after_its_objects_were_flushed(
    make_gateway: MakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway, flushed = make_gateway(mode="archive"), list[str]()
    gateway.ingest.accept(Incoming.from_file(file_of(slice_of("1.2.3", "1.2.3.4", 1)), Source()))
    (segment,) = journal.segments(gateway.settings.data_dir / "journal")
    fsync = os.fsync

    def fail(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    def note(descriptor: int) -> None:
        flushed.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        assert segment.exists()
        fsync(descriptor)

    assert gateway.ingest.replay() == 1
    gateway.ingest.close()
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output"):
        gateway.ingest.replay()
    monkeypatch.setattr(os, "fsync", note)
    gateway.ingest.replay()
    (kept,) = (gateway.archive.root / "objects").rglob("*.dcm")
    assert {kept.name, kept.parent.name, "objects"} <= set(flushed)
    assert not segment.exists()


def test_segments_are_rotated_and_removed(tmp_path: Path) -> None:
    writer = journal.JournalWriter(tmp_path, segment_bytes=1000)
    for number in range(10):
        writer.append({"number": number}, (bytes(400),))
    assert len(journal.segments(tmp_path)) > 1
    read: list[int] = []
    for path in journal.segments(tmp_path):
        ends = [0]

        def take(records, ends=ends) -> None:  # type: ignore[no-untyped-def]
            for record in records:
                read.append(record.header["number"])
                ends.append(record.end)

        finished = journal.finished(path)
        journal.read_segment(path, 0, take)
        if finished:
            journal.retire(path, ends[-1])
    assert read == list(range(10))
    assert len(journal.segments(tmp_path)) == 1  # the one still being written
    writer.close()
