"""The report form as draft content and as an Opinion."""

from starlette.datastructures import FormData

from smart_app.case.material import Record, references, title_of
from smart_app.report.form import content_of, opinion_of

RECORDS = [
    Record(1, "DocumentReference/a", {"resourceType": "DocumentReference", "description": "First report"}),
    Record(3, "ImagingStudy/b", {"resourceType": "ImagingStudy", "description": "Brain", "modality": [{"code": "MR"}]}),
]


def test_form_becomes_content_and_back() -> None:
    form = FormData(
        [
            ("answer", " Yes. "),
            ("concordance-diagnosis", "agree"),
            ("reviewed", "ImagingStudy/b"),
            ("findings", "A mass [3]\n\nNothing else"),
        ]
    )
    content = content_of(form)
    assert content["concordance"] == {"diagnosis": "agree"}
    assert content["reviewed"] == ["ImagingStudy/b"]
    opinion = opinion_of(content, RECORDS)
    assert opinion.answer == "Yes."
    assert [finding.text for finding in opinion.findings] == ["A mass", "Nothing else"]


def test_a_cited_record_counts_as_reviewed_and_is_numbered_anew() -> None:
    opinion = opinion_of({"findings": "Mass [3]", "reviewed": []}, RECORDS)
    assert [each.reference for each in opinion.reviewed] == ["ImagingStudy/b"]
    assert opinion.findings[0].sources == (1,)


def test_a_number_that_names_no_record_stays_in_the_text() -> None:
    opinion = opinion_of({"findings": "Grade [2] of four"}, RECORDS)
    assert opinion.findings[0].text == "Grade [2] of four"
    assert opinion.findings[0].sources == ()


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
