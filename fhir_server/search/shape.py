"""The shape of a search: what is left when its values are taken out.

Searches of one shape are one statement, composed once and run with other values (`store/prepared.py`); so whatever a
statement is composed by must be in the shape. Lists of values, and values that need more than one test, have none.
"""

from collections.abc import Hashable
from dataclasses import replace
from typing import TypeVar

from fhir_server.search.query import (
    Chain,
    Clause,
    CompositeValue,
    Condition,
    Has,
    Missing,
    PositionValue,
    QuantityValue,
    Query,
    RangeValue,
    ReferenceValue,
    TextValue,
    TokenValue,
    Value,
)
from fhir_server.search.registry import WORDS, Parameter

MOST_TYPES = 8
WITH_SHAPE = {None, "exact", "not", "identifier", "of-type"}
Shape = Hashable
Single = TypeVar("Single", bound=TokenValue | TextValue | RangeValue | QuantityValue | ReferenceValue)


class NoShape(Exception):
    """The search is composed for itself."""


class Shaped:
    """A query whose values know their places; `types`: those that it meets on its way.

    Parameters stand in the shape by identity: who keeps a shape keeps a query of it, and so its parameters.
    """

    def __init__(self, query: Query) -> None:
        """Raises NoShape."""
        self.values: list[Value] = []
        self.types: dict[str, None] = dict.fromkeys(query.types)
        if query.resource_type is None:
            raise NoShape
        conditions, shapes = [], []
        for condition in query.conditions:
            placed, shape = self._condition(condition)
            conditions.append(placed)
            shapes.append(shape)
        self.query = replace(query, conditions=conditions)
        sort = tuple((id(one.parameter), one.descending) for one in query.sort)
        self.shape: Shape = (query.resource_type, query.count, sort, tuple(shapes))

    def _condition(self, condition: Condition) -> tuple[Condition, Shape]:
        match condition:
            case Clause(parameter) if parameter.type == WORDS:
                raise NoShape
            case Clause(parameter, modifier, (value,)) if modifier in WITH_SHAPE or parameter.type == "reference":
                if _is_anything(parameter, value):
                    raise NoShape
                placed, shape = self._value(value, modifier)
                return Clause(parameter, modifier, (placed,)), (id(parameter), modifier, shape)
            case Missing(parameter, missing):
                return condition, ("missing", id(parameter), missing)
            case Chain(parameter, ((type_, inner),)):
                self.types[type_] = None
                placed_inner, shape = self._condition(inner)
                return Chain(parameter, ((type_, placed_inner),)), ("chain", id(parameter), type_, shape)
            case Has(types, parameter, inner):
                self.types[parameter.resource_type] = None
                placed_inner, shape = self._condition(inner)
                return Has(types, parameter, placed_inner), ("has", types, id(parameter), shape)
        raise NoShape

    def _value(self, value: Value, modifier: str | None) -> tuple[Value, Shape]:
        match value:
            case CompositeValue(parts):
                pairs = [self._value(part, None) for part in parts]
                return CompositeValue(tuple(placed for placed, _ in pairs)), tuple(shape for _, shape in pairs)
            case QuantityValue():
                return self._quantity(value)
            case TokenValue() | TextValue() | RangeValue() | ReferenceValue():
                return self._placed(value), _shape(value, modifier)
            case PositionValue():
                raise NoShape

    def _placed(self, value: Single) -> Single:
        placed = replace(value, place=len(self.values))
        self.values.append(placed)
        return placed

    def _quantity(self, value: QuantityValue) -> tuple[Value, Shape]:
        canonical = None if value.canonical is None else self._placed(value.canonical)
        placed = self._placed(replace(value, range=self._placed(value.range), canonical=canonical))
        known = value.system is None, value.code is None, value.canonical is None, len(value.keys)
        return placed, ("quantity", value.range.comparator, known)


def _is_anything(parameter: Parameter, value: Value) -> bool:
    """Whether it is an id that many types may have."""
    bare = isinstance(value, ReferenceValue) and value.id is not None and value.type is None
    return bare and not 0 < len(parameter.targets) <= MOST_TYPES


def _shape(value: Value, modifier: str | None) -> Shape:
    match value:
        case TokenValue(system, code):
            return "token", system and "some", code and "some"
        case ReferenceValue(type_, id_):
            return "reference", type_, id_ is None
        case RangeValue(comparator):
            return "range", comparator
        case TextValue(text, None) if modifier == "exact" or " " not in text:
            return "text"
    raise NoShape
