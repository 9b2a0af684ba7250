"""FHIR values in words: names, dates, ages, concepts.  Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def parse_moment(value: str) -> datetime | None:
    """A FHIR instant or dateTime with a time as an aware datetime; None for anything less.  datatypes.html#dateTime"""
    if "T" not in value:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Clock:
    """Dates and times as people say them, in one time zone (empty: the machine's)."""

    def __init__(self, time_zone: str = "") -> None:
        self.zone: tzinfo | None = ZoneInfo(time_zone) if time_zone else None

    def now(self) -> datetime:
        """The present, in this zone."""
        return datetime.now(UTC).astimezone(self.zone)

    def local(self, value: str) -> datetime | None:
        """A FHIR dateTime in this zone."""
        moment = parse_moment(value)
        return moment.astimezone(self.zone) if moment else None

    def day(self, value: str | None) -> str:
        """`3 Nov 2026`; a partial date stays partial (`Nov 2026`, `2026`)."""
        if not value:
            return ""
        moment = self.local(value)
        parts = (moment.date().isoformat() if moment else value[:10]).split("-")
        words = [str(int(part)) if place else part for place, part in enumerate(parts)]
        if len(words) > 1:
            words[1] = MONTHS[int(parts[1]) - 1]
        return " ".join(reversed(words))

    def moment(self, value: str | None) -> str:
        """`today 16:40 CST`, `yesterday 16:40 CST`, `Tue 3 Nov, 16:40 CST`, with the year when it is another one."""
        local = self.local(value) if value else None
        if local is None:
            return self.day(value)
        time, days = f"{local.strftime('%H:%M')} {zone_of(local)}", (self.now().date() - local.date()).days
        if days in (0, 1):
            return f"{'yesterday' if days else 'today'} {time}"
        year = f" {local.year}" if local.year != self.now().year else ""
        return f"{local.strftime('%a')} {local.day} {MONTHS[local.month - 1]}{year}, {time}"

    def full(self, value: str | None) -> str:
        """`Tuesday 3 November 2026, 16:40:07 CST (UTC-06:00)`: the whole moment, for a title."""
        local = self.local(value) if value else None
        if local is None:
            return self.day(value)
        offset = local.strftime("%z")
        day, time = f"{local.strftime('%A')} {local.day} {local.strftime('%B %Y')}", local.strftime("%H:%M:%S")
        return f"{day}, {time} {zone_of(local)} (UTC{offset[:3]}:{offset[3:5]})"

    def ago(self, value: str | None) -> str:
        """`just now`, `5 minutes ago`, `3 hours ago`, `2 days ago`; a date when it is older than two weeks."""
        local = self.local(value) if value else None
        if local is None:
            return self.day(value)
        passed = self.now() - local
        for limit, unit, name in (
            (timedelta(minutes=1), timedelta(0), ""),
            (timedelta(hours=1), timedelta(minutes=1), "minute"),
            (timedelta(days=1), timedelta(hours=1), "hour"),
            (timedelta(days=14), timedelta(days=1), "day"),
        ):
            if passed < limit:
                return f"{counted(int(passed / unit), name)} ago" if name else "just now"
        return self.day(value)


def zone_of(local: datetime) -> str:
    """The zone beside a clock time: `CST`, `CET`; zones that have no letters as `UTC-03`."""
    name = local.tzname() or ""
    return f"UTC{name}" if name[:1] in ("+", "-") else name


def dicom_date(value: str | None) -> str:
    """A DICOM DA (`20260103`) as FHIR writes dates; what is no such date stays as it is.  PS3.5 6.2"""
    plain = (value or "").replace("-", "")
    return f"{plain[:4]}-{plain[4:6]}-{plain[6:8]}" if len(plain) == 8 and plain.isdigit() else ""


def dicom_name(value: str) -> str:
    """A DICOM PN as people write names, further scripts in brackets: `Wang^Xiu Ying=王^秀英`.  PS3.5 6.2.1"""
    groups = [_one_script(group) for group in value.split("=") if group.strip("^ ")]
    return f"{groups[0]} ({', '.join(groups[1:])})" if len(groups) > 1 else "".join(groups)


