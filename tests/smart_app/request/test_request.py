"""What is ticked, what the letter says, what leaves the hospital: pure."""

import json
import re
from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError
from starlette.datastructures import FormData

from deploy.sandbox import charts
from smart_app.case.turnaround import promised_day
from smart_app.request.bundle import Sending, transaction
from smart_app.request.chart import Chart, items
from smart_app.request.content import Attachment, Content, lacking
from smart_app.request.copies import attachments, criteria, with_results
from smart_app.request.letter import letter_of
from smart_app.request.priors import Study, priors_from
from smart_app.request.relevance import Need, reasons, rules_from, suggested

TODAY = date(2026, 11, 22)
BASE = "http://ehr.test/fhir"
STUDY = {
    "peer": "st-anna",
    "study_instance_uid": "1.2.3",
    "date": "20261028",
    "modalities": ["CT"],
    "description": "CT chest",
    "instances": 1,
    "patient_name": "Lefèvre-Muñoz^Renée^Claire^^Dr.",
    "match": "same",
}
PRIORS = {"peers": [{"name": "st-anna", "title": "St. Anna", "state": "ok"}], "studies": [STUDY]}


def chart() -> Chart:
    found: dict[str, list[dict[str, object]]] = {}
    patient = next(each["id"] for each in charts.resources("epic") if each["resourceType"] == "Patient")
    for each in charts.resources("epic"):
        if f"Patient/{patient}" in json.dumps(each):
            found.setdefault(each["resourceType"], []).append(each)
    return Chart(found)


def content(**changes: object) -> Content:
    values: dict[str, object] = {
        "case_number": "K-7QM4-TX2P",
        "reason": "rare-complex",
        "question": "Is resection the right next step?",
        "service": "HealthcareService/thoracic-oncology",
        "basis": "treatment",
        "attested": True,
        "picks": tuple(item.reference for item in items(chart(), TODAY) if item.ticked),
        "studies": ("st-anna|1.2.3",),
        "diagnosis": next(item.reference for item in items(chart(), TODAY) if item.group == "problems"),
    }
    return Content.model_validate(values | changes)


def sending(**changes: object) -> Sending:
    picked = list(content().picks)
    values: dict[str, object] = {
        "patient": "Patient/ours",
        "requester": {"reference": "Practitioner/p"},
        "organization": "Organization/o",
        "fhir_base": BASE,
        "service": {"specialty": [{"text": "Thoracic Oncology"}]},
        "diagnosis": "Adenocarcinoma",
        "now": "2026-11-22T10:00:00-06:00",
        "promised": "2026-12-01T18:00:00-06:00",
        "records": with_results(chart(), picked),
        "studies": priors_from(PRIORS).studies,
    }
    return Sending(**(values | changes))  # type: ignore[arg-type]


def test_sensible_records_are_ticked_with_a_reason() -> None:
    listed = items(chart(), TODAY)
    ticked = [item for item in listed if item.ticked]
    assert all(item.why for item in ticked)
    assert not [item for item in ticked if item.detail == "resolved"]
    reports = [item.title for item in ticked if item.group == "reports"]
    assert len(reports) == len(set(reports))  # of reports with one name the newest


def test_the_letter_says_what_the_form_says() -> None:
    letter = letter_of(content(), items(chart(), TODAY), priors_from(PRIORS))
    assert letter.question == "Is resection the right next step?"
    assert letter.diagnosis.startswith("Adenocarcinoma")
    assert [section.title for section in letter.sections][:2] == ["Problems", "Medicines"]
    assert letter.imaging[0].title == "CT chest"  # the modality is not said twice


def test_a_form_cannot_bring_codes_of_its_own() -> None:
    form = FormData([("reason", "because"), ("product", "everything"), ("urgency", "stat"), ("basis", "none")])
    changed = Content().changed(form)
    assert (changed.reason, changed.product, changed.urgency, changed.basis) == ("", "written-opinion", "routine", "")


def test_studies_survive_an_autosave_before_the_search_is_back() -> None:
    kept = content().changed(FormData([("question", "Other?")]))
    assert kept.studies == ("st-anna|1.2.3",)


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({}, []),
        ({"question": "Why?"}, ["The question"]),
        ({"attested": False}, ["Consent or treatment basis"]),
        ({"basis": "consent"}, ["Consent or treatment basis"]),
        ({"picks": (), "studies": ()}, []),
    ],
)
def test_what_is_lacking(changes: dict[str, object], missing: list[str]) -> None:
    assert lacking(content(**changes)) == missing


def test_the_bundle_names_nobody_elses_ids() -> None:
    text = json.dumps(transaction(content(), sending()))
    references = set(re.findall(r'"reference": "([^"]+)"', text))
    local = {"Patient/ours", "Practitioner/p", "Organization/o"}
    assert {each for each in references if not each.startswith("urn:uuid:")} <= local
    urls = set(re.findall(r'"fullUrl": "([^"]+)"', text))
    assert {each for each in references if each.startswith("urn:uuid:")} <= urls


def test_each_entry_can_be_sent_twice() -> None:
    entries = transaction(content(), sending())["entry"]
    always = [each["resource"]["resourceType"] for each in entries if "ifNoneExist" not in each["request"]]
    assert always == ["Provenance"]  # has no identifier; the draft's own state keeps it from being sent twice
    rules = [each["request"].get("ifNoneExist") for each in entries if "ifNoneExist" in each["request"]]
    kinds = [(each["resource"]["resourceType"], each["request"].get("ifNoneExist")) for each in entries]
    assert len(kinds) == len(set(kinds))
    assert all(rule.startswith("identifier=") for rule in rules)


