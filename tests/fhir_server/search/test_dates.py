"""Dates as ranges: https://hl7.org/fhir/R4/search.html#date"""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.errors import Invalid
from fhir_server.search.dates import EPOCH, MICROSECOND, date_range, instant

DAY = 86_400_000_000


@pytest.mark.parametrize(
    ("text", "start", "width"),
    [
        ("2024", datetime(2024, 1, 1, tzinfo=UTC), 366 * DAY),
        ("2023-02", datetime(2023, 2, 1, tzinfo=UTC), 28 * DAY),
        ("2023-12", datetime(2023, 12, 1, tzinfo=UTC), 31 * DAY),
        ("2023-02-28", datetime(2023, 2, 28, tzinfo=UTC), DAY),
        ("2023-02-28T10:20", datetime(2023, 2, 28, 10, 20, tzinfo=UTC), 60_000_000),
        ("2023-02-28T10:20:30Z", datetime(2023, 2, 28, 10, 20, 30, tzinfo=UTC), 1_000_000),
        ("2023-02-28T10:20:30.5Z", datetime(2023, 2, 28, 10, 20, 30, 500_000, tzinfo=UTC), 100_000),
        ("2023-02-28T10:20:30.123456789Z", datetime(2023, 2, 28, 10, 20, 30, 123_456, tzinfo=UTC), 1),
        ("2023-02-28T00:20:30+02:00", datetime(2023, 2, 27, 22, 20, 30, tzinfo=UTC), 1_000_000),
        ("9999-12", datetime(9999, 12, 1, tzinfo=UTC), None),
    ],
)
def test_precision_is_the_width(text: str, start: datetime, width: int | None) -> None:
    low, high = date_range(text)
    assert EPOCH + timedelta(microseconds=low) == start
    assert width is None or high - low == width
    assert high > low


@pytest.mark.parametrize(
    "text",
    ["", "24", "2024-1", "2024-13", "2024-02-30", "2024-01-01T25:00", "2024-01-01 10:00", "x", "２０２４", "0000"],
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        date_range(text)


@given(st.text(max_size=30))
def test_any_text_gives_a_range_or_invalid(text: str) -> None:
    try:
        low, high = date_range(text)
    except Invalid:
        return
    assert low < high


@given(st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1)))  # noqa: DTZ001
def test_an_instant_reads_back_to_the_millisecond(moment: datetime) -> None:
    microseconds = (moment.replace(tzinfo=UTC) - EPOCH) // MICROSECOND // 1000 * 1000
    assert date_range(instant(microseconds))[0] == microseconds
