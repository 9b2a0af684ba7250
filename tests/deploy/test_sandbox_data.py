"""The outside studies: the same every time, true to their kinds."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import JPEGBaseline8Bit

from deploy.sandbox.imaging import mr, studies
from deploy.sandbox.imaging.dicom import uid


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    studies.generate(folder, lambda line: None, keep_every=15)
    return folder


def test_identifiers_come_from_names() -> None:
    assert uid("a", 1) == uid("a", 1) != uid("a", 2)
    assert len(uid("a", 1)) <= 64


def test_images_are_the_same_every_time(images: Path, tmp_path: Path) -> None:
    mr.mr_brain(tmp_path, 15)
    for path in tmp_path.glob("*.dcm"):
        assert path.read_bytes() == (images / "wang-mr" / path.name).read_bytes()


def test_ct_shows_lung_and_bone_in_hounsfield_units(images: Path) -> None:
    slices = [pydicom.dcmread(path) for path in sorted((images / "lefevre-ct").glob("*.dcm"))]
    heights = [float(ds.ImagePositionPatient[2]) for ds in slices]
    assert heights == sorted(heights, reverse=True)
    middle = slices[len(slices) // 2]
    units = middle.pixel_array.astype(int) + int(middle.RescaleIntercept)
    assert middle.pixel_array.shape == (512, 512)
    assert np.mean((units > -950) & (units < -700)) > 0.05
    assert np.mean(units > 400) > 0.002


def test_native_script_survives_in_its_character_set(images: Path) -> None:
    ds = pydicom.dcmread(next((images / "wang-mr").glob("*.dcm")))
    assert ds.SpecificCharacterSet == "GB18030"
    assert ds.PatientName.ideographic == "王^秀英"


def test_ultrasound_is_compressed_and_moves(images: Path) -> None:
    ds = pydicom.dcmread(images / "oneill-us" / "1.dcm")
    assert ds.file_meta.TransferSyntaxUID == JPEGBaseline8Bit
    first, second = ds.pixel_array.astype(int)
    assert np.abs(first - second).mean() > 1


def test_finished_studies_are_not_drawn_again(images: Path) -> None:
    said: list[str] = []
    studies.generate(images, said.append, keep_every=15)
    assert said == []
