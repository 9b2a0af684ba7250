"""The pretend patients: the same every time, complete, readable."""

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import JPEGBaseline8Bit
from pypdf import PdfReader

from deploy.sandbox import charts
from deploy.sandbox.imaging import mr, studies
from deploy.sandbox.imaging.dicom import uid


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    studies.generate(folder, lambda line: None, keep_every=15)
    return folder


@pytest.mark.parametrize("key", ["epic", "oracle"])
def test_chart_is_the_same_every_time(key: str) -> None:
    assert json.dumps(charts.resources(key)) == json.dumps(charts.resources(key))


@pytest.mark.parametrize("key", ["epic", "oracle"])
def test_chart_references_resolve_in_order(key: str) -> None:
    seen: set[str] = set()
    for resource in charts.resources(key):
        name = f"{resource['resourceType']}/{resource['id']}"
        assert name not in seen
        assert re.fullmatch(r"[A-Za-z0-9.-]{1,64}", resource["id"])
        seen.add(name)
        assert set(re.findall(r'"reference": "([^"]+)"', json.dumps(resource))) <= seen


def test_every_patient_has_a_full_chart() -> None:
    wanted = {
        "Condition", "MedicationRequest", "AllergyIntolerance", "Observation", "Encounter", "Procedure",
        "DiagnosticReport", "DocumentReference", "Coverage",
    }  # fmt: skip
    for key, patients in (("epic", ["lefevre", "wang"]), ("oracle", ["oneill"])):
        resources = charts.resources(key)
        for patient in patients:
            kinds = {each["resourceType"] for each in resources if each["id"].startswith(f"{patient}-")}
            assert wanted <= kinds


def test_record_numbers_are_typed_and_assigned() -> None:
    for key in ("epic", "oracle"):
        for patient in (each for each in charts.resources(key) if each["resourceType"] == "Patient"):
            number = patient["identifier"][0]
            assert number["type"]["coding"][0]["code"] == "MR"
            assert number["assigner"]["display"]


def test_pdf_of_a_chart_can_be_read() -> None:
    documents = [each for each in charts.resources("epic") if each["resourceType"] == "DocumentReference"]
    attachments = [each["content"][0]["attachment"] for each in documents]
    pdf = next(each for each in attachments if each["contentType"] == "application/pdf")
    text = PdfReader(io.BytesIO(base64.b64decode(pdf["data"]))).pages[0].extract_text()
    assert "Lefèvre-Muñoz" in text


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