def _one_script(group: str) -> str:
    family, given, middle, prefix, suffix = (*group.split("^"), "", "", "", "", "")[:5]
    if any(character >= "\u2e80" for character in group):  # family name first, and no blank between
        return f"{family}{given}{middle}"
    return " ".join(part for part in (prefix, given, middle, family, suffix) if part)


def dicom_value(value: str | None, tag: str) -> str:
    """A DICOM value of a person's identity as people read it: names and dates; all else as it is."""
    shown = value or ""
    if tag == "(0010,0010)":
        return dicom_name(shown)
    return {"F": "female", "M": "male", "O": "other"}.get(shown, shown) if tag == "(0010,0040)" else shown


def counted(number: int, noun: str) -> str:
    """`1 image`, `212 images`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def sentence_list(items: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else "".join(items)


def person_name(resource: Mapping[str, Any] | None) -> str:
    """The name of a Patient, Practitioner or RelatedPerson: official before usual before any, as it stands there."""
    names = (resource or {}).get("name") or []
    if isinstance(names, str):
        return names
    ranked = sorted(
        names,
        key=lambda name: ("official", "usual").index(name["use"]) if name.get("use") in ("official", "usual") else 2,
    )
    return human_name(ranked[0]) if ranked else "Name unknown"


def name_in_other_script(resource: Mapping[str, Any] | None) -> str:
    """The person's name as it is written in another script than `person_name` is, else empty."""
    shown = person_name(resource)
    names = (human_name(name) for name in (resource or {}).get("name") or [] if isinstance(name, Mapping))
    return next((name for name in names if _is_latin(name) != _is_latin(shown)), "")


SCRIPTS = (  # first code point, last, language where the person's own is not written so
    ("\u0590", "\u05ff", "he"),
    ("\u0600", "\u06ff", "ar"),
    ("\u0370", "\u03ff", "el"),
    ("\u0400", "\u04ff", "ru"),
    ("\u3040", "\u30ff", "ja"),
    ("\u4e00", "\u9fff", "zh"),
    ("\uac00", "\ud7a3", "ko"),
)
WRITTEN_SO = {"ar": ("fa", "ur"), "ru": ("uk", "bg", "sr"), "zh": ("ja", "ko")}


def script_language(text: str, spoken: str = "") -> str:
    """The BCP 47 tag for a name: the language the person speaks if the name is in its script, else the script's own."""
    for first, last, language in SCRIPTS:
        if any(first <= character <= last for character in text):
            return spoken if spoken.split("-")[0] in (language, *WRITTEN_SO.get(language, ())) else language
    return spoken if spoken and spoken.split("-")[0] not in {each[2] for each in SCRIPTS} else "en"


def _is_latin(text: str) -> bool:
    return all(character < "\u0370" or "\u1e00" <= character <= "\u1eff" for character in text if character.isalpha())


def human_name(name: Mapping[str, Any]) -> str:
    """One HumanName: its text, else prefix, given and family."""
    if text := name.get("text"):
        return str(text)
    parts = [*name.get("prefix", []), *name.get("given", []), name.get("family", ""), *name.get("suffix", [])]
    return " ".join(part for part in parts if part)


def age(birth_date: str | None, today: date | None = None) -> str:
    """`58 y`, `7 mo`, `12 d`; empty without a full birth date."""
    if not birth_date or len(birth_date) != 10:
        return ""
    born, now = date.fromisoformat(birth_date), today or datetime.now(UTC).date()
    years = now.year - born.year - ((now.month, now.day) < (born.month, born.day))
    if years >= 2:
        return f"{years} y"
    days = (now - born).days
    return f"{days // 30} mo" if days >= 60 else f"{days} d"


def concept(value: Mapping[str, Any] | None) -> str:
    """A CodeableConcept in words: its text, else the first display, else the first code."""
    if not value:
        return ""
    codings = value.get("coding", [])
    displays = [coding["display"] for coding in codings if coding.get("display")]
    codes = [coding["code"] for coding in codings if coding.get("code")]
    return str(value.get("text") or next(iter(displays or codes), ""))


def code_in(value: Mapping[str, Any] | None, system: str) -> str | None:
    """The code that a CodeableConcept has in one system."""
    codings = (value or {}).get("coding", [])
    return next((coding.get("code") for coding in codings if coding.get("system") == system), None)
