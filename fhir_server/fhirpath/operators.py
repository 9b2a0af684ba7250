"""Operators.  https://hl7.org/fhirpath/N1/#operations"""

from collections.abc import Callable
from decimal import Decimal, DivisionByZero, InvalidOperation
from typing import Any

from fhir_server.fhirpath.lexer import ExpressionError
from fhir_server.fhirpath.model import Node
from fhir_server.fhirpath.scope import Evaluate, Scope
from fhir_server.fhirpath.temporal import parts_of, shifted
from fhir_server.fhirpath.values import (
    TEMPORAL,
    Number,
    boolean,
    distinct,
    equal,
    equivalent,
    frozen,
    integer,
    numeric,
    order,
    plain_number,
    single,
    truth,
)

TRUE = [("System.Boolean", True)]
FALSE = [("System.Boolean", False)]
MOST_CHARACTERS = 1_000_000


def _of(value: bool | None) -> list[Node]:
    return [] if value is None else boolean(value)


def both(left: Evaluate, right: Evaluate) -> Evaluate:
    """`and` in three values; the right side is not asked when the left one is false."""

    def evaluate(nodes: list[Node], scope: Scope) -> list[Node]:
        first = truth(left(nodes, scope))
        if first is False:
            return FALSE
        second = truth(right(nodes, scope))
        if second is False:
            return FALSE
        return TRUE if first and second else []

    return evaluate


def either(left: Evaluate, right: Evaluate) -> Evaluate:
    """`or` in three values; the right side is not asked when the left one is true."""

    def evaluate(nodes: list[Node], scope: Scope) -> list[Node]:
        first = truth(left(nodes, scope))
        if first:
            return TRUE
        second = truth(right(nodes, scope))
        if second:
            return TRUE
        return [] if first is None or second is None else FALSE

    return evaluate


def one_of_two(left: Evaluate, right: Evaluate) -> Evaluate:
    """`xor`"""

    def evaluate(nodes: list[Node], scope: Scope) -> list[Node]:
        first, second = truth(left(nodes, scope)), truth(right(nodes, scope))
        return [] if first is None or second is None else boolean(first is not second)

    return evaluate


def implied(left: Evaluate, right: Evaluate) -> Evaluate:
    """`implies`"""

    def evaluate(nodes: list[Node], scope: Scope) -> list[Node]:
        first = truth(left(nodes, scope))
        if first is False:
            return TRUE
        second = truth(right(nodes, scope))
        if second or first:
            return _of(second)
        return []

    return evaluate


def equality(*, wanted: bool) -> Callable[[Evaluate, Evaluate], Evaluate]:
    """`=` and `!=`"""

    def make(left: Evaluate, right: Evaluate) -> Evaluate:
        def evaluate(nodes: list[Node], scope: Scope) -> list[Node]:
            same = equal(left(nodes, scope), right(nodes, scope))
            return [] if same is None else boolean(same is wanted)

        return evaluate

    return make


def equivalence(*, wanted: bool) -> Callable[[Evaluate, Evaluate], Evaluate]:
    """`~` and `!~`"""

    def make(left: Evaluate, right: Evaluate) -> Evaluate:
        return lambda nodes, scope: boolean(equivalent(left(nodes, scope), right(nodes, scope)) is wanted)

    return make


def comparison(accepts: Callable[[int], bool]) -> Callable[[Evaluate, Evaluate], Evaluate]:
    """`<` `>` `<=` `>=`"""

    def make(left: Evaluate, right: Evaluate) -> Evaluate:
        def evaluate(nodes: list[Node], scope: Scope) -> list[Node]:
            found = order(left(nodes, scope), right(nodes, scope))
            return [] if found is None else boolean(accepts(found))

        return evaluate

    return make


def union(left: Evaluate, right: Evaluate) -> Evaluate:
    """`|`: each item once."""

    def evaluate(nodes: list[Node], scope: Scope) -> list[Node]:
        first, second = left(nodes, scope), right(nodes, scope)
        if not second and len(first) < 2:
            return first
        if not first and len(second) < 2:
            return second
        return distinct([*first, *second])

    return evaluate


def within(left: Evaluate, right: Evaluate) -> Evaluate:
    """`in`"""

    def evaluate(nodes: list[Node], scope: Scope) -> list[Node]:
        node = single(left(nodes, scope))
        if node is None:
            return []
        wanted = frozen(node)
        return boolean(any(frozen(other) == wanted for other in right(nodes, scope)))

    return evaluate


def containing(left: Evaluate, right: Evaluate) -> Evaluate:
    """`contains`"""
    return within(right, left)


def typed(operator: str, operand: Evaluate, test: Callable[[str], bool]) -> Evaluate:
    """`is` and `as`; `as` on several items keeps those of the type, as R4's search parameters expect."""
    if operator == "as":
        return lambda nodes, scope: [node for node in operand(nodes, scope) if test(node[0])]

    def evaluate(nodes: list[Node], scope: Scope) -> list[Node]:
        found = operand(nodes, scope)
        return boolean(any(test(node[0]) for node in found)) if found else []

    return evaluate


def indexed(target: Evaluate, position: Evaluate) -> Evaluate:
    """`[n]` where n is reckoned."""

    def evaluate(nodes: list[Node], scope: Scope) -> list[Node]:
        n = integer(position(scope.this, scope))
        return [] if n is None or n < 0 else target(nodes, scope)[n : n + 1]

    return evaluate


