"""The opinion as PDF, transaction and signature."""

import base64
import hashlib
import io
import json
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from joserfc import jws
from joserfc.jwk import ECKey
from pypdf import PdfReader

from smart_app.report import bundle, pdf, signature
from smart_app.report.opinion import Finding, Letterhead, Opinion, Person, Reviewed
from smart_app.report.signature import Signer

OPINION = Opinion(
    answer="Most likely a meningioma. We agree that it should be removed.",
    concordance={
        "diagnosis": "changed",
        "treatment": "agree",
        "confidence": "high",
        "data-adequacy": "adequate",
        "first-subspecialty-review": "yes",
    },
    findings=(Finding('Dural tail #panic("typst") *x*', (1,)),),
    recommendations=("Operate within four weeks.",),
    patient_version="",
    reviewed=(Reviewed("ImagingStudy/1", "MR brain, 3 March 2026"), Reviewed("DocumentReference/2", "First report")),
)
WHEN = datetime(2026, 11, 22, 9, 5, tzinfo=ZoneInfo("America/New_York"))
LETTERHEAD = Letterhead(
    person=Person("王丽 (Wang Li)", date(1971, 3, 9), "female", "88231", "St. Anna"),
    question="Is surgery needed now?",
    case_number="K-1",
    asked_by="Dr. Ana Núñez",
    author="Dr. Kenji Ito",
    author_title="Neurosurgery",
    organization="Konsil University Hospital",
    signed_at=WHEN,
)
SIGNING = bundle.Signing(
    task={"resourceType": "Task", "id": "t", "meta": {"versionId": "4"}, "for": {"reference": "Patient/p"}},
    service_request={"resourceType": "ServiceRequest", "id": "s"},
    signer="Practitioner/ito",
    when=WHEN,
    instances=["1.2.3.2", "1.2.3.1"],
)


def signed() -> tuple[dict, ECKey]:
    key = ECKey.generate_key("P-384", {"kid": "k1"})
    by = Signer(SIGNING.signer, WHEN, SIGNING.instances)
    return bundle.signed(bundle.unsigned(OPINION, b"%PDF-1.7", SIGNING), by, key), key


def by_type(transaction: dict, resource_type: str) -> dict:
    return next(e["resource"] for e in transaction["entry"] if e["resource"]["resourceType"] == resource_type)


def test_pdf_says_what_was_written_and_runs_none_of_it(tmp_path: Path) -> None:
    data = pdf.render(OPINION, LETTERHEAD, tmp_path)
    text = PdfReader(io.BytesIO(data)).pages[0].extract_text()
    assert "Most likely a meningioma" in text
    assert '#panic("typst") *x*' in text
    assert "Dr. Kenji Ito" in text and "9 March 1971" in text and "EST" in text


def test_pdf_runs_arabic_from_the_right_and_says_when_it_is_unsigned(tmp_path: Path) -> None:
    person = replace(LETTERHEAD.person, name="Layla Al-Rashid / ليلى الراشد")
    words = pdf.content(replace(OPINION, patient_version="لديك التهاب."), replace(LETTERHEAD, person=person))
    assert [name["rtl"] for name in words["names"]] == [False, True]
    assert words["patient_version"]["rtl"] and not words["answer"]["rtl"]
    draft = PdfReader(io.BytesIO(pdf.render(OPINION, LETTERHEAD.unsigned(), tmp_path))).pages[0].extract_text()
    assert "Not signed" in draft and "Signed electronically" not in draft


def test_pdf_is_the_same_each_time(tmp_path: Path) -> None:
    assert pdf.render(OPINION, LETTERHEAD, tmp_path) == pdf.render(OPINION, LETTERHEAD, tmp_path)


def test_nothing_stands_in_the_way_of_a_whole_opinion() -> None:
    assert OPINION.missing() == []


def test_each_gap_is_named_before_signing() -> None:
    gaps = replace(OPINION, answer=" ", concordance={}, reviewed=()).missing()
    assert len(gaps) == 7
    assert gaps[0] == "Answer the question in a paragraph."


def test_signature_covers_the_report_as_sent() -> None:
    transaction, key = signed()
    report = by_type(transaction, "DiagnosticReport")
    element = by_type(transaction, "Provenance")["signature"][0]
    compact = base64.b64decode(element["data"]).decode()
    payload = json.loads(jws.deserialize_compact(compact, key, algorithms=["ES384"]).payload)
    assert payload["resource"] == f"DiagnosticReport/{report['id']}"
    assert payload["sub"] == "Practitioner/ito"
    assert payload["instances"] == ["1.2.3.1", "1.2.3.2"]
    assert payload["sha256"] == hashlib.sha256(signature.canonical(report)).hexdigest()


def test_meta_is_not_signed_and_anything_else_is() -> None:
    report = by_type(signed()[0], "DiagnosticReport")
    assert signature.canonical(report | {"meta": {"versionId": "9"}}) == signature.canonical(report)
    assert signature.canonical(report | {"conclusion": "x"}) != signature.canonical(report)


def test_reviewed_material_is_split_into_studies_and_the_rest() -> None:
    report = by_type(signed()[0], "DiagnosticReport")
    assert [study["reference"] for study in report["imagingStudy"]] == ["ImagingStudy/1"]
    assert [e["valueReference"]["reference"] for e in report["extension"]] == ["DocumentReference/2"]


def test_the_case_is_completed_only_from_the_version_that_was_read() -> None:
    transaction, _ = signed()
    entry = transaction["entry"][-1]
    assert entry["request"] == {"method": "PUT", "url": "Task/t", "ifMatch": 'W/"4"'}
    assert entry["resource"]["status"] == "completed"
    assert entry["resource"]["output"][0]["valueReference"]["reference"].startswith("DiagnosticReport/")
