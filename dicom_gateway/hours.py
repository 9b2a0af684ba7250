"""Hours of the day, as `18:00-06:00` or `sat,sun 00:00-24:00`: when a rule holds, when a peer may be used.  Pure."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
SPAN = re.compile(r"(?:([a-z,]+) )?([01]\d|2[0-4]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")
A_DAY = 24 * 60


def checked(spans: Sequence[str]) -> Sequence[str]:
    """The spans themselves.  Raises ValueError."""
    for span in spans:
        found = SPAN.fullmatch(span)
        if found is None or set(filter(None, (found[1] or "").split(","))) - {*DAYS}:
            raise ValueError(f"{span!r} is no span such as 18:00-06:00 or sat,sun 08:00-12:00")
    return spans


def within(spans: Sequence[str], moment: datetime) -> bool:
    """Whether a moment lies in one of the spans; without any, always.

    A span past midnight belongs to the day on which it begins.
    """
    return not spans or any(_covers(span, moment) for span in spans)


def seconds_until(spans: Sequence[str], moment: datetime) -> float:
    """How long until one of the spans begins; 0 within one."""
    start = moment.replace(second=0, microsecond=0)
    for minutes in range(8 * A_DAY):
        if within(spans, start + timedelta(minutes=minutes)):
            return max(0.0, minutes * 60 - (moment - start).total_seconds())
    return float(A_DAY * 60)


def _covers(span: str, moment: datetime) -> bool:
    found = SPAN.fullmatch(span)
    if found is None:
        return False
    days = found[1].split(",") if found[1] else DAYS
    begins, ends = int(found[2]) * 60 + int(found[3]), int(found[4]) * 60 + int(found[5])
    minute, today = moment.hour * 60 + moment.minute, DAYS[moment.weekday()]
    if begins < ends:
        return today in days and begins <= minute < ends
    yesterday = DAYS[moment.weekday() - 1]
    return (today in days and minute >= begins) or (yesterday in days and minute < ends)
