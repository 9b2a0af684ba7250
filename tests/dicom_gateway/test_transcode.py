"""Transcoding: nothing is lost, nothing but the encoding changes, and hostile frames end no process."""

import base64
import io
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate
from pydicom.filereader import dcmread
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID

from dicom_gateway.transcode import EXPLICIT, TARGETS, CannotTranscode, transcode
from tests.dicom_gateway.web.data import part10, slices, stock

SOURCES = [
    "CT_small.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_implicit.dcm",
    "JPEG-LL.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "examples_jpeg2k.dcm",
    "SC_rgb_rle_2frame.dcm",
    "color-pl.dcm",
    "JPGExtended.dcm",
]
# One frame of 16 x 16 samples, 100 times row plus column, written by OpenJPH.
HTJ2K = base64.b64decode(
    "/0//UQApQAAAAAAQAAAAEAAAAAAAAAAAAAAAEAAAABAAAAAAAAAAAAABDwEB/1AACAACAAAACv9SAAwAAgABAAUEBEAB/1wAEyCI"
    "kJCQkJCQkJCQkJCQiIiI/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAH4AAf+TwAAm2/gFB3QAAMAAEsAAEoAiAod0"
    "ACICh3QAwAATQAATgI4dAgJ0AI47/gCDVADAABUwAAVQwMDAwKpxgnUAwIGBgcAxgey2AMAAK+AAFohGo9FoNBqN58p6enECeADG"
    "RqPRaDQa/YhAe/YhAey6AP/Z"
)
CHANGED = {"PixelData", "PhotometricInterpretation", "PlanarConfiguration", "BitsAllocated"}


def in_syntax(file: bytes, target: str) -> FileDataset:
    """The file in another syntax, read again."""
    made, pieces = transcode(io.BytesIO(file), target)
    found = dcmread(io.BytesIO(b"".join(pieces)))
    assert found.file_meta.TransferSyntaxUID == made
    return found


def samples(ds: Any) -> Any:
    """All frames as they were decoded."""
    return pixel_array(ds, raw=True)


@pytest.mark.parametrize("name", SOURCES)
def test_samples_and_attributes_survive_every_syntax(name: str) -> None:
    file = stock(name)
    before = dcmread(io.BytesIO(file))
    wanted = samples(before)
    for target in sorted(TARGETS):
        after = in_syntax(file, target)
        assert after.file_meta.TransferSyntaxUID == target
        assert np.array_equal(samples(after), wanted), target
        told = {tag.keyword for tag in before if tag.tag.element and tag != after.get(tag.tag)}
        assert told <= CHANGED, (target, told)


def test_htj2k_is_read() -> None:
    ds = dcmread(io.BytesIO(slices(1, PixelRepresentation=0)[0]))
    ds.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.201")
    ds.PixelData = encapsulate([HTJ2K])
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    for target in (EXPLICIT, "1.2.840.10008.1.2.4.80"):
        wanted = np.add.outer(np.arange(16), np.arange(16)) * 100
        assert np.array_equal(samples(in_syntax(part10(ds), target)), wanted)


def test_an_object_without_pixels_becomes_explicit() -> None:
    for name, target in (("rtplan.dcm", "1.2.840.10008.1.2.4.90"), ("image_dfl.dcm", EXPLICIT)):
        before, after = dcmread(io.BytesIO(stock(name))), in_syntax(stock(name), target)
        assert after.file_meta.TransferSyntaxUID == EXPLICIT and after == before


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("CT_small.dcm", "1.2.840.10008.1.2.4.50"),  # would lose something
        ("CT_small.dcm", "1.2.840.10008.1.2.4.100"),
        ("liver_1frame.dcm", "1.2.840.10008.1.2.4.70"),  # one bit
        ("image_dfl.dcm", "1.2.840.10008.1.2.4.90"),
    ],
)
def test_what_cannot_be_made_is_refused(name: str, target: str) -> None:
    with pytest.raises(CannotTranscode):
        in_syntax(stock(name), target)


def test_what_is_stored_too_short_is_refused() -> None:
    with pytest.raises(CannotTranscode):
        in_syntax(stock("JPEG-LL.dcm")[:9000], EXPLICIT)


@pytest.mark.peer
def test_dciodvfy_is_no_unhappier_after_us_than_before(tmp_path: Path) -> None:
    def errors(file: bytes) -> set[str]:
        path = tmp_path / "one.dcm"
        path.write_bytes(file)
        done = subprocess.run(["dciodvfy", path], check=False, capture_output=True, text=True)
        return {line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")}

    for name in ("MR_small_bigendian.dcm", "SC_rgb_jpeg_dcmtk.dcm", "JPGExtended.dcm", "examples_jpeg2k.dcm"):
        before = errors(stock(name))
        for target in sorted(TARGETS):
            after = errors(b"".join(transcode(io.BytesIO(stock(name)), target)[1]))
            assert after <= before, (name, target)


@pytest.mark.peer
def test_twelve_bits_of_lossy_jpeg_are_those_that_dcmtk_reads(tmp_path: Path) -> None:
    path = tmp_path / "in.dcm"
    path.write_bytes(stock("JPEG-lossy.dcm"))
    subprocess.run(["dcmdjpeg", path, tmp_path / "out.dcm"], check=True, capture_output=True)
    theirs, ours = dcmread(tmp_path / "out.dcm"), in_syntax(stock("JPEG-lossy.dcm"), EXPLICIT)
    assert np.array_equal(samples(ours), samples(theirs)) and samples(ours).max() > 255


def test_fewer_bits_than_a_byte_end_no_process() -> None:
    """GDCM ends the process when it decodes 8 bits of which fewer are stored; here such frames are just frames."""
    (file,) = slices(1)
    ds = dcmread(io.BytesIO(file))
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation = 7, 0
    ds.PixelData = bytes(range(256))
    jpeg = in_syntax(part10(ds), "1.2.840.10008.1.2.4.70")
    jpeg.BitsStored, jpeg.HighBit = 1, 0
    assert samples(in_syntax(part10(jpeg), EXPLICIT)).shape == (16, 16)
