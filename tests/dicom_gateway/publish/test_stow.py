"""STOW-RS into a case: a reader's measurements from the viewer, an upload for a case, and what is refused."""

import base64
import io
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pydicom.dataset import Dataset
from pydicom.filereader import dcmread
from pydicom.sequence import Sequence
from pydicom.uid import ComprehensiveSRStorage, EncapsulatedPDFStorage, generate_uid

from dicom_gateway.app import create_app
from tests.conformance.dicomweb.client import STORE, body
from tests.dicom_gateway.publish.scene import Scene, staged
from tests.dicom_gateway.web.data import part10, slices
from tests.dicom_gateway.web.serving import serving
from tests.dicom_gateway.world import Resource, business_status

OURS: dict[str, Any] = {"PatientID": "L-1", "IssuerOfPatientID": "LAKESIDE", "PatientName": "Muster^Anna^Maria"}
OURS |= {"PatientBirthDate": "19710203", "PatientSex": "F"}
REFERENCED, FAILED, REASON = "00081199", "00081198", "00081197"
PDF = b"%PDF-1.4 a report, as short as can be"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Scene, httpx.Client]]:
    """A released study in a case, and the gateway's web application; what one test stores the others find."""
    folder = tmp_path_factory.mktemp("stow")
    with pytest.MonkeyPatch.context() as patched, staged(folder, patched) as found:
        found.arrive()
        found.decide("accept")
        found.world.work(lambda: business_status(found.world.read(found.case)) == "ready-for-triage")

        def make(base: str) -> object:
            object.__setattr__(found.world.gateway.settings, "base_url", base)
            return create_app(found.world.gateway)

        with serving(make) as base, httpx.Client(base_url=base, trust_env=False, timeout=30) as web:
            yield found, web


def entry(code: str, meaning: str) -> Sequence:
    """A coded entry."""
    ds = Dataset()
    ds.CodeValue, ds.CodingSchemeDesignator, ds.CodeMeaning = code, "DCM", meaning
    return Sequence([ds])


def derived(study: str, sop_class: str, **attributes: object) -> Dataset:
    """An object that somebody made from the images of a study."""
    ds = dcmread(io.BytesIO(slices(1, StudyInstanceUID=study, **{**OURS, **attributes})[0]))
    for keyword in ("PixelData", "Rows", "Columns", "BitsAllocated"):
        del ds[keyword]
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = sop_class
    ds.ContentDate, ds.ContentTime = "20250301", "091500"
    return ds


def measurements(study: str, **attributes: object) -> bytes:
    """A structured report with one length, as OHIF makes it: without the issuer of the patient's id."""
    ds = derived(study, ComprehensiveSRStorage, Modality="SR", SeriesDescription="Second look", **attributes)
    if "IssuerOfPatientID" not in attributes:
        del ds.IssuerOfPatientID
    length, measured = Dataset(), Dataset()
    measured.NumericValue, measured.MeasurementUnitsCodeSequence = "12.5", entry("mm", "millimeter")
    length.ValueType, length.ConceptNameCodeSequence = "NUM", entry("121206", "Distance")
    length.MeasuredValueSequence = Sequence([measured])
    group = Dataset()
    group.ValueType, group.ConceptNameCodeSequence = "CONTAINER", entry("125007", "Measurement Group")
    group.ContentSequence = Sequence([length])
    ds.ValueType, ds.ConceptNameCodeSequence = "CONTAINER", entry("126000", "Imaging Measurement Report")
    ds.ContentSequence = Sequence([group])
    return part10(ds)


def pdf(study: str) -> bytes:
    """A report in a PDF."""
    ds = derived(study, EncapsulatedPDFStorage, Modality="DOC", DocumentTitle="Outside report")
    ds.EncapsulatedDocument, ds.EncapsulatedDocumentLength = PDF + b"\0", len(PDF)
    ds.MIMETypeOfEncapsulatedDocument = "application/pdf"
    return part10(ds)


def post(
    web: httpx.Client, *files: bytes, who: str = "weber", path: str = "/studies", **headers: str
) -> httpx.Response:
    """Store as somebody; without a name by the client's cookie alone."""
    sent = {**STORE, **({"Authorization": f"Bearer {who}"} if who else {}), **headers}
    return web.post(f"/dicom-web{path}", content=body(*files), headers=sent)


def reasons(answer: httpx.Response) -> list[int]:
    """Why instances were not stored."""
    return [item[REASON]["Value"][0] for item in answer.json().get(FAILED, {}).get("Value", [])]


def in_viewer(scene: Scene, web: httpx.Client) -> None:
    """Open the viewer on the study: the cookie stays with the client."""
    code = web.post(
        "/api/viewer-codes",
        json={"studies": [scene.study], "case": scene.case},
        headers={"Authorization": "Bearer weber"},
    ).json()["code"]
    answer = web.post("/viewer-session", data={"code": code}, headers={"Origin": str(web.base_url).rstrip("/")})
    web.cookies.clear()
    web.headers["Cookie"] = answer.headers["set-cookie"].split(";")[0]


