"""DICOM values as people read them."""

import pytest

from smart_app.words import dicom_date, dicom_name, dicom_value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("Lefèvre^Rene", "Rene Lefèvre"),
        ("Wang^Xiu Ying=王^秀英", "Xiu Ying Wang (王秀英)"),
        ("^^^^", ""),
        ("Brandt^Ilse^^Dr.", "Dr. Ilse Brandt"),
        ("ONLYFAMILY", "ONLYFAMILY"),
    ],
)
def test_names(value: str, shown: str) -> None:
    assert dicom_name(value) == shown


def test_dates_and_sex() -> None:
    assert dicom_date("19640311") == "1964-03-11"
    assert dicom_date("about 1964") == ""
    assert dicom_value("F", "(0010,0040)") == "female"
    assert dicom_value(None, "(0010,0040)") == ""
