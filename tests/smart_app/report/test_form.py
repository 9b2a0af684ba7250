"""The report form as draft content and as an Opinion."""

from starlette.datastructures import FormData

from smart_app.case.material import Record, references, title_of
from smart_app.report.form import content_of, is_empty, opinion_of

RECORDS = [
    Record(1, "DocumentReference/a", {"resourceType": "DocumentReference", "description": "First report"}),
    Record(3, "ImagingStudy/b", {"resourceType": "ImagingStudy", "description": "Brain", "modality": [{"code": "MR"}]}),
]


def test_form_becomes_content_and_back() -> None:
    form = FormData(
        [
            ("answer", " Yes. "),
            ("concordance-diagnosis", "agree"),
            ("reviewed", "ImagingStudy/b DocumentReference/a"),
            ("findings", "A mass"),
            ("cites", "ImagingStudy/b"),
            ("findings", "Nothing else\n\nAs before"),
            ("cites", "DocumentReference/a"),
            ("findings", ""),
            ("cites", ""),
        ]
    )
    content = content_of(form)
    assert content["concordance"] == {"diagnosis": "agree"}
    assert content["reviewed"] == ["ImagingStudy/b", "DocumentReference/a"]
    opinion = opinion_of(content, RECORDS)
    assert opinion.answer == "Yes."
    found = [(finding.text, finding.sources) for finding in opinion.findings]
    assert found == [("A mass", (2,)), ("Nothing else", ()), ("As before", (1,))]


def test_a_cited_record_counts_as_reviewed_and_is_numbered_anew() -> None:
    opinion = opinion_of({"findings": [{"text": "Mass", "cites": ["ImagingStudy/b"]}], "reviewed": []}, RECORDS)
    assert [each.reference for each in opinion.reviewed] == ["ImagingStudy/b"]
    assert opinion.findings[0].sources == (1,)


def test_an_image_is_cited_by_its_study_and_named() -> None:
    rows = [{"text": "Mass", "cites": ["ImagingStudy/b#1.2.3;12;300"]}]
    opinion = opinion_of({"findings": rows}, RECORDS)
    assert opinion.findings[0].sources == (1,)
    assert opinion.reviewed[0].display == "MR Brain; image 12 of 300"


def test_a_citation_of_what_the_case_does_not_hold_is_left_out() -> None:
    opinion = opinion_of({"findings": [{"text": "Mass", "cites": ["ImagingStudy/other"]}]}, RECORDS)
    assert opinion.findings[0].sources == () and opinion.reviewed == ()


def test_a_draft_of_lines_is_taken_apart() -> None:
    kept = {"findings": "Grade [2] of four\nNo nodes", "recommendations": "Biopsy\n\nBoard"}
    opinion = opinion_of(kept, RECORDS)
    assert [finding.text for finding in opinion.findings] == ["Grade [2] of four", "No nodes"]
    assert opinion.recommendations == ("Biopsy", "Board")


def test_a_form_with_empty_rows_is_empty() -> None:
    assert is_empty(content_of(FormData([("findings", " "), ("cites", ""), ("recommendations", ""), ("window", "w")])))
    assert not is_empty(content_of(FormData([("recommendations", "Biopsy")])))


def test_records_are_named_once_in_the_order_of_the_case() -> None:
    request = {
        "supportingInfo": [{"reference": "A/1"}, {"reference": "B/2"}],
        "reasonReference": [{"reference": "A/1"}],
    }
    task = {"input": [{"valueReference": {"reference": "C/3"}}, {"valueString": "x"}]}
    assert references(task, request) == ["A/1", "B/2", "C/3"]


def test_titles_carry_values() -> None:
    observation = {
        "resourceType": "Observation",
        "code": {"text": "Haemoglobin"},
        "valueQuantity": {"value": 9.1, "unit": "g/dL"},
    }
    assert title_of(observation) == "Haemoglobin: 9.1 g/dL"
    assert title_of({"resourceType": "MedicationRequest"}) == "Medication"
