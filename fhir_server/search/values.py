"""Text of a search value to its meaning.  https://hl7.org/fhir/R4/search.html#ptypes"""

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import cast

from fhir_server.errors import Invalid
from fhir_server.search.dates import LATEST, date_range
from fhir_server.search.extract import LOCAL_REFERENCE, URI_LENGTH, normalized, token_text
from fhir_server.search.query import (
    Comparator,
    QuantityValue,
    RangeValue,
    ReferenceValue,
    TextValue,
    TokenValue,
    Value,
)
from fhir_server.search.registry import Parameter

COMPARATORS = {"eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"}
PREFIXED = re.compile(r"([a-z]{2})(?=[\d+-.])")
ID = re.compile(r"[A-Za-z0-9\-.]{1,64}\Z")


def split(text: str, separator: str) -> list[str]:
    """Split at a separator that is not escaped by a backslash; the escapes stay.  R4 search.html#escaping"""
    parts = [""]
    escaped = False
    for character in text:
        if character == separator and not escaped:
            parts.append("")
        else:
            parts[-1] += character
        escaped = character == "\\" and not escaped
    return parts


def unescape(text: str) -> str:
    """Take the backslashes away."""
    return re.sub(r"\\([\\,|$])", r"\1", text)


def parse_value(parameter: Parameter, modifier: str | None, text: str, base_url: str) -> Value:
    """One of the ORed values of a parameter; raises Invalid for text that its type does not allow."""
    if parameter.type == "reference":
        if modifier == "identifier":
            return _token(text, literal=True)
        return parse_reference(unescape(text), modifier, base_url)
    if parameter.type == "token":
        return _token(text, literal=parameter.literal)
    return PARSERS[parameter.type](text, modifier)


def _token(text: str, *, literal: bool) -> TokenValue:
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) > 2 or not any(parts):
        raise Invalid("A token is code, system|code, |code or system|.")
    code = token_text(parts[-1], literal=literal) if parts[-1] else None
    return TokenValue(parts[0] if len(parts) == 2 else None, code)


def parse_reference(text: str, modifier: str | None, base_url: str) -> ReferenceValue:
    """`id`, `Type/id` or a URL; `:Type` names the type of a bare id."""
    match = LOCAL_REFERENCE.match(text.removeprefix(base_url.rstrip("/") + "/"))
    if match:
        return ReferenceValue(match.group(1), match.group(2), None)
    if ID.match(text):
        return ReferenceValue(modifier, text, None)
    return ReferenceValue(None, None, text)


def _string(text: str, modifier: str | None) -> TextValue:
    plain = unescape(text)
    return TextValue(plain if modifier == "exact" else normalized(plain))


def _uri(text: str, modifier: str | None) -> TextValue:
    return TextValue(unescape(text)[:URI_LENGTH])


def _comparator(text: str) -> tuple[Comparator, str]:
    match = PREFIXED.match(text)
    if match is None:
        return "eq", text
    if match.group(1) not in COMPARATORS:
        raise Invalid(f"'{match.group(1)}' is not a comparator.")
    return cast(Comparator, match.group(1)), text[2:]


def _date(text: str, modifier: str | None) -> RangeValue:
    comparator, rest = _comparator(unescape(text).replace(" ", "+"))
    low, high = date_range(rest)
    if comparator == "ap":
        margin = min((high - low) or 86_400_000_000, LATEST)
        low, high = low - margin, high + margin
    return RangeValue(comparator, low, high, low)


def _number(text: str, modifier: str | None = None) -> RangeValue:
    """A number and the range that its digits imply: 100 is [99.5, 100.5).  R4 search.html#number"""
    comparator, rest = _comparator(unescape(text))
    try:
        exact = Decimal(rest)
    except InvalidOperation:
        raise Invalid(f"'{rest[:40]}' is not a number.") from None
    if not exact.is_finite():
        raise Invalid("A number must be finite.")
    half = Decimal(5).scaleb(int(exact.as_tuple().exponent) - 1)
    if comparator == "ap":
        half = max(half, abs(exact) / 10)
    return RangeValue(comparator, float(exact - half), float(exact + half), float(exact))


def _quantity(text: str, modifier: str | None) -> QuantityValue:
    parts = split(text, "|")
    if len(parts) not in {1, 3}:
        raise Invalid("A quantity is number or number|system|code.")
    number = _number(parts[0])
    if len(parts) == 1:
        return QuantityValue(number, None, None)
    return QuantityValue(number, unescape(parts[1]) or None, unescape(parts[2]) or None)


PARSERS: dict[str, Callable[[str, str | None], Value]] = {
    "string": _string,
    "uri": _uri,
    "date": _date,
    "number": _number,
    "quantity": _quantity,
}
