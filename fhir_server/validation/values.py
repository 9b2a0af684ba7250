"""Fixed values and patterns.  https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.fixed_x_"""

from decimal import Decimal
from typing import Any


def is_fixed(value: Any, wanted: Any) -> bool:
    """Exactly this value, nothing more and nothing less."""
    if isinstance(wanted, dict):
        return (
            isinstance(value, dict)
            and value.keys() == wanted.keys()
            and all(is_fixed(value[key], wanted[key]) for key in wanted)
        )
    if isinstance(wanted, list):
        return (
            isinstance(value, list)
            and len(value) == len(wanted)
            and all(is_fixed(one, other) for one, other in zip(value, wanted, strict=True))
        )
    return _same(value, wanted)


def meets_pattern(value: Any, wanted: Any) -> bool:
    """At least this: every property of the pattern, and for each item of its arrays one that meets it."""
    if isinstance(wanted, dict):
        return isinstance(value, dict) and all(
            key in value and meets_pattern(value[key], part) for key, part in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(value, list) and all(any(meets_pattern(one, part) for one in value) for part in wanted)
    return _same(value, wanted)


def _same(value: Any, wanted: Any) -> bool:
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    if isinstance(wanted, float | Decimal) and isinstance(value, int | float | Decimal):
        return Decimal(str(value)) == Decimal(str(wanted))
    return bool(value == wanted)
