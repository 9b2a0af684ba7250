"""The day an opinion is promised for: working days by product and urgency.  Pure."""

from datetime import UTC, date, datetime, time, timedelta, tzinfo

WORKING_DAYS = {
    "quick-read": 2,
    "written-opinion": 7,
    "imaging-reread": 3,
    "pathology-reread": 6,
    "tumour-board": 10,
}
DEFAULT_DAYS = 7


def promised_day(product: str, urgency: str, today: date) -> date:
    """The last day of the promise: urgent halves the time (at least one working day), asap is the next working day."""
    days = WORKING_DAYS.get(product, DEFAULT_DAYS)
    if urgency == "urgent":
        days = max(1, days // 2)
    if urgency == "asap":
        days = 1
    return _working_days_later(today, days)


def end_of(day: date, zone: tzinfo | None = None) -> str:
    """18:00 of a day as a FHIR dateTime: when a promise made for that day is broken."""
    moment = datetime.combine(day, time(18, 0), tzinfo=zone or UTC)
    return moment.isoformat()


def _working_days_later(day: date, days: int) -> date:
    while days:
        day += timedelta(days=1)
        days -= day.weekday() < 5
    return day
