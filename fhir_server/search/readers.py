"""A value of a resource as index rows of one table: a FHIR value to the columns of its rows.

https://hl7.org/fhir/R4/search.html#table  What cannot be read (a malformed date, say) gives no row: checking a resource
is the work of validation. Rows are tuples, so that those of values that come again and again are kept and shared.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

from fhir_server.errors import Invalid
from fhir_server.search.dates import EARLIEST, LATEST, date_range
from fhir_server.search.folding import folded
from fhir_server.search.hashing import hash64
from fhir_server.search.positions import point
from fhir_server.search.registry import Parameter
from fhir_server.search.ucum import SYSTEM as UCUM
from fhir_server.search.ucum import Units

# System of an element of type `code`: its binding implies the system, so any system in a query matches.
IMPLIED_SYSTEM = "*"
CURRENCY = "urn:iso:std:iso:4217"
STRING_LENGTH = 200
URI_LENGTH = 600
LOCAL_REFERENCE = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?\Z")
# Rows of values that come again are kept: codes, names, dates, units.
KEPT = 20_000
# The columns of a row by the type of its parameter, as the index tables have them behind those of every row.
ROW_COLUMNS = {
    "token": ("code_hash", "system", "code"),
    "string": ("value", "exact"),
    "date": ("low", "high"),
    "number": ("low", "high"),
    "quantity": ("code_hash", "system", "code", "unit", "low", "high", "canonical_low", "canonical_high"),
    "reference": ("target_hash", "target_type", "target_id", "url"),
    "uri": ("value",),
    "special": ("x", "y", "z"),
}

Row = tuple[Any, ...]
Rows = Sequence[Row]
Reader = Callable[[Any], Rows]
NONE: Rows = ()


def reader(parameter: Parameter, type_: str) -> Reader:
    """The rows that values of a FHIR type have for a parameter; references are read by `References`."""
    if parameter.type == "token":
        read = {"CodeableConcept": _concept, "Coding": _coding, "Identifier": _identifier, "ContactPoint": _contact}
        return partial(read.get(type_, partial(_plain_token, type_)), literal=parameter.literal)
    if parameter.type == "quantity":
        return partial(QUANTITIES.get(type_, _quantity), parameter.units)
    if parameter.type == "string":
        return partial(_strings, STRING_PARTS.get(type_, ("value",)))
    if parameter.type == "uri":
        return _canonical if type_ == "canonical" else _uri
    if parameter.type == "date":
        return DATES.get(type_, _date_text)
    return _position if parameter.type == "special" else _number


def token_text(code: str, *, literal: bool) -> str:
    """A code as it is compared."""
    return code if literal else code.casefold()


@lru_cache(maxsize=KEPT)
def token(system: str, code: str, literal: bool) -> Row:
    """A code as columns."""
    text = token_text(code, literal=literal)
    return hash64(text), system, text


def _concept(value: Any, *, literal: bool) -> Rows:
    codings = value.get("coding")
    return [row for coding in codings for row in _coding(coding, literal=literal)] if codings else NONE


def _coding(value: Any, *, literal: bool) -> Rows:
    return _coded(value.get("system") or "", value.get("code"), literal)


def _identifier(value: Any, *, literal: bool) -> Rows:
    return _coded(value.get("system") or "", value.get("value"), literal)


def _contact(value: Any, *, literal: bool) -> Rows:
    return _coded("", value.get("value"), literal)


def _coded(system: Any, code: Any, literal: bool) -> Rows:
    return (token(str(system), str(code or ""), literal),) if code is not None or system else NONE


def _plain_token(type_: str, value: Any, *, literal: bool) -> Rows:
    """A boolean, or text."""
    if value.__class__ is bool:
        return (token(IMPLIED_SYSTEM, "true" if value else "false", literal),)
    if isinstance(value, str):
        return (token(IMPLIED_SYSTEM if type_ == "code" else "", value, literal),)
    return NONE


def identifier_rows(value: Any) -> Rows:
    """The identifier of a logical reference."""
    identifier = value.get("identifier") if isinstance(value, dict) else None
    if isinstance(identifier, dict) and identifier.get("value"):
        return (token(identifier.get("system") or "", str(identifier["value"]), True),)
    return NONE


def of_type_rows(identifier: Any) -> Rows:
    """An identifier under each code of its type, for `:of-type`.  R4 search.html#modifiers"""
    type_, value = identifier.get("type"), identifier.get("value")
    if not isinstance(type_, dict) or not isinstance(value, str):
        return NONE
    systems = (f"{coding.get('system') or ''}|{coding.get('code') or ''}" for coding in type_.get("coding", ()))
    return [token(system, value, True) for system in systems]


def text_rows(type_: str, value: Any) -> Rows:
    """What people read of a token, for `:text`: text, display, the text of an identifier's type."""
    return [row for text in _texts(type_, value) for row in string_rows(text)]


def _texts(type_: str, value: Any) -> list[str]:
    if not isinstance(value, dict):
        return []
    if type_ == "Identifier":
        return _texts("CodeableConcept", value.get("type"))
    if type_ == "Coding":
        found = [value.get("display")]
    else:
        found = [value.get("text"), *[coding.get("display") for coding in value.get("coding", ())]]
    return [text for text in found if isinstance(text, str) and text]


STRING_PARTS = {
    "HumanName": ("text", "family", "given", "prefix", "suffix"),
    "Address": ("text", "line", "city", "district", "state", "postalCode", "country"),
    "CodeableConcept": ("text",),
    "Annotation": ("text",),
}


