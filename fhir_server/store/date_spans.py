"""Conditions on dates that lead an index to where it begins: `ge` and the like, alone or with `lt` and the like."""

from collections.abc import Iterable
from typing import Any, TypeGuard

from fhir_server.search.query import Clause, Condition, RangeValue, Value
from fhir_server.search.registry import COLUMNS
from fhir_server.store.matches import BETWEEN
from fhir_server.store.models import NARROW, index_date
from fhir_server.store.slots import slot

# What these compare with lasts until after the value begins; what those compare with begins before it ends.
FROM_ON = {"ge", "gt", "ap"}
UNTIL = {"le", "lt", "eb"}


def start_of(clause: Clause) -> Any:
    """From when on a narrow date must begin that meets one of the values; None where it may be before any."""
    if clause.parameter.type != "date" or clause.modifier not in {None, BETWEEN}:
        return None
    values = clause.values[:1] if clause.modifier == BETWEEN else clause.values
    first = min((value for value in values if _is_from_on(value)), key=lambda value: value.low, default=None)
    if first is None or not all(map(_is_from_on, values)):
        return None
    return slot(index_date.c.low, first, "earliest", NARROW)


def _is_from_on(value: Value) -> TypeGuard[RangeValue]:
    return isinstance(value, RangeValue) and value.comparator in FROM_ON


def joined(conditions: Iterable[Condition]) -> list[Condition]:
    """The conditions, two that say from when and until when an element that does not repeat is as one."""
    found: list[Condition] = []
    for condition in conditions:
        other = next((n for n, one in enumerate(found) if _is_range(one, condition)), None)
        if other is None:
            found.append(condition)
        else:
            found[other] = _between(found[other], condition)
    return found


def _is_range(one: Condition, other: Condition) -> bool:
    if not (isinstance(one, Clause) and isinstance(other, Clause)) or one.parameter is not other.parameter:
        return False
    if one.parameter.type != "date" or not all(part.is_single for part in one.parameter.everywhere):
        return False
    comparators = [_comparator(one), _comparator(other)]
    return any(name in FROM_ON for name in comparators) and any(name in UNTIL for name in comparators)


def _comparator(clause: Clause) -> str | None:
    """The comparator of a plain clause of one value on a column of the index."""
    value = clause.values[0]
    plain = clause.modifier is None and len(clause.values) == 1 and clause.parameter.code not in COLUMNS
    return value.comparator if plain and isinstance(value, RangeValue) else None


def _between(one: Condition, other: Condition) -> Clause:
    """One clause of both, that which says from when on first."""
    assert isinstance(one, Clause)  # noqa: S101 - found to be a range
    assert isinstance(other, Clause)  # noqa: S101
    first, last = (one, other) if _comparator(one) in FROM_ON else (other, one)
    return Clause(one.parameter, BETWEEN, (*first.values, *last.values))
