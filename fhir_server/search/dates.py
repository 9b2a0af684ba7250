"""Dates of any precision as half-open ranges of microseconds.  https://hl7.org/fhir/R4/search.html#date"""

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

from fhir_server.errors import Invalid

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
EARLIEST = -(1 << 61)
LATEST = 1 << 61

DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d:\d\d)?)?)?)?\Z", re.ASCII
)

Range = tuple[int, int]


def date_range(text: str) -> Range:
    """The range [low, high) that a date, dateTime or instant stands for; without a zone it is UTC. Raises Invalid."""
    match = DATE.match(text)
    if match is None:
        raise Invalid(f"'{text[:40]}' is not a date.")
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        leap = second == "60"
        seconds = 59 if leap else int(second or 0)
        clock = int(hour or 0), int(minute or 0), seconds
        start = datetime(int(year), int(month or 1), int(day or 1), *clock, tzinfo=_zone(zone))
        low = (start - EPOCH) // MICROSECOND + int((fraction or "")[:6].ljust(6, "0"))
    except (ValueError, OverflowError):
        raise Invalid(f"'{text[:40]}' is not a date.") from None
    return low, low + _width(match, start)


def _width(match: re.Match[str], start: datetime) -> int:
    _, month, day, hour, _, second, fraction, _ = match.groups()
    if fraction:
        return int(10 ** max(0, 6 - len(fraction)))
    if second:
        return 1_000_000
    if hour:
        return 60_000_000
    if day:
        return 86_400_000_000
    return (_next(start, whole_year=month is None) - start) // MICROSECOND


def _next(start: datetime, *, whole_year: bool) -> datetime:
    if start.year == 9999 and (whole_year or start.month == 12):
        return datetime.max.replace(tzinfo=start.tzinfo)
    if whole_year or start.month == 12:
        return start.replace(year=start.year + 1, month=1)
    return start.replace(month=start.month + 1)


def _zone(text: str | None) -> timezone:
    if text is None or text == "Z":
        return UTC
    sign = -1 if text[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(text[1:3]), minutes=int(text[4:6])))


def instant(microseconds: int) -> str:
    """An instant with milliseconds, UTC.  https://hl7.org/fhir/R4/datatypes.html#instant"""
    seconds, rest = divmod(microseconds, 1_000_000)
    return f"{_second(seconds)}.{rest // 1000:03d}Z"


@lru_cache(maxsize=100)
def _second(seconds: int) -> str:
    return (EPOCH + timedelta(seconds=seconds)).isoformat()[: -len("+00:00")]
