"""The outside studies: every kind of object, valid, readable, theirs."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pydicom
import pytest
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, JPEGLSLossless

from deploy.sandbox.imaging import catalogue, studies
from deploy.sandbox.imaging.lost import lose_half
from dicom_gateway.dimse.store import send_instances
from dicom_gateway.gateway import Gateway, open_gateway
from dicom_gateway.import_files import import_medium
from dicom_gateway.index.query import Place, locate
from dicom_gateway.peers import by_name
from dicom_gateway.settings import Settings
from tests.dicom_gateway.conftest import know
from tests.peers import orthanc, storescp

KEEP_EVERY = 10


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studies")
    studies.generate(folder, lambda line: None, keep_every=KEEP_EVERY)
    return folder


@pytest.fixture(scope="module")
def archive(images: Path) -> Iterator[Gateway]:
    folder = images.parent / "archive"
    settings = Settings(mode="archive", data_dir=folder, database_url=f"sqlite:///{folder}/index.db")
    gateway = open_gateway(settings)
    import_medium(gateway.ingest, images)
    yield gateway
    gateway.engine.dispose()


def first(images: Path, study: catalogue.Study) -> pydicom.FileDataset:
    return pydicom.dcmread(sorted((images / study.key).glob("*.dcm"))[0])


def test_every_study_of_the_catalogue_is_drawn(images: Path) -> None:
    assert {each.key for each in catalogue.STUDIES} == {each.key for each in studies.MAKERS}
    assert set(catalogue.CONTENT) == set(catalogue.STUDIES)
    for study in catalogue.STUDIES:
        ds = first(images, study)
        assert (ds.StudyInstanceUID, ds.PatientID) == (study.study_instance_uid, study.patient.patient_id)
        assert ds.Modality == catalogue.CONTENT[study][0]


def test_compression_differs_as_between_real_archives(images: Path) -> None:
    syntaxes = {first(images, study).file_meta.TransferSyntaxUID for study in catalogue.STUDIES}
    assert {JPEGLSLossless, JPEG2000Lossless, JPEGBaseline8Bit} < syntaxes


@pytest.mark.parametrize("study", catalogue.STUDIES, ids=lambda study: study.key)
def test_objects_meet_their_definitions(images: Path, study: catalogue.Study) -> None:
    assert shutil.which("dciodvfy"), "install dicom3tools"
    for path in sorted((images / study.key).glob("*.dcm")):
        said = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False).stderr
        assert [line for line in said.splitlines() if line.startswith("Error")] == []


def test_mammogram_hangs_with_the_chest_walls_together(images: Path) -> None:
    for path in (images / "garcia-mg").glob("*.dcm"):
        ds = pydicom.dcmread(path)
        pixels = ds.pixel_array
        wall = pixels[:, :20] if ds.ImageLaterality == "L" else pixels[:, -20:]
        air = pixels[:, -20:] if ds.ImageLaterality == "L" else pixels[:, :20]
        assert wall.mean() > 5 * air.mean()
        assert ds.PatientOrientation[0] == ("A" if ds.ImageLaterality == "L" else "P")


def test_slide_is_a_pyramid_of_tiles(images: Path) -> None:
    levels = [pydicom.dcmread(path) for path in sorted((images / "huang-sm").glob("*.dcm"))]
    volumes = [ds for ds in levels if "VOLUME" in ds.ImageType]
    assert len(volumes) == 4 and {ds.ImageType[2] for ds in levels} == {"VOLUME", "THUMBNAIL", "LABEL"}
    for ds in volumes:
        across, down = -(-ds.TotalPixelMatrixColumns // ds.Columns), -(-ds.TotalPixelMatrixRows // ds.Rows)
        assert ds.NumberOfFrames == across * down
    widths = [ds.TotalPixelMatrixColumns for ds in volumes]
    assert widths == sorted(widths, reverse=True)


def test_the_other_woman_has_the_same_name_and_another_birth_date() -> None:
    assert catalogue.GARCIA.name == catalogue.GARCIA_OTHER.name
    assert catalogue.GARCIA.birth_date != catalogue.GARCIA_OTHER.birth_date


def test_our_archive_holds_them_all(images: Path, archive: Gateway) -> None:
    with archive.engine.connect() as connection:
        held = connection.exec_driver_sql("SELECT count(*) FROM instance WHERE state = 'released'").scalar_one()
    assert held == len(list(images.glob("*/*.dcm")))


def test_orthanc_takes_them_all(images: Path, tmp_path: Path) -> None:
    files = sorted(images.glob("*/*.dcm"))
    with orthanc(tmp_path) as pacs:
        for path in files:
            httpx.post(f"{pacs.http}/instances", content=path.read_bytes(), timeout=30).raise_for_status()
        assert httpx.get(f"{pacs.http}/statistics").json()["CountInstances"] == len(files)


def test_half_of_a_study_cannot_be_fetched(images: Path, archive: Gateway, tmp_path: Path) -> None:
    """The index names every image; those whose file is lost fail one by one, the others arrive."""
    assert lose_half(images, archive.archive) > 0
    with archive.engine.connect() as connection:
        found = locate(connection, Place(catalogue.HALF_LOST.study_instance_uid))
    with storescp(tmp_path) as pacs:
        know(archive, name="radpacs", ae_title=pacs.ae_title, port=pacs.port, can=["store"])
        with archive.engine.connect() as connection:
            peer = by_name(connection, "radpacs")
        sent = send_instances(archive.archive, peer, found)
        assert len(pacs.files()) == sum(each.stored for each in sent)
    assert [each.stored for each in sent] == [number % 2 == 0 for number in range(len(sent))]
    assert {each.reason for each in sent} == {"", "our archive cannot read it"}
