"""The formats of primitive types.  https://hl7.org/fhir/R4/datatypes.html#primitive"""

import binascii
import calendar
import re
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Any

YEAR = r"([0-9]([0-9]([0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)"
MONTH = r"(0[1-9]|1[0-2])"
DAY = r"(0[1-9]|[12][0-9]|3[01])"
CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?"
ZONE = r"(Z|[+-]((0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
MOST_CHARACTERS = 1024 * 1024
KEPT, LONGEST_KEPT = 5_000, 100
SPACES = re.compile(r"\s+")

PATTERNS = {
    "code": r"[^\s]+(\s[^\s]+)*",
    "id": r"[A-Za-z0-9\-.]{1,64}",
    "uri": r"\S*",
    "url": r"\S*",
    "canonical": r"\S*",
    "oid": r"urn:oid:[0-2](\.(0|[1-9][0-9]*))+",
    "uuid": r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "date": f"{YEAR}(-{MONTH}(-{DAY})?)?",
    "dateTime": f"{YEAR}(-{MONTH}(-{DAY}(T{CLOCK}{ZONE})?)?)?",
    "instant": f"{YEAR}-{MONTH}-{DAY}T{CLOCK}{ZONE}",
    "time": CLOCK,
}
DATES = frozenset({"date", "dateTime", "instant"})
INTEGERS = {"integer": (-(2**31), 2**31 - 1), "positiveInt": (1, 2**31 - 1), "unsignedInt": (0, 2**31 - 1)}
# What the JSON value must be, whatever its format.
KINDS = {"boolean": "true or false", "decimal": "a number", **dict.fromkeys(INTEGERS, "a whole number")}

Fits = Callable[[Any], bool]


def has_kind(type_: str, value: Any) -> bool:
    """Whether the JSON value is of the right kind: text, number or truth value."""
    if type_ == "boolean":
        return value is True or value is False
    if type_ in KINDS:
        return isinstance(value, int | Decimal | float) and not isinstance(value, bool)
    return isinstance(value, str) and value != ""


@lru_cache(maxsize=64)
def format_of(type_: str) -> Fits:
    """A test of the format of a value that has the right kind."""
    if type_ in INTEGERS:
        low, high = INTEGERS[type_]
        return lambda value: low <= value <= high and (value.__class__ is int or str(value).lstrip("-").isdigit())
    if type_ in DATES:
        return _date_format(re.compile(PATTERNS[type_]))
    if type_ in PATTERNS:
        return _text_format(re.compile(PATTERNS[type_]))
    if type_ == "base64Binary":
        return _is_base64
    if type_ in {"string", "markdown"}:
        return lambda value: len(value) <= MOST_CHARACTERS and not value.isspace() and not _has_control(value)
    return lambda value: True


def _text_format(pattern: re.Pattern[str]) -> Fits:
    """Codes and addresses of code systems come again and again; what is long hardly does."""
    match = pattern.fullmatch
    known = lru_cache(maxsize=KEPT)(lambda value: match(value) is not None)
    return lambda value: known(value) if len(value) <= LONGEST_KEPT else match(value) is not None


CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")


def _has_control(value: str) -> bool:
    return not value.isprintable() and CONTROL.search(value) is not None


def _date_format(pattern: re.Pattern[str]) -> Fits:
    match = pattern.fullmatch

    def fits(value: str) -> bool:
        if match(value) is None:
            return False
        return len(value) < 10 or value[8:10] < "29" or _day_exists(value)

    return fits


def _day_exists(value: str) -> bool:
    return int(value[8:10]) <= calendar.monthrange(int(value[:4]), int(value[5:7]))[1]


def _is_base64(value: str) -> bool:
    try:
        binascii.a2b_base64(SPACES.sub("", value).encode("ascii"), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError):
        return False
    return True