def _strings(parts: tuple[str, ...], value: Any) -> Rows:
    found = [item for part in parts for item in _listed(value.get(part))] if isinstance(value, dict) else [value]
    return [row for text in found if isinstance(text, str) and text for row in string_rows(text)]


@lru_cache(maxsize=KEPT)
def string_rows(text: str) -> Rows:
    """A text as compared; once more in Latin letters, marked by an empty `exact`, when it is written in others."""
    native, latin = folded(text)
    row = native[:STRING_LENGTH], text
    return (row,) if latin is None else (row, (latin[:STRING_LENGTH], ""))


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


@lru_cache(maxsize=KEPT)
def _date(value: str) -> Rows:
    try:
        return (date_range(value),)
    except Invalid:
        return NONE


def _date_text(value: Any) -> Rows:
    return _date(value) if isinstance(value, str) else NONE


def _period_rows(value: Any) -> Rows:
    try:
        return (_period(value),)
    except Invalid:
        return NONE


def _period(value: dict[str, Any]) -> tuple[int, int]:
    start, end = value.get("start"), value.get("end")
    return date_range(start)[0] if start else EARLIEST, date_range(end)[1] if end else LATEST


def _timing_rows(value: Any) -> Rows:
    """The outer limits: what is scheduled in between does not matter.  R4 search.html#date"""
    try:
        ranges = [date_range(event) for event in value.get("event", ())]
        bounds = value.get("repeat", {}).get("boundsPeriod")
        ranges += [_period(bounds)] if bounds else []
    except Invalid:
        return NONE
    return ((min(low for low, _ in ranges), max(high for _, high in ranges)),) if ranges else NONE


def _number(value: Any) -> Rows:
    return NONE if isinstance(value, bool | str | dict) else ((float(value), float(value)),)


def _range(units: Units, value: Any) -> Rows:
    low, high = value.get("low", {}), value.get("high", {})
    return (_measured(units, low or high, low.get("value"), high.get("value")),)


def _money(units: Units, value: Any) -> Rows:
    unit = {"system": CURRENCY, "code": value.get("currency", "")}
    return (_measured(units, unit, value.get("value"), value.get("value")),)


def _quantity(units: Units, value: Any) -> Rows:
    if not isinstance(value, dict) or value.get("value") is None:
        return NONE
    return (_measured(units, value, *_compared(value)),)


def _compared(quantity: dict[str, Any]) -> tuple[Any, Any]:
    """The values that a quantity may have: `<5` is open below.  https://hl7.org/fhir/R4/datatypes.html#Quantity"""
    value, comparator = quantity["value"], quantity.get("comparator") or ""
    return None if comparator.startswith("<") else value, None if comparator.startswith(">") else value


def _measured(units: Units, unit: dict[str, Any], low: Any, high: Any) -> Row:
    code, system = unit.get("code") or "", unit.get("system") or ""
    measure = units.canonical(code) if system == UCUM else None
    number = measure.of if measure else _float
    plain = float("-inf") if low is None else _float(low), float("inf") if high is None else _float(high)
    base = plain[0] if low is None else number(low)
    top = base if high is low and low is not None else plain[1] if high is None else number(high)
    key = unit_key(measure.code) if measure else hash64(code)
    return key, system, code, unit.get("unit") or "", *plain, base, top


def unit_key(base_units: str) -> int:
    """What quantities of the same base units are stored under."""
    return hash64(UCUM, base_units)


def _float(value: Any) -> float:
    return float(str(value))


def _uri(value: Any) -> Rows:
    return ((value[:URI_LENGTH],),) if isinstance(value, str) else NONE


def _canonical(value: Any) -> Rows:
    """With its version, and without."""
    if not isinstance(value, str):
        return NONE
    url, bar, _ = value.partition("|")
    return ((value[:URI_LENGTH],), (url[:URI_LENGTH],)) if bar else ((value[:URI_LENGTH],),)


def _position(value: Any) -> Rows:
    try:
        return (point(float(value["latitude"]), float(value["longitude"])),)
    except (KeyError, TypeError, ValueError):
        return NONE


DATES: dict[str, Reader] = {"Period": _period_rows, "Timing": _timing_rows}
QUANTITIES: dict[str, Callable[[Units, Any], Rows]] = {"Range": _range, "Money": _money}


class References:
    """Reads references; those below the server's own address are local ones."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.row = lru_cache(maxsize=KEPT)(self._row)

    def of_reference(self, value: Any) -> Rows:
        """What a Reference says."""
        return self.of_text(value.get("reference") if isinstance(value, dict) else value)

    def of_canonical(self, value: Any) -> Rows:
        """A canonical with its version, and without."""
        rows = self.of_text(value)
        url, bar, _ = value.partition("|") if rows else ("", "", "")
        return [*rows, self.row(url)] if bar else rows

    def of_text(self, text: Any) -> Rows:
        """A uri, or the text of a Reference."""
        return NONE if not isinstance(text, str) or not text or text.startswith("#") else (self.row(text),)

    def _row(self, text: str) -> Row:
        """A literal reference as columns: type and id when it is local, else its URL."""
        match = LOCAL_REFERENCE.match(text.removeprefix(self.base_url))
        if match:
            target_type, target_id = match.groups()
            return hash64(target_type, target_id), target_type, target_id, None
        return hash64(text), "", "", text