def test_the_viewers_measurements_are_kept_shown_again_and_named_in_the_case(
    scene: tuple[Scene, httpx.Client],
) -> None:
    """By the viewer's cookie from its own page: 200; ImagingStudy, DocumentReference and case follow, each once."""
    here, web = scene
    in_viewer(here, web)
    origin = str(web.base_url).rstrip("/")
    report = measurements(here.study)
    assert post(web, report, who="").status_code == 403, "a page that is not the viewer's stores nothing"
    answer = post(web, report, who="", Origin=origin)
    assert answer.status_code == 200, answer.text
    assert post(web, report, who="", Origin=origin).status_code == 200, "equal bytes are no failure"
    back = web.get(answer.json()[REFERENCED]["Value"][0]["00081190"]["Value"][0].removeprefix(str(web.base_url)))
    assert report in back.content
    assert post(web, pdf(here.study), who="", Origin=origin).status_code == 200
    world = here.world
    world.work(lambda: len(world.search("DocumentReference", "weber")) == 2)
    (study,) = world.search("ImagingStudy", "weber")
    assert study["numberOfInstances"] == 7 and study["numberOfSeries"] == 4
    found = {each["description"]: each for each in world.search("DocumentReference", "weber")}
    said = found["Second look"]["content"][0]["attachment"]
    assert (said["contentType"], said["title"]) == ("text/plain", "Second look")
    assert dcm_text(said["data"]) == "Measurement Group\n  Distance: 12.5 mm"
    assert found["Second look"]["content"][1]["attachment"]["url"].startswith(origin)
    assert dcm_text(found["Outside report"]["content"][0]["attachment"]["data"]) == PDF.decode()
    named = [each["valueReference"]["reference"] for each in world.read(here.case)["input"]]
    assert sorted(named[1:]) == sorted(f"DocumentReference/{each['id']}" for each in found.values())
    world.work(lambda: bool(stored_by_weber(here)))
    del web.headers["Cookie"]


def stored_by_weber(here: Scene) -> list[Resource]:
    """What the audit says of who stored."""
    found = here.world.search("AuditEvent?type=110104&_count=100")
    return [each for each in found if each["agent"][0].get("who", {}).get("reference") == "Practitioner/weber"]


def dcm_text(data: str) -> str:
    """The text of an attachment."""
    return base64.b64decode(data).decode()


def test_what_is_not_the_callers_or_the_patients_is_refused(scene: tuple[Scene, httpx.Client]) -> None:
    """409 with the reason, 202 beside what is stored; nothing refused is found by any door."""
    here, web = scene
    good = measurements(here.study, IssuerOfPatientID="LAKESIDE")
    assert post(web, good, who="").status_code == 401
    assert post(web, good, who="nobody").status_code == 401
    assert post(web, good, who="okafor").status_code == 403, "coordinators store nothing"
    other = post(web, good, who="elsewhere")
    assert (other.status_code, reasons(other)) == (409, [0x0124])
    unissued = post(web, measurements(here.study))
    assert (unissued.status_code, reasons(unissued)) == (409, [0xA900]), "outside the viewer the issuer is needed"
    stranger = measurements(here.study, IssuerOfPatientID="LAKESIDE", PatientID="L-2")
    mixed = post(web, stranger, good)
    assert (mixed.status_code, reasons(mixed)) == (202, [0xA900])
    unknown = slices(1, **OURS)[0]
    answer = post(web, unknown)
    assert (answer.status_code, reasons(answer)) == (409, [0x0124]), "a new study needs a case"
    assert post(web, unknown, path="/studies?case=Task/none").status_code == 404
    assert post(web, unknown, path="/studies?case=Patient/1").status_code == 400


def test_an_upload_for_a_case_becomes_its_study(scene: tuple[Scene, httpx.Client]) -> None:
    """A new study of the case's patient, named by id and issuer: published, named in the case, drawn at once."""
    here, web = scene
    uid = generate_uid()
    files = slices(2, StudyInstanceUID=uid, **OURS)
    answer = post(web, *files, path=f"/studies/{uid}?case={here.case}")
    assert answer.status_code == 200, answer.text
    world = here.world
    criteria = f"ImagingStudy?identifier=urn:dicom:uid|urn:oid:{uid}"
    world.work(lambda: bool(world.search(criteria, "weber")))
    (study,) = world.search(criteria, "weber")
    assert (study["subject"]["reference"], study["numberOfInstances"]) == (here.patient, 2)
    world.work(lambda: f"ImagingStudy/{study['id']}" in str(world.read(here.case)["input"]))
    header = {"Authorization": "Bearer weber", "Accept": "application/dicom+json"}
    assert len(web.get(f"/dicom-web/studies/{uid}/metadata", headers=header).json()) == 2
    wrong = post(web, *slices(1, **{**OURS, "IssuerOfPatientID": "STANNA"}), path=f"/studies?case={here.case}")
    assert (wrong.status_code, reasons(wrong)) == (409, [0xA900])
