"""Receivers that take uncompressed objects alone get compressed ones decoded, sample for sample."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom.dataset import FileDataset
from pydicom.filereader import dcmread
from pydicom.pixels.utils import pixel_array
from pydicom.uid import generate_uid

from dicom_gateway.dimse.accepted import IMPLICIT, instead
from dicom_gateway.gateway import Gateway
from dicom_gateway.import_files import import_medium
from dicom_gateway.transcode import EXPLICIT
from tests.dicom_gateway.conftest import MakeGateway, know, listening
from tests.dicom_gateway.web.data import part10, stock
from tests.peers import run, storescp

pytestmark = pytest.mark.peer
COMPRESSED = ("JPEG-LL.dcm", "MR_small_RLE.dcm", "examples_jpeg2k.dcm", "SC_rgb_jpeg_dcmtk.dcm")
UNCOMPRESSED = ("CT_small.dcm",)
RLE = "1.2.840.10008.1.2.5"
IMPLICIT_ONLY, UNCOMPRESSED_ONLY = "+xi", "+x="


@dataclass
class Kept:
    """An archive with one study of objects in five syntaxes, by SOP Instance UID."""

    gateway: Gateway
    port: int
    study: str
    objects: dict[str, FileDataset]

    def ask(self, command: list[str]) -> None:
        """Have DCMTK's movescu or getscu retrieve the study."""
        keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={self.study}"]
        run([*command, "-S", "-aet", "STORESCU", "-aec", "PACS", *keys, "127.0.0.1", str(self.port)])

    def received(self, files: list[Path], syntaxes: set[str]) -> None:
        """Everything has come, in one of these syntaxes, with the samples and attributes that it has here."""
        assert len(files) == len(self.objects)
        for path in files:
            got = dcmread(path)
            assert str(got.file_meta.TransferSyntaxUID) in syntaxes
            kept = self.objects[str(got.SOPInstanceUID)]
            assert (pixel_array(got, raw=True) == pixel_array(kept, raw=True)).all()
            for keyword in ("PatientName", "StudyDate", "LossyImageCompression", "LossyImageCompressionMethod"):
                assert got.get(keyword) == kept.get(keyword)
        left = list((self.gateway.archive.root / "outgoing").iterdir())
        assert left == [], "copies are gone once they were sent"


@pytest.fixture
def kept(make_gateway: MakeGateway, tmp_path: Path) -> Iterator[Kept]:
    gateway = make_gateway("pacs", mode="archive", ae_title="PACS")
    know(gateway, name="sender", ae_title="STORESCU", port=104)
    study, objects, medium = str(generate_uid()), {}, tmp_path / "medium"
    medium.mkdir()
    for name in (*COMPRESSED, *UNCOMPRESSED):
        ds = dcmread(io.BytesIO(stock(name)))
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = study, generate_uid(), generate_uid()
        ds.PatientID, ds.PatientName, ds.PatientBirthDate, ds.PatientSex = "X-1", "Muster^Anna", "19700101", "F"
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        (medium / name).write_bytes(part10(ds))
        objects[str(ds.SOPInstanceUID)] = dcmread(medium / name)
    assert import_medium(gateway.ingest, medium).kept == len(objects)
    gateway.ingest.replay()
    with listening(gateway) as listener:
        yield Kept(gateway, listener.port, study, objects)


@pytest.mark.spec("PS3.4 C.4.2.3.1")
@pytest.mark.parametrize(
    ("takes", "syntaxes"), [(UNCOMPRESSED_ONLY, {EXPLICIT, IMPLICIT}), (IMPLICIT_ONLY, {IMPLICIT})]
)
def test_a_move_to_who_takes_no_compressed_object(kept: Kept, tmp_path: Path, takes: str, syntaxes: set[str]) -> None:
    with storescp(tmp_path / "desk", "STORESCU", options=[takes]) as desk:
        know(kept.gateway, name="sender", ae_title="STORESCU", port=desk.port)
        kept.ask(["movescu", "-aem", "STORESCU"])
        kept.received(desk.files(), syntaxes)


@pytest.mark.spec("PS3.4 C.4.3.3.1")
def test_a_get_by_who_offers_no_syntax_that_is_stored(kept: Kept, tmp_path: Path) -> None:
    folder = tmp_path / "got"
    folder.mkdir()
    kept.ask(["getscu", "-B", "-od", str(folder), "-xe"])
    kept.received(sorted(folder.iterdir()), {EXPLICIT})


def test_which_syntax_instead() -> None:
    assert instead(RLE, {IMPLICIT, EXPLICIT}) == EXPLICIT
    assert instead(RLE, {IMPLICIT, RLE}) == IMPLICIT
    assert instead(EXPLICIT, {RLE}) == RLE
    assert instead(RLE, {"1.2.840.10008.1.2.4.50"}) is None
