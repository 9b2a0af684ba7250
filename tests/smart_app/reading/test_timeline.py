"""The records of a case on one axis of time."""

from typing import Any

from smart_app.case.material import Record
from smart_app.pages.reading import hung
from smart_app.reading import labs
from smart_app.reading.axis import axis
from smart_app.reading.timeline import timeline

Resource = dict[str, Any]


def lab(identity: str, test: str, day: str, value: float, flag: str = "N") -> Resource:
    return {
        "resourceType": "Observation",
        "id": identity,
        "category": [{"coding": [{"code": "laboratory"}]}],
        "code": {"text": test},
        "effectiveDateTime": f"{day}T07:40:00-05:00",
        "valueQuantity": {"value": value, "unit": "g/dL"},
        "interpretation": [{"coding": [{"code": flag}]}],
        "referenceRange": [{"low": {"value": 12}, "high": {"value": 16}}],
    }


def record(number: int, resource: Resource) -> Record:
    return Record(number, f"{resource['resourceType']}/{resource['id']}", resource)


PANEL = {
    "resourceType": "DiagnosticReport",
    "id": "panel",
    "code": {"text": "Laboratory panel"},
    "effectiveDateTime": "2026-11-02T07:40:00-05:00",
    "result": [{"reference": "Observation/hb2"}, {"reference": "Observation/na2"}],
}
RESULTS = {
    f"Observation/{each['id']}": each
    for each in (lab("hb2", "Hemoglobin", "2026-11-02", 9.1, "L"), lab("na2", "Sodium", "2026-11-02", 14))
}
SINGLE = lab("hb1", "Hemoglobin", "2026-08-01", 13)
REPORT = {"resourceType": "DiagnosticReport", "id": "ct", "code": {"text": "CT"}, "effectiveDateTime": "2026-10-28",
          "conclusion": "Mass.", "performer": [{"display": "Dr. Brandt"}]}  # fmt: skip
OLD = {"resourceType": "Condition", "id": "c", "code": {"text": "Asthma"}, "onsetDateTime": "1998"}
STUDY = {
    "resourceType": "ImagingStudy",
    "id": "s",
    "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.3"}],
    "started": "2026-10-28",
    "modality": [{"code": "CT"}],
    "description": "CT chest",
    "numberOfSeries": 2,
    "numberOfInstances": 300,
}
RECORDS = [record(at, each) for at, each in enumerate((PANEL, SINGLE, REPORT, OLD, STUDY), start=1)]


def test_a_day_of_laboratory_values_is_one_line_that_names_those_outside() -> None:
    line = timeline(RECORDS, RESULTS)
    found = [each for each in line.entries if each.kind == "labs"]
    assert [each.date for each in found] == ["2026-11-02", "2026-08-01"]
    assert found[0].title == "Laboratory, 2 values"
    assert found[0].detail == "1 outside the range"
    assert [(value.test, value.words) for value in found[0].values] == [("Hemoglobin", "low")]
    assert (found[0].cite, found[1].cite) == ("DiagnosticReport/panel", "Observation/hb1")
    assert found[1].detail == "all within the range"


def test_newest_first_by_year_and_month_and_what_has_a_year_alone() -> None:
    years = timeline(RECORDS, RESULTS).years
    assert [year.title for year in years] == ["2026", "1998"]
    assert [month.title for month in years[0].months] == ["Nov", "Oct", "Aug"]
    assert [entry.title for entry in years[0].months[1].entries] == ["CT chest", "CT"]
    assert years[1].months[0].title == "" and years[1].months[0].entries[0].day == ""


def test_imaging_says_how_much_there_is_and_a_report_who_read_it() -> None:
    entries = {entry.cite: entry for entry in timeline(RECORDS, RESULTS).entries}
    assert entries["ImagingStudy/s"].detail == "2 series, 300 images"
    assert entries["ImagingStudy/s"].study == "1.2.3"
    assert entries["DiagnosticReport/ct"].detail == "Dr. Brandt"


def test_each_line_has_an_anchor_of_its_own() -> None:
    entries = timeline(RECORDS, RESULTS).entries
    assert len({entry.anchor for entry in entries}) == len(entries) == 5


def test_a_course_is_drawn_on_a_true_axis_of_days() -> None:
    days = ("2026-01-01", "2026-01-11", "2026-04-11")
    course = labs.courses(labs.value_of(lab(day, "Hemoglobin", day, 13)) for day in days)[0]
    assert course.trend is not None
    across = [float(point.partition(",")[0]) for point in course.trend.points.split()]
    assert across == [3.0, 8.8, 61.0]
    assert labs.trend(course.values[:1]) is None


def test_tests_outside_their_range_come_first() -> None:
    values = [labs.value_of(each) for each in (*RESULTS.values(), lab("a", "Albumin", "2026-11-02", 13))]
    assert [course.test for course in labs.courses(values)] == ["Hemoglobin", "Albumin", "Sodium"]


def test_the_axis_shows_the_last_years_and_counts_what_is_older() -> None:
    drawn = axis(timeline(RECORDS, RESULTS).entries)
    assert drawn is not None
    assert drawn.older == 1
    assert max(mark.across for mark in drawn.marks) == 294
    assert len(drawn.lanes) == 4


def test_two_records_need_no_axis() -> None:
    assert axis(timeline(RECORDS[2:3], {}).entries) is None


def test_pictures_open_before_the_reports_that_came_as_images() -> None:
    paper = STUDY | {
        "id": "p",
        "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.4"}],
        "started": "2026-10-29",
        "series": [{"uid": "1.2.4.1", "modality": {"code": "DOC"}}],
    }
    studies = timeline([record(1, STUDY), record(2, paper)], {}).studies
    assert [each.study for each in studies] == ["1.2.4", "1.2.3"]
    assert [each.study for each in hung(studies)] == ["1.2.3"]
    assert [each.study for each in hung(studies, "1.2.4")][:1] == ["1.2.4"]
    assert [each.study for each in hung(studies[:1])] == ["1.2.4"]
