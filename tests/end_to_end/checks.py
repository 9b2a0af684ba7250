"""What must be true of a case afterwards, asked of each server over its public interface."""

import base64
import io
import json
from contextlib import closing
from typing import Any

import pydicom
from pypdf import PdfReader

from tests.end_to_end.platform import Platform, eventually

Resource = dict[str, Any]


def all_of(platform: Platform, server: str, query: str) -> list[Resource]:
    """Every match of a search at a server, as a script sees it."""
    with closing(platform.fhir(server)) as fhir:
        answer = fhir.get(query)
        assert answer.status_code == 200, answer.text
        return [entry["resource"] for entry in answer.json().get("entry", [])]


def state_of(task: Resource) -> str:
    """Where a case stands."""
    return str(task["businessStatus"]["coding"][0]["code"])


def case_in(platform: Platform, state: str) -> Resource | None:
    """The case that stands there."""
    tasks = all_of(platform, "konsil", "Task?code=fulfill&_count=100")
    return next((task for task in tasks if state_of(task) == state), None)


def written_back(platform: Platform, tenant: str, patient: str, answer: str) -> Resource:
    """The one DocumentReference in the EHR, its PDF read: the answer stands in it."""
    query = f"DocumentReference?patient={patient}&_count=100"

    def look() -> list[Resource]:
        return [each for each in all_of(platform, tenant, query) if "econd opinion" in str(each)]

    eventually(look, "the report in the EHR")
    found = look()
    assert len(found) == 1, [each["id"] for each in found]
    attachment = found[0]["content"][0]["attachment"]
    assert attachment["contentType"] == "application/pdf"
    pages = PdfReader(io.BytesIO(base64.b64decode(attachment["data"]))).pages
    text = " ".join(" ".join(page.extract_text() for page in pages).split())
    assert answer in text
    return found[0]


def forwarded(platform: Platform, count: int, patient_id: str) -> None:
    """The radiologist's PACS has each image once, under the local record number, the old values inside."""

    def look() -> bool:
        return len(platform.radiologist.files()) >= count

    eventually(look, f"{count} images at the radiologist's PACS", 90)
    taken = [pydicom.dcmread(path, stop_before_pixels=True) for path in platform.radiologist.files()]
    assert len(taken) == count
    assert len({ds.SOPInstanceUID for ds in taken}) == count
    assert {ds.PatientID for ds in taken} == {patient_id}
    assert all("OriginalAttributesSequence" in ds for ds in taken)


def nothing_doubled(platform: Platform, images: int) -> None:
    """One case, one study with all its images, one report, one signature."""
    cases = all_of(platform, "konsil", "Task?code=fulfill&_count=100")
    assert len(cases) == 1
    studies = all_of(platform, "konsil", "ImagingStudy?_count=100")
    assert [each["numberOfInstances"] for each in studies] == [images]
    reports = all_of(platform, "konsil", "DiagnosticReport?code=11488-4&_count=100")
    assert len(reports) == 1
    signed = all_of(platform, "konsil", f"Provenance?target=DiagnosticReport/{reports[0]['id']}")
    signatures = [each["signature"][0] for each in signed if each.get("signature")]
    assert len(signatures) == 1
    payload = base64.b64decode(signatures[0]["data"]).decode().split(".")[1]
    assert len(json.loads(base64.urlsafe_b64decode(payload + "=="))["instances"]) == images