def test_the_shape_of_a_case() -> None:
    entries = transaction(content(urgency="urgent"), sending())["entry"]
    request, case, basis = (each["resource"] for each in entries[:3])
    assert request["reasonReference"][0]["reference"] in {each["fullUrl"] for each in entries}
    assert {each["code"] for each in request["code"]["coding"]} == {"3457005", "written-opinion"}
    assert case["status"] == "requested"
    assert "output" not in case
    assert basis["resourceType"] == "Provenance"
    assert "164.506" in basis["policy"][0]
    retrieval = entries[-1]["resource"]
    assert (retrieval["priority"], case["priority"]) == ("urgent", "urgent")
    assert retrieval["partOf"][0]["reference"] == entries[1]["fullUrl"]
    values = {each["type"]["coding"][0]["code"]: each["valueString"] for each in retrieval["input"]}
    assert values == {"peer": "st-anna", "study-instance-uid": "1.2.3", "description": "CT chest, 28 Oct 2026"}


def test_a_consent_is_named_by_the_request() -> None:
    attachment = Attachment(name="release.pdf", content_type="application/pdf", size=4, sha256="x")
    entries = transaction(content(basis="consent", consent=attachment), sending(consent_file=b"%PDF"))["entry"]
    consent = entries[2]
    assert consent["resource"]["resourceType"] == "Consent"
    named = {each["reference"] for each in entries[0]["resource"]["supportingInfo"]}
    assert consent["fullUrl"] in named


def test_another_version_is_another_copy() -> None:
    first = {"resourceType": "Condition", "id": "c", "meta": {"versionId": "1"}}
    assert criteria(first, BASE) != criteria({**first, "meta": {"versionId": "2"}}, BASE)


def test_only_what_lies_elsewhere_is_fetched() -> None:
    document = {"content": [{"attachment": {"url": "Binary/1"}}, {"attachment": {"data": "AA==", "url": "Binary/2"}}]}
    assert [each["url"] for each in attachments(document)] == ["Binary/1"]


@pytest.mark.parametrize(
    ("product", "urgency", "day"),
    [
        ("quick-read", "routine", date(2026, 11, 24)),
        ("written-opinion", "routine", date(2026, 12, 1)),
        ("written-opinion", "urgent", date(2026, 11, 25)),
        ("written-opinion", "asap", date(2026, 11, 23)),
    ],
)
def test_promises_count_working_days(product: str, urgency: str, day: date) -> None:
    assert promised_day(product, urgency, TODAY) == day


def test_outside_values_read_like_ours() -> None:
    study = priors_from(PRIORS).studies[0]
    assert study.filed_as == "Lefèvre-Muñoz, Renée Claire Dr."
    assert study.size == "1 image"
    assert Study("p", "1", patient_name="Wang^XiaoDong=王^小东").filed_as == "Wang, XiaoDong / 王, 小东"


@pytest.mark.parametrize(
    ("specialty", "words", "expected"),
    [
        ("Thoracic Oncology", "Is resection of the lung nodule right?", ["old-chest", "mr-head", "new-knee"]),
        ("", "Knie seit dem Sturz geschwollen", ["new-knee", "mr-head"]),
        ("Neurology", "Which treatment?", ["mr-head", "new-knee"]),
        ("", "", ["mr-head", "new-knee"]),
    ],
)
def test_studies_are_suggested_by_rules(specialty: str, words: str, expected: list[str]) -> None:
    """By body part, modality, age and specialty, each with a reason; never another person's, nor reports alone."""
    rules = rules_from(None)
    studies = [
        Study("p", "old-chest", "20221101", modalities=("CT",), description="CT Thorax", match="same"),
        Study("p", "new-knee", "20260501", modalities=("DX",), description="Knie links", match="same"),
        Study("p", "mr-head", "20260801", modalities=("MR",), description="Brain", match="same"),
        Study("p", "ancient", "19990101", modalities=("CT",), description="Brain", match="same"),
        Study("p", "undated", modalities=("CT",), description="Brain", match="same"),
        Study("p", "report", "20260801", modalities=("SR",), description="Brain", match="same"),
        Study("p", "not-sure", "20260801", modalities=("MR",), description="Brain", match="near"),
    ]
    found = suggested(rules, studies, Need(specialty, words, TODAY))
    assert [key.removeprefix("p|") for key in found] == expected
    assert "body part" in found["p|old-chest"] if "lung" in words else "p|old-chest" not in found
    assert "p|not-sure" in reasons(rules, studies, Need(specialty, words, TODAY)), "said, and not ticked"
    few = rules.model_copy(update={"at_most": 1})
    assert list(suggested(few, studies, Need(specialty, words, TODAY))) == [f"p|{expected[0]}"]


def test_the_hospitals_own_rules_are_read(tmp_path: Path) -> None:
    (tmp_path / "rules.json").write_text('{"rules": [{"modalities": ["SM"], "reason": "slides"}]}')
    rules, slide = rules_from(tmp_path / "rules.json"), Study("p", "1", modalities=("SM",), match="same")
    assert suggested(rules, [slide, Study("p", "2", match="same")], Need("", "", TODAY)) == {"p|1": "slides"}
    (tmp_path / "wrong.json").write_text('{"rules": [{"modality": "SM", "reason": "slides"}]}')
    with pytest.raises(ValidationError):
        rules_from(tmp_path / "wrong.json")
