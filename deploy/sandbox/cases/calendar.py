"""When the steps of a story happened: on working days, in working hours, one after the other, never in the future."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from smart_app.words import Clock

HOURS = ((9, 12), (11, 34), (14, 47), (10, 21), (15, 38), (13, 5), (16, 26), (8, 53))
LAST_MINUTES = 7


class Fixed(Clock):
    """A clock that stands at one moment: the moment that a person's client writes into what it sends."""

    def __init__(self, moment: datetime, time_zone: str) -> None:
        super().__init__(time_zone)
        self.moment_now = moment

    def now(self) -> datetime:
        """The moment at which the clock stands, in its zone."""
        return self.moment_now.astimezone(self.zone)


def clocks(days: float, since: float, steps: int, time_zone: str, seed: int) -> list[Fixed]:
    """A clock for the asking, `days` ago, and one for each step up to the last one, `since` days ago."""
    present = datetime.now(UTC).astimezone(ZoneInfo(time_zone))
    spans = [days - (days - since) * step / max(steps, 1) for step in range(steps + 1)]
    moments = sorted(working(present - timedelta(days=span), seed + at) for at, span in enumerate(spans))
    latest = present - timedelta(minutes=LAST_MINUTES * len(moments))
    capped = [min(moment, latest + timedelta(minutes=LAST_MINUTES * at)) for at, moment in enumerate(moments)]
    return [Fixed(moment, time_zone) for moment in capped]


def working(moment: datetime, seed: int) -> datetime:
    """A moment of that day within working hours; of a weekend, on the Friday before."""
    moment -= timedelta(days=max(0, moment.weekday() - 4))
    hour, minute = HOURS[seed % len(HOURS)]
    return moment.replace(hour=hour, minute=(minute + seed * 7) % 60, second=seed * 13 % 60, microsecond=0)
