"""Numbers.  https://hl7.org/fhirpath/N1/#math"""

import math
from collections.abc import Callable, Iterator
from decimal import ROUND_HALF_UP, Decimal, DivisionByZero, InvalidOperation, Overflow

from fhir_server.fhirpath.functions.function import Function, with_values, without_scope
from fhir_server.fhirpath.lexer import ExpressionError
from fhir_server.fhirpath.model import Node
from fhir_server.fhirpath.values import Number, integer, number, numeric, order, plain_number

IMPOSSIBLE = (InvalidOperation, DivisionByZero, Overflow, OverflowError, ZeroDivisionError, ValueError)
LARGEST_EXPONENT = 1_000


def _of_number(function: Callable[[Number], Number]) -> Function:
    def evaluate(nodes: list[Node]) -> list[Node]:
        value = number(nodes)
        return [] if value is None else _reckoned(lambda: function(value))

    return without_scope(evaluate)


def _of_two(function: Callable[[Number, Number], Number]) -> Function:
    def evaluate(nodes: list[Node], argument: list[Node]) -> list[Node]:
        value, other = number(nodes), number(argument)
        return [] if value is None or other is None else _reckoned(lambda: function(value, other))

    return with_values(evaluate, 1)


def _reckoned(function: Callable[[], Number]) -> list[Node]:
    try:
        return [numeric(function())]
    except IMPOSSIBLE:
        return []


def _power(base: Number, exponent: Number) -> Number:
    if not -LARGEST_EXPONENT <= exponent <= LARGEST_EXPONENT:
        raise ExpressionError(f"An exponent may be {LARGEST_EXPONENT} here.")
    power = Decimal(base) ** Decimal(exponent)
    return int(power) if isinstance(base, int) and power == power.to_integral_value() and exponent >= 0 else power


def _round(nodes: list[Node], *precision: list[Node]) -> list[Node]:
    value = number(nodes)
    places = integer(precision[0]) or 0 if precision else 0
    if value is None or not 0 <= places <= 28:
        return []
    return _reckoned(lambda: Decimal(value).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP))


def _absolute(nodes: list[Node]) -> list[Node]:
    if len(nodes) == 1 and isinstance(nodes[0][1], dict):
        amount = plain_number(nodes[0][1].get("value"))
        return [] if amount is None else [(nodes[0][0], {**nodes[0][1], "value": abs(amount)})]
    value = number(nodes)
    return [] if value is None else [numeric(-value if value < 0 else value)]


def _numbers(nodes: list[Node]) -> Iterator[Number]:
    for node in nodes:
        value = number([node])
        if value is not None:
            yield value


def _total(nodes: list[Node]) -> Number:
    total: Number = 0
    for value in _numbers(nodes):
        total = total + value
    return total


def _average(nodes: list[Node]) -> list[Node]:
    values = list(_numbers(nodes))
    return [numeric(Decimal(_total(nodes)) / len(values))] if values else []


def _extreme(sign: int) -> Function:
    def evaluate(nodes: list[Node]) -> list[Node]:
        best = nodes[:1]
        for node in nodes[1:]:
            if (order([node], best) or 0) * sign > 0:
                best = [node]
        return best

    return without_scope(evaluate)


FUNCTIONS: dict[str, Function] = {
    "abs": without_scope(_absolute),
    "ceiling": _of_number(math.ceil),
    "floor": _of_number(math.floor),
    "truncate": _of_number(math.trunc),
    "exp": _of_number(lambda value: Decimal(value).exp()),
    "ln": _of_number(lambda value: Decimal(value).ln()),
    "log": _of_two(lambda value, base: Decimal(value).ln() / Decimal(base).ln()),
    "sqrt": _of_number(lambda value: Decimal(value).sqrt()),
    "power": _of_two(_power),
    "round": with_values(_round, 0, 1),
    "sum": without_scope(lambda nodes: [numeric(_total(nodes))]),
    "avg": without_scope(_average),
    "min": _extreme(-1),
    "max": _extreme(1),
}
