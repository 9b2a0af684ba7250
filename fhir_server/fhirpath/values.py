"""Equality, equivalence, order and singletons.  https://hl7.org/fhirpath/N1/#operations

Values are those of the JSON (str, int, Decimal, bool, dict); the type of a node tells a date from a string.
"""

import math
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from fhir_server.fhirpath.lexer import ExpressionError
from fhir_server.fhirpath.model import Node
from fhir_server.fhirpath.temporal import SECONDS, compare

TEMPORAL = frozenset(
    {"date", "dateTime", "instant", "time", "System.Date", "System.DateTime", "System.Time"},
)
QUANTITIES = frozenset({"Quantity", "Age", "Count", "Distance", "Duration", "SimpleQuantity", "System.Quantity"})
Number = int | Decimal


def boolean(value: bool) -> list[Node]:
    """A truth value as a collection."""
    return [("System.Boolean", value)]


def truth(nodes: list[Node]) -> bool | None:
    """A collection as a truth value: None when it is empty, true for one item that is no boolean (or for several)."""
    if not nodes:
        return None
    value = nodes[0][1]
    return value if value.__class__ is bool and len(nodes) == 1 else True


def single(nodes: list[Node]) -> Node | None:
    """The one item, or None. Raises ExpressionError when there are more."""
    if len(nodes) > 1:
        raise ExpressionError(f"One item was expected, not {len(nodes)}.")
    return nodes[0] if nodes and nodes[0][1] is not None else None


def text(nodes: list[Node]) -> str | None:
    """The one string, or None."""
    node = single(nodes)
    if node is not None and not isinstance(node[1], str):
        raise ExpressionError("A string was expected.")
    return None if node is None else str(node[1])


def number(nodes: list[Node]) -> Number | None:
    """The one number, or None."""
    node = single(nodes)
    if node is None:
        return None
    value = plain_number(node[1])
    if value is None:
        raise ExpressionError("A number was expected.")
    return value


def integer(nodes: list[Node]) -> int | None:
    """The one integer, or None."""
    value = number(nodes)
    if value is not None and value != int(value):
        raise ExpressionError("An integer was expected.")
    return None if value is None else int(value)


def plain_number(value: Any) -> Number | None:
    """A JSON number as int or Decimal; None for all else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return Decimal(repr(value)) if math.isfinite(value) else None
    return value if isinstance(value, int | Decimal) else None


def numeric(value: Number) -> Node:
    """A number as a node."""
    return ("System.Integer" if isinstance(value, int) else "System.Decimal", value)


def equal(first: list[Node], second: list[Node]) -> bool | None:
    """`=`: None when a side is empty or the precision of dates does not tell."""
    if not first or not second:
        return None
    if len(first) != len(second):
        return False
    for one, other in zip(first, second, strict=True):
        same = equal_nodes(one, other)
        if not same:
            return same
    return True


def equal_nodes(one: Node, other: Node) -> bool | None:
    """Whether two items are equal."""
    left, right = one[1], other[1]
    if left.__class__ is str and right.__class__ is str:
        if one[0] in TEMPORAL and other[0] in TEMPORAL and left != right:
            order = compare(left, right)
            return None if order is None else order == 0
        return bool(left == right)
    if one[0] in QUANTITIES and other[0] in QUANTITIES:
        return _equal_quantities(left, right)
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, float) or isinstance(right, float):
        return plain_number(left) == plain_number(right)
    return bool(left == right)


def _equal_quantities(left: Any, right: Any) -> bool | None:
    if left == right:
        return True
    order = compare_quantities(left, right)
    return None if order is None else order == 0


def compare_quantities(left: Any, right: Any) -> int | None:
    """-1, 0, 1 in the same unit, or in units of time; None when nothing can be said."""
    one, other = plain_number(left.get("value")), plain_number(right.get("value"))
    if one is None or other is None:
        return None
    units = unit_of(left), unit_of(right)
    if units[0] != units[1]:
        scales = [SECONDS.get(unit) for unit in units]
        if scales[0] is None or scales[1] is None:
            return None
        one, other = one * scales[0], other * scales[1]
    return (one > other) - (one < other)


def unit_of(quantity: dict[str, Any]) -> str:
    """The unit's code; words for units of time in the singular."""
    code = str(quantity.get("code") or quantity.get("unit") or "1")
    return code.removesuffix("s") if len(code) > 3 else code


def order(first: list[Node], second: list[Node]) -> int | None:
    """-1, 0 or 1 for `<`, `>` and the like; None when nothing can be said. Raises ExpressionError for other kinds."""
    one, other = single(first), single(second)
    if one is None or other is None:
        return None
    left, right = one[1], other[1]
    if isinstance(left, str) and isinstance(right, str):
        if one[0] in TEMPORAL or other[0] in TEMPORAL:
            return compare(left, right)
        return (left > right) - (left < right)
    if isinstance(left, dict) and isinstance(right, dict):
        return compare_quantities(left, right)
    numbers = plain_number(left), plain_number(right)
    if numbers[0] is None or numbers[1] is None:
        raise ExpressionError("What is compared must be of one kind.")
    return (numbers[0] > numbers[1]) - (numbers[0] < numbers[1])


def frozen(node: Node) -> Any:
    """Something hashable that is equal for equal items."""
    value = node[1]
    return (value.__class__ is bool, _frozen(value))


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple(sorted((key, _frozen(item)) for key, item in value.items()))
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    return plain_number(value) if isinstance(value, float) else value


def distinct(nodes: Iterable[Node]) -> list[Node]:
    """Each item once, in the order of first appearance."""
    seen: dict[Any, Node] = {}
    for node in nodes:
        seen.setdefault(frozen(node), node)
    return list(seen.values())


def equivalent(first: list[Node], second: list[Node]) -> bool:
    """`~`: in any order, strings without case and extra space, decimals to the lesser precision."""
    if len(first) != len(second):
        return False
    rest = list(second)
    for node in first:
        match = next((n for n, other in enumerate(rest) if _alike(node, other)), None)
        if match is None:
            return False
        del rest[match]
    return True


def _alike(one: Node, other: Node) -> bool:
    left, right = one[1], other[1]
    if isinstance(left, str) and isinstance(right, str):
        if one[0] in TEMPORAL and other[0] in TEMPORAL:
            return left == right or compare(left, right) == 0
        return " ".join(left.casefold().split()) == " ".join(right.casefold().split())
    if one[0] in QUANTITIES and other[0] in QUANTITIES:
        return bool(_equal_quantities(left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return _alike_objects(left, right)
    numbers = plain_number(left), plain_number(right)
    if numbers[0] is not None and numbers[1] is not None:
        return _alike_numbers(numbers[0], numbers[1])
    return bool(left == right)


def _alike_objects(left: dict[str, Any], right: dict[str, Any]) -> bool:
    keys = {key for key in (*left, *right) if key != "id"}
    return all(key in left and key in right and _alike_values(left[key], right[key]) for key in keys)


def _alike_values(left: Any, right: Any) -> bool:
    if isinstance(left, list) and isinstance(right, list):
        return equivalent([("", item) for item in left], [("", item) for item in right])
    return _alike(("", left), ("", right))


def _alike_numbers(left: Number, right: Number) -> bool:
    places = min(_places(left), _places(right))
    step = Decimal(1).scaleb(-places)
    return Decimal(left).quantize(step, ROUND_HALF_UP) == Decimal(right).quantize(step, ROUND_HALF_UP)


def _places(value: Number) -> int:
    exponent = Decimal(value).normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
