"""ImagingStudy out of the index's attributes."""

from typing import Any

import pytest

from dicom_gateway.publish.imaging_study import StudyContent, imaging_study, outside_patient, started


def attribute(value: Any, vr: str = "LO") -> dict[str, Any]:
    return {"vr": vr, "Value": [value]}


@pytest.mark.parametrize(
    ("date", "time", "offset", "expected"),
    [
        ("20240517", "101500", "", "2024-05-17T10:15:00+02:00"),
        ("20241217", "101500", "", "2024-12-17T10:15:00+01:00"),
        ("20240517", "101500.123", "-0500", "2024-05-17T10:15:00-05:00"),
        ("20240517", "1015", "", "2024-05-17T10:15:00+02:00"),
        ("20240517", "", "", "2024-05-17"),
        ("20240517", "nonsense", "", "2024-05-17"),
        ("2024.05.17", "", "", "2024-05-17"),
        ("20241399", "101500", "", None),
        ("", "101500", "", None),
    ],
)
def test_started_has_an_offset_whenever_it_has_a_time(date: str, time: str, offset: str, expected: str | None) -> None:
    model = {"00080020": attribute(date), "00080030": attribute(time), "00080201": attribute(offset)}
    assert started(model, ("00080020", "00080030"), "Europe/Berlin") == expected


def test_study_names_acquisition_modalities_and_issuers() -> None:
    issuer = {"00400032": attribute("1.2.3"), "00400033": attribute("ISO")}
    study = {
        "0020000D": attribute("1.2"),
        "00080050": attribute("A1"),
        "00080051": attribute(issuer, "SQ"),
        "00080061": {"vr": "CS", "Value": ["CT", "SR", "PR"]},
    }
    series = {**study, "0020000E": attribute("1.2.1"), "00080060": attribute("CT"), "00200011": attribute(-3, "IS")}
    item = {**series, "00080018": attribute("1.2.1.1"), "00080016": attribute("1.2.840.10008.5.1.4.1.1.2")}
    found = imaging_study(StudyContent(study, [series], [item]), "UTC")
    assert [coding["code"] for coding in found["modality"]] == ["CT"]
    assert found["identifier"][0] == {"system": "urn:dicom:uid", "value": "urn:oid:1.2"}
    assert found["identifier"][1]["system"] == "urn:oid:1.2.3"
    assert found["series"][0]["instance"] == [
        {"uid": "1.2.1.1", "sopClass": {"system": "urn:ietf:rfc:3986", "code": "urn:oid:1.2.840.10008.5.1.4.1.1.2"}}
    ]
    assert "number" not in found["series"][0] and "started" not in found and "description" not in found


def test_outside_patient_is_quarantined_and_keeps_scripts_apart() -> None:
    name = {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}
    model = {"00100010": attribute(name, "PN"), "00100020": attribute("7"), "00100021": attribute("STANNA")}
    found = outside_patient(model, "1.2")
    assert found["meta"]["security"][0]["code"] == "quarantined"
    assert [item["extension"][0]["valueCode"] for item in found["name"]] == ["ABC", "IDE"]
    assert found["identifier"][1] == {"value": "7", "assigner": {"display": "STANNA"}}
    assert "birthDate" not in found and "gender" not in found
