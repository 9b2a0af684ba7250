"""JSON as FHIR wants it: decimals keep their digits, no property twice, nothing too deep.  https://hl7.org/fhir/R4/json.html"""

import gc
import json
import re
from decimal import Decimal
from typing import Any

import orjson

from fhir_server.errors import Invalid

MAX_DEPTH = 100
# More digits than an integer of 64 bits has.
LONG_NUMBER = 19
LONGEST_NUMBER = 1_000
LARGE = 200_000
BYTES_A_PART = 7
SPECIAL_ESCAPE = re.compile(r"\\u(?:[dD][89a-fA-F]|0000)")


class WrittenDecimal(Decimal):
    """A decimal that remembers how it was written: 1.50 is not 1.5.  https://hl7.org/fhir/R4/datatypes.html#decimal"""

    text: str

    def __new__(cls, text: str) -> "WrittenDecimal":
        """Keep the text beside the value."""
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __str__(self) -> str:
        return self.text

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.text,)

    def __deepcopy__(self, memo: Any) -> "WrittenDecimal":
        return self


def loads(body: bytes | str, max_depth: int = MAX_DEPTH) -> Any:
    """Parse JSON.

    Raises Invalid for bad syntax, bytes that are not UTF-8, a repeated property, NaN and infinities, half a surrogate
    pair, the character NUL, or nesting deeper than `max_depth`.
    """
    try:
        text = body.decode("utf-8-sig") if isinstance(body, bytes) else body
        value = _parsed(text) if len(text) < LARGE else _parsed_large(text)
        if "\\u" in text and SPECIAL_ESCAPE.search(text):
            _check_characters(value)
    except RecursionError:
        raise Invalid(f"The JSON is nested deeper than {max_depth} levels.") from None
    except UnicodeDecodeError:
        raise Invalid("The body is not UTF-8.") from None
    except json.JSONDecodeError as error:
        raise Invalid(f"The body is not JSON: {error.msg} at line {error.lineno} column {error.colno}.") from None
    if _deeper_than(value, max_depth):
        raise Invalid(f"The JSON is nested deeper than {max_depth} levels.")
    return value


def _parsed(text: str) -> Any:
    return json.loads(
        text,
        parse_float=_decimal,
        parse_int=_integer,
        parse_constant=_no_constant,
        object_pairs_hook=_object_without_repeats,
    )


def _parsed_large(text: str) -> Any:
    """Parse without the collector, which would walk the growing tree again and again.

    Raises Invalid for what is hardly more than brackets or names: it would cost a hundred times its size.
    """
    if max(text.count("[") + text.count("{"), text.count('":')) * BYTES_A_PART > len(text):
        raise Invalid("The body is hardly more than brackets and names.")
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _parsed(text)
    finally:
        if collecting:
            gc.enable()


def _integer(text: str) -> int | WrittenDecimal:
    """An integer; one of more than 64 bits as it was written."""
    return int(text) if len(text) < LONG_NUMBER else _decimal(text)


def trusted(body: bytes) -> Any:
    """Parse JSON that this server made, without a number that has a fraction: not looked at again."""
    return orjson.loads(body)


def _decimal(text: str) -> WrittenDecimal:
    if len(text) > LONGEST_NUMBER:
        raise Invalid(f"A number has more than {LONGEST_NUMBER} characters.")
    return WrittenDecimal(text)


def dumps(value: Any) -> bytes:
    """Write JSON, compact, UTF-8, decimals as they were written."""
    return orjson.dumps(value, default=_written)


def dumps_pretty(value: Any) -> bytes:
    """Write JSON for a person (`_pretty=true`)."""
    return orjson.dumps(value, default=_written, option=orjson.OPT_INDENT_2)


def canonical(resource: dict[str, Any]) -> bytes:
    """The bytes that a signature covers: without `meta`, keys sorted, numbers as written."""
    bare = {key: value for key, value in resource.items() if key != "meta"}
    return orjson.dumps(bare, default=_written, option=orjson.OPT_SORT_KEYS)


def fragment(body: bytes) -> orjson.Fragment:
    """Bytes that are JSON already, to be put into a larger document as they are."""
    return orjson.Fragment(body)


def _written(value: Any) -> orjson.Fragment:
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value).encode())
    raise TypeError(type(value).__name__)


def _no_constant(name: str) -> Any:
    raise Invalid(f"{name} is not a JSON number.")


def _check_characters(value: Any) -> None:
    """Refuse text that no other system could take."""
    try:
        written = orjson.dumps(value, default=_written)
    except orjson.JSONEncodeError:
        raise Invalid("A string holds half a surrogate pair.") from None
    if b"\\u0000" in written.replace(b"\\\\", b""):
        raise Invalid("A string holds the character NUL.")


def _object_without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [name for name, _ in pairs]
        raise Invalid(f"The property '{next(name for name in names if names.count(name) > 1)}' is repeated.")
    return value


def _deeper_than(value: Any, depth: int) -> bool:
    """Whether containers nest deeper, level by level."""
    level = [value] if value.__class__ is dict or value.__class__ is list else []
    while level and depth > 0:
        level = [
            child
            for item in level
            for child in (item.values() if item.__class__ is dict else item)
            if child.__class__ is dict or child.__class__ is list
        ]
        depth -= 1
    return bool(level)