def negative(operand: Evaluate) -> Evaluate:
    """`-x`"""

    def evaluate(nodes: list[Node], scope: Scope) -> list[Node]:
        node = single(operand(nodes, scope))
        if node is None:
            return []
        if isinstance(node[1], dict):
            value = plain_number(node[1].get("value"))
            return [] if value is None else [(node[0], {**node[1], "value": -value})]
        value = plain_number(node[1])
        if value is None:
            raise ExpressionError("Only a number has a sign.")
        return [numeric(-value)]

    return evaluate


def joined(left: Evaluate, right: Evaluate) -> Evaluate:
    """`&`: text beside text, nothing counts as an empty one."""

    def evaluate(nodes: list[Node], scope: Scope) -> list[Node]:
        parts = [single(side(nodes, scope)) for side in (left, right)]
        return [("System.String", "".join("" if part is None else str(part[1]) for part in parts))]

    return evaluate


def arithmetic(operate: Callable[[Node, Node], Node | None]) -> Callable[[Evaluate, Evaluate], Evaluate]:
    """`+ - * / div mod`: nothing when a side is empty, or when the result cannot be reckoned."""

    def make(left: Evaluate, right: Evaluate) -> Evaluate:
        def evaluate(nodes: list[Node], scope: Scope) -> list[Node]:
            first, second = single(left(nodes, scope)), single(right(nodes, scope))
            if first is None or second is None:
                return []
            try:
                result = operate(first, second)
            except (InvalidOperation, DivisionByZero, ZeroDivisionError, OverflowError):
                return []
            return [] if result is None else [result]

        return evaluate

    return make


def _sum(first: Node, second: Node) -> Node | None:
    if isinstance(first[1], str) and isinstance(second[1], str):
        if len(first[1]) + len(second[1]) > MOST_CHARACTERS:
            raise ExpressionError("The text becomes too long.")
        return "System.String", first[1] + second[1]
    return _moved(first, second, 1)


def _difference(first: Node, second: Node) -> Node | None:
    return _moved(first, second, -1)


def _moved(first: Node, second: Node, sign: int) -> Node | None:
    left, right = first[1], second[1]
    if isinstance(left, str) and isinstance(right, dict):
        if first[0] not in TEMPORAL and parts_of(left) is None:
            raise ExpressionError("A quantity is added to a date or time.")
        amount = plain_number(right.get("value"))
        unit = str(right.get("code") or right.get("unit"))
        moved = None if amount is None else shifted(left, Decimal(amount) * sign, unit)
        return None if moved is None else (first[0], moved)
    if isinstance(left, dict) and isinstance(right, dict):
        numbers = _numbers(left.get("value"), right.get("value"))
        return (first[0], {**left, "value": numbers[0] + numbers[1] * sign}) if _same_unit(left, right) else None
    one, other = _numbers(left, right)
    return numeric(one + other * sign)


def _same_unit(left: dict[str, Any], right: dict[str, Any]) -> bool:
    return bool(left.get("code") == right.get("code"))


def _numbers(left: Any, right: Any) -> tuple[Number, Number]:
    one, other = plain_number(left), plain_number(right)
    if one is None or other is None:
        raise ExpressionError("Numbers were expected.")
    return one, other


def _product(first: Node, second: Node) -> Node | None:
    if isinstance(first[1], dict) or isinstance(second[1], dict):
        return _scaled(first, second)
    one, other = _numbers(first[1], second[1])
    return numeric(one * other)


def _scaled(first: Node, second: Node) -> Node | None:
    quantity, factor = (first, second) if isinstance(first[1], dict) else (second, first)
    if isinstance(factor[1], dict):
        return None
    one, other = _numbers(quantity[1].get("value"), factor[1])
    return quantity[0], {**quantity[1], "value": one * other}


def _quotient(first: Node, second: Node) -> Node | None:
    if isinstance(first[1], dict) and not isinstance(second[1], dict):
        one, other = _numbers(first[1].get("value"), second[1])
        return first[0], {**first[1], "value": Decimal(one) / Decimal(other)}
    if isinstance(first[1], dict) and isinstance(second[1], dict):
        if not _same_unit(first[1], second[1]):
            return None
        one, other = _numbers(first[1].get("value"), second[1].get("value"))
        return "System.Quantity", {"value": Decimal(one) / Decimal(other), "code": "1"}
    one, other = _numbers(first[1], second[1])
    return "System.Decimal", Decimal(one) / Decimal(other)


def _whole_quotient(first: Node, second: Node) -> Node | None:
    one, other = _numbers(first[1], second[1])
    return "System.Integer", int(Decimal(one) / Decimal(other))


def _remainder(first: Node, second: Node) -> Node | None:
    one, other = _numbers(first[1], second[1])
    rest = Decimal(one) % Decimal(other)
    return numeric(int(rest) if isinstance(one, int) and isinstance(other, int) else rest)


OPERATORS: dict[str, Callable[[Evaluate, Evaluate], Evaluate]] = {
    "and": both,
    "or": either,
    "xor": one_of_two,
    "implies": implied,
    "=": equality(wanted=True),
    "!=": equality(wanted=False),
    "~": equivalence(wanted=True),
    "!~": equivalence(wanted=False),
    "<": comparison(lambda order: order < 0),
    ">": comparison(lambda order: order > 0),
    "<=": comparison(lambda order: order <= 0),
    ">=": comparison(lambda order: order >= 0),
    "|": union,
    "in": within,
    "contains": containing,
    "&": joined,
    "+": arithmetic(_sum),
    "-": arithmetic(_difference),
    "*": arithmetic(_product),
    "/": arithmetic(_quotient),
    "div": arithmetic(_whole_quotient),
    "mod": arithmetic(_remainder),
}
