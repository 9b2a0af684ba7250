"""A value of a resource as index rows of one table: (parameter, FHIR type, value) to columns.

https://hl7.org/fhir/R4/search.html#table  What cannot be read (a malformed date, say) gives no row: checking a resource
is the work of validation.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from fhir_server.errors import Invalid
from fhir_server.search.dates import EARLIEST, LATEST, date_range
from fhir_server.search.folding import folded
from fhir_server.search.hashing import hash64
from fhir_server.search.registry import Parameter
from fhir_server.search.ucum import SYSTEM as UCUM

# System of an element of type `code`: its binding implies the system, so any system in a query matches.
IMPLIED_SYSTEM = "*"
CURRENCY = "urn:iso:std:iso:4217"
STRING_LENGTH = 200
URI_LENGTH = 600
LOCAL_REFERENCE = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?\Z")

Row = dict[str, Any]
Rows = Iterator[Row]


def token_text(code: str, *, literal: bool) -> str:
    """A code as it is compared."""
    return code if literal else code.casefold()


def token(system: str, code: Any, *, literal: bool) -> Row:
    """A code as columns."""
    text = token_text(str(code), literal=literal)
    return {"code_hash": hash64(text), "system": system, "code": text}


def _token_rows(parameter: Parameter, type_: str, value: Any) -> Rows:
    if type_ == "CodeableConcept":
        for coding in value.get("coding", ()):
            yield from _token_rows(parameter, "Coding", coding)
    elif type_ in {"Coding", "Identifier", "ContactPoint"}:
        code = value.get("code" if type_ == "Coding" else "value")
        system = "" if type_ == "ContactPoint" else value.get("system") or ""
        if code is not None or system:
            yield token(str(system), code or "", literal=parameter.literal)
    elif isinstance(value, bool):
        yield token(IMPLIED_SYSTEM, "true" if value else "false", literal=parameter.literal)
    elif isinstance(value, str):
        yield token(IMPLIED_SYSTEM if type_ == "code" else "", value, literal=parameter.literal)


def identifier_rows(identifier: Any) -> Rows:
    """The identifier of a logical reference."""
    if isinstance(identifier, dict) and identifier.get("value"):
        yield token(identifier.get("system") or "", identifier["value"], literal=True)


def of_type_rows(identifier: Any) -> Rows:
    """An identifier under each code of its type, for `:of-type`.  R4 search.html#modifiers"""
    type_, value = identifier.get("type"), identifier.get("value")
    if not isinstance(type_, dict) or not isinstance(value, str):
        return
    for coding in type_.get("coding", ()):
        yield token(f"{coding.get('system') or ''}|{coding.get('code') or ''}", value, literal=True)


def texts(type_: str, value: Any) -> list[str]:
    """What people read of a token, for `:text`: text, display, the text of an identifier's type."""
    if not isinstance(value, dict):
        return []
    if type_ == "Identifier":
        return texts("CodeableConcept", value.get("type"))
    if type_ == "Coding":
        found = [value.get("display")]
    else:
        found = [value.get("text"), *(coding.get("display") for coding in value.get("coding", ()))]
    return [text for text in found if isinstance(text, str) and text]


STRING_PARTS = {
    "HumanName": ("text", "family", "given", "prefix", "suffix"),
    "Address": ("text", "line", "city", "district", "state", "postalCode", "country"),
    "CodeableConcept": ("text",),
    "Annotation": ("text",),
}


def _string_rows(parameter: Parameter, type_: str, value: Any) -> Rows:
    if isinstance(value, dict):
        parts = STRING_PARTS.get(type_, ("value",))
        found = [item for part in parts for item in _listed(value.get(part))]
    else:
        found = [value]
    for text in found:
        if isinstance(text, str) and text:
            yield from string_rows(text)


def string_rows(text: str) -> Rows:
    """A text as compared; once more in Latin letters, marked by an empty `exact`, when it is written in others."""
    native, latin = folded(text)
    yield {"value": native[:STRING_LENGTH], "exact": text}
    if latin is not None:
        yield {"value": latin[:STRING_LENGTH], "exact": ""}


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _date_rows(parameter: Parameter, type_: str, value: Any) -> Rows:
    try:
        if isinstance(value, str):
            low, high = date_range(value)
            yield {"low": low, "high": high}
        elif type_ == "Period":
            yield _period(value)
        elif type_ == "Timing":
            yield from _timing_rows(value)
    except Invalid:
        return


def _period(value: dict[str, Any]) -> Row:
    start, end = value.get("start"), value.get("end")
    return {"low": date_range(start)[0] if start else EARLIEST, "high": date_range(end)[1] if end else LATEST}


def _timing_rows(value: dict[str, Any]) -> Rows:
    """The outer limits: what is scheduled in between does not matter.  R4 search.html#date"""
    ranges = [date_range(event) for event in value.get("event", ())]
    bounds = value.get("repeat", {}).get("boundsPeriod")
    if bounds:
        period = _period(bounds)
        ranges.append((period["low"], period["high"]))
    if ranges:
        yield {"low": min(low for low, _ in ranges), "high": max(high for _, high in ranges)}


def _number_rows(parameter: Parameter, type_: str, value: Any) -> Rows:
    if isinstance(value, bool | str | dict):
        return
    yield {"low": float(value), "high": float(value)}


def _quantity_rows(parameter: Parameter, type_: str, value: Any) -> Rows:
    if not isinstance(value, dict):
        return
    if type_ == "Range":
        low, high = value.get("low", {}), value.get("high", {})
        yield _quantity(parameter, low or high, low.get("value"), high.get("value"))
    elif type_ == "Money":
        code = value.get("currency", "")
        yield _quantity(parameter, {"system": CURRENCY, "code": code}, value.get("value"), value.get("value"))
    elif value.get("value") is not None:
        yield _quantity(parameter, value, *_compared(value))


def _compared(quantity: Row) -> tuple[Any, Any]:
    """The values that a quantity may have: `<5` is open below.  https://hl7.org/fhir/R4/datatypes.html#Quantity"""
    value, comparator = quantity["value"], quantity.get("comparator") or ""
    return None if comparator.startswith("<") else value, None if comparator.startswith(">") else value


def _quantity(parameter: Parameter, unit: Row, low: Any, high: Any) -> Row:
    code, system = unit.get("code") or "", unit.get("system") or ""
    measure = parameter.units.canonical(code) if system == UCUM else None
    number = measure.of if measure else _float
    return {
        "code_hash": unit_key(measure.code) if measure else hash64(code),
        "system": system,
        "code": code,
        "unit": unit.get("unit") or "",
        "low": float("-inf") if low is None else _float(low),
        "high": float("inf") if high is None else _float(high),
        "canonical_low": float("-inf") if low is None else number(low),
        "canonical_high": float("inf") if high is None else number(high),
    }


def unit_key(base_units: str) -> int:
    """What quantities of the same base units are stored under."""
    return hash64(UCUM, base_units)


def _float(value: Any) -> float:
    return float(str(value))


def _uri_rows(parameter: Parameter, type_: str, value: Any) -> Rows:
    if isinstance(value, str):
        yield {"value": value[:URI_LENGTH]}
        url, bar, _ = value.partition("|")
        if bar and type_ == "canonical":
            yield {"value": url[:URI_LENGTH]}


READERS: dict[str, Callable[[Parameter, str, Any], Rows]] = {
    "token": _token_rows,
    "string": _string_rows,
    "date": _date_rows,
    "number": _number_rows,
    "quantity": _quantity_rows,
    "uri": _uri_rows,
}
