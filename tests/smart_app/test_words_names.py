"""Names and DICOM values as people read them."""

import pytest

from smart_app.words import Clock, dicom_date, dicom_name, dicom_value, name_in_other_script


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


def test_the_other_script_of_a_name() -> None:
    wang = {"name": [{"use": "official", "family": "Wang", "given": ["Xiuying"]}, {"text": "王秀英"}]}
    assert name_in_other_script(wang) == "王秀英"
    assert name_in_other_script({"name": [{"text": "王秀英"}, {"text": "Wang"}]}) == "Wang"
    assert name_in_other_script({"name": [{"family": "Lefèvre-Muñoz"}, {"family": "Nguyễn"}]}) == ""
    assert name_in_other_script(None) == ""


def test_a_clock_time_stands_with_its_zone() -> None:
    clock = Clock("America/Chicago")
    assert clock.moment("2020-07-03T21:40:07Z") == "Fri 3 Jul 2020, 16:40 CDT"
    assert clock.full("2020-01-03T21:40:07Z") == "Friday 3 January 2020, 15:40:07 CST (UTC-06:00)"
    assert Clock("America/Sao_Paulo").moment("2020-07-03T21:40:07Z").endswith("18:40 UTC-03")
    assert clock.full("2020-07") == "Jul 2020"
