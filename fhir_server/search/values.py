"""Text of a search value to its meaning.  https://hl7.org/fhir/R4/search.html#ptypes"""

import math
import re
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any, cast

from fhir_server.errors import Invalid
from fhir_server.search.dates import LATEST, date_range
from fhir_server.search.folding import folded, latin
from fhir_server.search.hashing import hash64
from fhir_server.search.positions import chord, point
from fhir_server.search.query import (
    Comparator,
    CompositeValue,
    PositionValue,
    QuantityValue,
    RangeValue,
    ReferenceValue,
    TextValue,
    TokenValue,
    Value,
)
from fhir_server.search.readers import LOCAL_REFERENCE, STRING_LENGTH, URI_LENGTH, token_text, unit_key
from fhir_server.search.registry import Parameter
from fhir_server.search.ucum import SYSTEM as UCUM

COMPARATORS = {"eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"}
PREFIXED = re.compile(r"([a-z]{2})(?=[\d+-.])")
NUMBER = re.compile(r"[+-]?\d{1,40}(?:\.\d{0,40})?(?:[eE][+-]?\d{1,3})?\Z", re.ASCII)
# How far is near where a search does not say, and names of units that everybody uses, though UCUM has others.
NEAR_METRES = 50_000.0
CUSTOMARY = {"kms": "km", "mi": "[mi_i]", "miles": "[mi_i]", "ft": "[ft_i]", "nmi": "[nmi_i]"}
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
        return _of_token(parameter, modifier, text)
    if parameter.type == "composite":
        return _composite(parameter, text, base_url)
    return PARSERS[parameter.type](parameter, text, modifier)


def _composite(parameter: Parameter, text: str, base_url: str) -> CompositeValue:
    parts = split(text, "$")
    if len(parts) != len(parameter.components) or not all(parts):
        wanted = "$".join(component.type for component in parameter.components)
        raise Invalid(f"{parameter.code} is written {wanted}.")
    components = zip(parameter.components, parts, strict=True)
    return CompositeValue(tuple(parse_value(component, None, part, base_url) for component, part in components))


def _of_token(parameter: Parameter, modifier: str | None, text: str) -> Value:
    if modifier == "text":
        return _string(parameter, text, None)
    if modifier == "of-type":
        return _of_type(text)
    return _token(text, literal=parameter.literal)


def _of_type(text: str) -> TokenValue:
    """`system|code|value` of an identifier.  R4 search.html#modifiers"""
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) != 3 or not all(parts):
        raise Invalid(":of-type is written system|code|value.")
    return TokenValue(f"{parts[0]}|{parts[1]}", token_text(parts[2], literal=True))


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


def _string(parameter: Parameter, text: str, modifier: str | None) -> TextValue:
    plain = unescape(text)
    if modifier == "exact":
        return TextValue(plain)
    native, other = folded(plain[:STRING_LENGTH])
    if not native:
        raise Invalid(f"There is nothing to compare in the value of {parameter.code}.")
    return TextValue(native, latin(plain[:STRING_LENGTH]) if other else None)


def _uri(parameter: Parameter, text: str, modifier: str | None) -> TextValue:
    return TextValue(unescape(text)[:URI_LENGTH])


def _comparator(text: str) -> tuple[Comparator, str]:
    match = PREFIXED.match(text)
    if match is None:
        return "eq", text
    if match.group(1) not in COMPARATORS:
        raise Invalid(f"'{match.group(1)}' is not a comparator.")
    return cast(Comparator, match.group(1)), text[2:]


def _date(parameter: Parameter, text: str, modifier: str | None) -> RangeValue:
    comparator, rest = _comparator(unescape(text).replace(" ", "+"))
    low, high = date_range(rest)
    if comparator == "ap":
        margin = min((high - low) or 86_400_000_000, LATEST)
        low, high = low - margin, high + margin
    return RangeValue(comparator, low, high, low)


Limits = tuple[Fraction, Fraction, Fraction]


def _limits(text: str) -> tuple[Comparator, Limits]:
    """A number and the range that its digits imply: 100 is [99.5, 100.5).  R4 search.html#number"""
    comparator, rest = _comparator(unescape(text))
    if not NUMBER.match(rest):
        raise Invalid(f"'{rest[:40]}' is not a number.")
    exact = Decimal(rest)
    half = Fraction(Decimal(5).scaleb(int(exact.as_tuple().exponent) - 1))
    number = Fraction(exact)
    if comparator == "ap":
        half = max(half, abs(number) / 10)
    return comparator, (number - half, number + half, number)


def _ranged(comparator: Comparator, limits: Limits, of: Callable[[Any], float]) -> RangeValue:
    """As floats; a range finer than floats are still holds the number itself."""
    low, high, exact = (of(limit) for limit in limits)
    return RangeValue(comparator, min(low, exact), max(high, math.nextafter(exact, math.inf)), exact)


def _float(number: Fraction) -> float:
    try:
        return float(number)
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")


def _number(parameter: Parameter, text: str, modifier: str | None = None) -> RangeValue:
    return _ranged(*_limits(text), _float)


def _quantity(parameter: Parameter, text: str, modifier: str | None) -> QuantityValue:
    """`number`, `number|system|code` or `number||code`; in base units where the unit has some.  R4
    search.html#quantity
    """
    parts = split(text, "|")
    if len(parts) not in {1, 3}:
        raise Invalid("A quantity is number or number|system|code.")
    comparator, limits = _limits(parts[0])
    number = _ranged(comparator, limits, _float)
    system, code = (unescape(part) or None for part in parts[1:]) if len(parts) == 3 else (None, None)
    if code is None:
        return QuantityValue(number, system, None)
    measure = parameter.units.canonical(code) if system in {None, UCUM} else None
    if measure is None:
        return QuantityValue(number, system, code, keys=(hash64(code),))
    if system is None:
        return QuantityValue(number, None, code, keys=(hash64(code), unit_key(measure.code)))
    return QuantityValue(number, system, code, _ranged(comparator, limits, measure.of), (unit_key(measure.code),))


def _near(parameter: Parameter, text: str, modifier: str | None) -> PositionValue:
    """`latitude|longitude`, with a distance or without, in km or a unit of UCUM.  R4 location.html#positional-search"""
    parts = [unescape(part) for part in split(text, "|")]
    numbers = parts[:3] if len(parts) > 2 and parts[2] else parts[:2]
    if not 2 <= len(parts) <= 4 or not all(map(NUMBER.match, numbers)):
        raise Invalid(f"{parameter.code} is written latitude|longitude, latitude|longitude|distance or with |units.")
    latitude, longitude, *distance = map(float, numbers)
    if distance and distance[0] < 0:
        raise Invalid("A distance is not negative.")
    try:
        place = point(latitude, longitude)
    except ValueError as error:
        raise Invalid(str(error)) from None
    unit = _metres(parameter, parts[3] if len(parts) == 4 and parts[3] else "km")
    return PositionValue(place, chord(distance[0] * unit if distance else NEAR_METRES))


def _metres(parameter: Parameter, unit: str) -> float:
    measure = parameter.units.canonical(CUSTOMARY.get(unit, unit))
    if measure is None or measure.code != "m":
        raise Invalid(f"'{unit[:40]}' is no unit of length of UCUM.")
    return float(measure.of(1))


PARSERS: dict[str, Callable[[Parameter, str, str | None], Value]] = {
    "string": _string,
    "uri": _uri,
    "date": _date,
    "number": _number,
    "quantity": _quantity,
    "special": _near,
}
