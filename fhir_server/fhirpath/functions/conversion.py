"""Conversion, and what time it is.  https://hl7.org/fhirpath/N1/#conversion"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from fhir_server.fhirpath.functions.function import Function, with_values, without_scope
from fhir_server.fhirpath.model import Node
from fhir_server.fhirpath.temporal import parts_of
from fhir_server.fhirpath.values import boolean, plain_number, single

INTEGER = re.compile(r"[+-]?\d{1,18}\Z")
DECIMAL = re.compile(r"[+-]?\d{1,40}(\.\d{1,40})?\Z")
QUANTITY = re.compile(r"(?P<value>[+-]?\d+(?:\.\d+)?)\s*(?:'(?P<code>[^']+)'|(?P<word>[a-z]+))?\Z")
WORDS = {True: {"true", "t", "yes", "y", "1", "1.0"}, False: {"false", "f", "no", "n", "0", "0.0"}}


def _to_boolean(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    word = str(value).lower() if isinstance(value, str) else str(plain_number(value))
    return next((truth for truth, words in WORDS.items() if word in words), None)


def _to_integer(value: Any) -> int | None:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and INTEGER.match(value) else None


def _to_decimal(value: Any) -> Decimal | None:
    if isinstance(value, bool):
        return Decimal(int(value))
    number = plain_number(value)
    if number is not None:
        return Decimal(number)
    try:
        return Decimal(value) if isinstance(value, str) and DECIMAL.match(value) else None
    except InvalidOperation:
        return None


def _to_string(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return f"{value['value']} '{value.get('code') or '1'}'" if "value" in value else None
    return value if isinstance(value, str) else str(plain_number(value))


def _to_quantity(value: Any) -> dict[str, Any] | None:
    if isinstance(value, dict):
        return value if "value" in value else None
    number = plain_number(value)
    if number is not None:
        return {"value": number, "code": "1"}
    match = QUANTITY.match(value) if isinstance(value, str) else None
    if match is None:
        return None
    return {"value": Decimal(match["value"]), "code": match["code"] or match["word"] or "1"}


def _temporal(value: Any, *, is_time: bool) -> str | None:
    known = parts_of(value) if isinstance(value, str) else None
    return value if known is not None and known[2] is is_time else None


def _to_date(value: Any) -> str | None:
    found = _temporal(value, is_time=False)
    return None if found is None else found.partition("T")[0]


CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "Boolean": _to_boolean,
    "Integer": _to_integer,
    "Decimal": _to_decimal,
    "String": _to_string,
    "Quantity": _to_quantity,
    "Date": _to_date,
    "DateTime": lambda value: _temporal(value, is_time=False),
    "Time": lambda value: _temporal(value, is_time=True),
}


def _converter(name: str) -> Callable[..., list[Node]]:
    def evaluate(nodes: list[Node], *unit: list[Node]) -> list[Node]:
        node = single(nodes)
        value = None if node is None else CONVERSIONS[name](node[1])
        return [] if value is None else [(f"System.{name}", value)]

    return evaluate


def _tester(name: str) -> Callable[..., list[Node]]:
    def evaluate(nodes: list[Node], *unit: list[Node]) -> list[Node]:
        node = single(nodes)
        return [] if node is None else boolean(CONVERSIONS[name](node[1]) is not None)

    return evaluate


def _clock(type_: str, layout: str) -> Function:
    return without_scope(lambda nodes: [(f"System.{type_}", datetime.now(UTC).strftime(layout))])


FUNCTIONS: dict[str, Function] = {
    **{f"to{name}": with_values(_converter(name), 0, 1) for name in CONVERSIONS},
    **{f"convertsTo{name}": with_values(_tester(name), 0, 1) for name in CONVERSIONS},
    "now": _clock("DateTime", "%Y-%m-%dT%H:%M:%SZ"),
    "today": _clock("Date", "%Y-%m-%d"),
    "timeOfDay": _clock("Time", "%H:%M:%S"),
}
