"""A small picture of whatever an outside archive may send."""

import io
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from deploy.sandbox.imaging import films, mammography, reports
from deploy.sandbox.imaging.catalogue import EEG_REPORT, MAMMOGRAM, SLIDE, SPINE_FILMS
from deploy.sandbox.imaging.pathology import whole_slide
from dicom_gateway.gateway import Gateway
from tests.dicom_gateway.web.data import put, stock

COMPRESSED = ["MR_small_jpeg_ls_lossless.dcm", "JPEG-LL.dcm", "JPEG2000.dcm", "SC_rgb_jpeg_gdcm.dcm", "JPGExtended.dcm"]


def small(client: httpx.Client, study: str) -> np.ndarray:
    answer = client.get(f"/studies/{study}/thumbnail", headers={"Accept": "image/png"})
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"))


@pytest.mark.parametrize("name", COMPRESSED)
def test_every_compression_has_a_picture(archive: Gateway, client: httpx.Client, name: str) -> None:
    (head,) = put(archive, stock(name))
    assert small(client, str(head.StudyInstanceUID)).std() > 5


def test_mammogram_film_and_slide_have_pictures(archive: Gateway, client: httpx.Client, tmp_path: Path) -> None:
    mammography.mammogram(tmp_path / "mg", 10)
    films.spine_in_motion(tmp_path / "dx", 10)
    whole_slide(tmp_path / "sm", 10)
    put(archive, *(path.read_bytes() for path in sorted(tmp_path.glob("*/*.dcm"))))
    for study in (MAMMOGRAM, SPINE_FILMS):
        assert small(client, study.study_instance_uid).std() > 20
    section = small(client, SLIDE.study_instance_uid).reshape(-1, 3).mean(0)
    assert section[0] > section[1] + 10, "the section is pink: it is neither a tile of the edge nor the label"


def test_document_has_a_sheet_of_paper(archive: Gateway, client: httpx.Client, tmp_path: Path) -> None:
    reports.eeg_report(tmp_path, 1)
    put(archive, (tmp_path / "1.dcm").read_bytes())
    assert small(client, EEG_REPORT.study_instance_uid).std() > 20


def test_document_is_rendered_as_itself(archive: Gateway, client: httpx.Client, tmp_path: Path) -> None:
    reports.eeg_report(tmp_path, 1)
    (head,) = put(archive, (tmp_path / "1.dcm").read_bytes())
    path = f"/studies/{head.StudyInstanceUID}/series/{head.SeriesInstanceUID}/instances/{head.SOPInstanceUID}/rendered"
    answer = client.get(path, headers={"Accept": "application/pdf"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf")
    assert answer.content == reports.eeg_pdf()
    assert client.get(path, headers={"Accept": "image/png"}).status_code == 406
