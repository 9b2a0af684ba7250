"""Dates and times with the precision in which they are written.  https://hl7.org/fhirpath/N1/#datetime-comparison"""

import calendar
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache

TEXT = re.compile(
    r"(?:(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d))?)?)?"
    r"(?:(?:^|T)(?P<hour>\d\d)(?::(?P<minute>\d\d)(?::(?P<second>\d\d(?:\.\d+)?))?)?(?P<zone>Z|[+-]\d\d:\d\d)?)?\Z"
)
PARTS = ("year", "month", "day", "hour", "minute", "second")
SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800, "s": 1, "min": 60, "h": 3600}
SECONDS |= {"d": 86400, "wk": 604800}
MONTHS = {"month": 1, "year": 12, "mo": 1, "a": 12}
Parts = tuple[Decimal | int, ...]


@lru_cache(maxsize=4096)
def parts_of(text: str) -> tuple[Parts, bool, bool] | None:
    """(parts as far as they are written and in UTC when a zone stands there, has a zone, is a time of day)."""
    match = TEXT.match(text)
    if match is None or not text:
        return None
    is_time = match.group("year") is None
    names = PARTS[3:] if is_time else PARTS
    parts: list[Decimal | int] = []
    for name in names:
        written = match.group(name)
        if written is None:
            break
        parts.append(Decimal(written) if name == "second" else int(written))
    zone = match.group("zone")
    if not _possible(tuple(parts), is_time):
        return None
    return (_in_utc(tuple(parts), zone) if zone else tuple(parts)), zone is not None, is_time


def _possible(parts: Parts, is_time: bool) -> bool:
    clock = parts if is_time else parts[3:]
    if any(part >= limit for part, limit in zip(clock, (24, 60, 61), strict=False)):
        return False
    if is_time or not parts:
        return bool(parts)
    year, month, day = (int(part) for part in (*parts[:3], 1, 1)[:3])
    return year > 0 and 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]


def _in_utc(parts: Parts, zone: str) -> Parts:
    if len(parts) < 5 or zone == "Z":
        return parts
    offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6])) * (-1 if zone[0] == "-" else 1)
    year, month, day, hour, minute = (int(part) for part in parts[:5])
    try:
        there = datetime(year, month, day, hour, minute, tzinfo=UTC) - offset
    except OverflowError:
        return parts
    return (there.year, there.month, there.day, there.hour, there.minute, *parts[5:])


def compare(first: str, second: str) -> int | None:
    """-1, 0 or 1; None when the precision does not tell, or they are not both dates or both times of day."""
    left, right = parts_of(first), parts_of(second)
    if left is None or right is None or left[2] != right[2]:
        return None
    for one, other in zip(left[0], right[0], strict=False):
        if one != other:
            return -1 if one < other else 1
    return 0 if len(left[0]) == len(right[0]) else None


def shifted(text: str, amount: Decimal, unit: str) -> str | None:
    """A date, time or both moved by a quantity of time; None for a unit that is none.

    Units finer than the date's own precision count in whole ones of it.  https://hl7.org/fhirpath/N1/#datetime-arithmetic
    """
    known = parts_of(text)
    unit = unit.removesuffix("s") if len(unit) > 3 else unit
    if known is None:
        return None
    if unit in {"millisecond", "ms"}:
        amount, unit = amount / 1000, "second"
    if known[2]:
        return _shifted_time(known[0], amount, unit)
    zone = re.search(r"(Z|[+-]\d\d:\d\d)\Z", text) if "T" in text else None
    bare = text[: zone.start()] if zone else text
    local = parts_of(bare)
    moved = _shifted_date(local[0], amount, unit) if local else None
    return None if moved is None else moved + (zone.group() if zone else "")


def _shifted_time(parts: Parts, amount: Decimal, unit: str) -> str | None:
    if unit not in SECONDS:
        return None
    scale = (3600, 60, 1)
    total = sum(Decimal(part) * size for part, size in zip(parts, scale, strict=False)) + amount * SECONDS[unit]
    total %= 86400
    written = [f"{int(total // 3600):02}", f"{int(total % 3600 // 60):02}", _seconds(total % 60)]
    return ":".join(written[: len(parts)])


def _shifted_date(parts: Parts, amount: Decimal, unit: str) -> str | None:
    if len(parts) < 3 and unit in SECONDS:
        # A month is reckoned as thirty days, a year as 365, and only whole ones count.
        size = 365 if len(parts) == 1 else 30
        amount, unit = Decimal(int(amount * SECONDS[unit] / 86400 / size)), "year" if len(parts) == 1 else "month"
    if unit in MONTHS:
        return _written(_add_months(parts, int(amount) * MONTHS[unit]))
    if unit not in SECONDS:
        return None
    seconds = amount * SECONDS[unit]
    if len(parts) == 3:
        seconds = Decimal(int(seconds / 86400) * 86400)
    zeros: Parts = (0, 0, 0)
    year, month, day, hour, minute, second = (*parts, *zeros)[:6]
    total = Decimal(date(int(year), int(month), int(day)).toordinal()) * 86400 + hour * 3600 + minute * 60 + second
    total += seconds
    try:
        there = date.fromordinal(int(total // 86400))
    except (ValueError, OverflowError):
        return None
    rest = total % 86400
    moved = (there.year, there.month, there.day, int(rest // 3600), int(rest % 3600 // 60), rest % 60)
    return _written(moved[: len(parts)])


def _add_months(parts: Parts, months: int) -> Parts | None:
    whole = int(parts[0]) * 12 + (int(parts[1]) - 1 if len(parts) > 1 else 0) + months
    year, month = divmod(whole, 12)
    if not 1 <= year <= 9999:
        return None
    day = [min(int(parts[2]), calendar.monthrange(year, month + 1)[1])] if len(parts) > 2 else []
    return (year, month + 1, *day, *parts[3:]) if len(parts) > 1 else (year,)


def _written(parts: Parts | None) -> str | None:
    if parts is None:
        return None
    numbers = [f"{int(parts[0]):04}", *(f"{int(part):02}" for part in parts[1:5])]
    numbers += [_seconds(part) for part in parts[5:]]
    return "-".join(numbers[:3]) + ("T" + ":".join(numbers[3:]) if len(numbers) > 3 else "")


def _seconds(value: Decimal | int) -> str:
    whole, _, rest = f"{Decimal(value):f}".partition(".")
    return whole.zfill(2) + (f".{rest}" if rest else "")
