"""A filter as conditions on the types that are searched.  https://hl7.org/fhir/R4/search_filter.html#ops"""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from fhir_server.errors import Invalid
from fhir_server.search.filters import Comparison, Filter, Step
from fhir_server.search.links import Links
from fhir_server.search.query import Chain, Clause, Comparator, Condition, Has, Logic, RangeValue
from fhir_server.search.registry import WORDS

ORDERED = frozenset({"date", "number", "quantity"})
PREFIXES = frozenset({"gt", "lt", "ge", "le", "sa", "eb", "ap"})
# Operators that are modifiers of a search, and of which types. What `ss` finds is below its value.
MODIFIERS = {
    "in": ("in", {"token"}),
    "ni": ("not-in", {"token"}),
    "ss": ("below", {"token", "uri"}),
    "sb": ("above", {"token", "uri"}),
}
# Operators that only filters have, as modifiers of the condition that the value has without.
OF_STRINGS = {"eq": "same", "ew": "ends", "gt": "gt", "lt": "lt", "ge": "ge", "le": "le"}
UNEQUAL = "unequal"
OF_DATES: dict[str, Comparator] = {"co": "co", "po": "po"}
SYSTEMS = {
    "loinc": "http://loinc.org",
    "snomed": "http://snomed.info/sct",
    "rxnorm": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "ucum": "http://unitsofmeasure.org",
}
SYSTEM = re.compile(rf"(^|\|)({'|'.join(SYSTEMS)})(?=\|)")

Types = tuple[str, ...]


# A condition on types, and how far the chain to them has gone.
Inner = Callable[[Types, Links], Condition]


class Search(Protocol):
    """What a filter needs to know of searches."""

    def condition(self, types: Types, name: str, text: str, links: Links) -> Condition:
        """One parameter with its value."""

    def type_of(self, types: Types, path: str) -> str:
        """The type of the parameter at the end of a path."""

    def along(self, types: Types, name: str, inner: Inner, links: Links) -> Condition:
        """A condition on what a reference leads to."""


def filtering(search: Search, types: Types, node: Filter, links: Links) -> Condition:
    """The condition that a filter means for these types. Raises Invalid."""
    if not isinstance(node, Comparison):
        return Logic(node.operator, tuple(filtering(search, types, part, links) for part in node.parts))
    if any(step.within for step in node.path):
        return _within(search, types, node, links)
    return _compared(search, types, node, links)


def _within(search: Search, types: Types, node: Comparison, links: Links) -> Condition:
    first, *others = node.path
    if not others:
        return _compared(search, types, node, links)

    def inner(targets: Types, on: Links) -> Condition:
        rest = _within(search, targets, replace(node, path=tuple(others)), on)
        return rest if first.within is None else Logic("and", (filtering(search, targets, first.within, on), rest))

    return search.along(types, first.name, inner, links)


def _compared(search: Search, types: Types, node: Comparison, links: Links) -> Condition:
    path = ".".join(map(_name, node.path))
    type_, operator, value = search.type_of(types, path), node.operator, _escaped(node)
    if operator == "pr":
        missing = {"true": "false", "false": "true"}.get(node.value, node.value)
        return search.condition(types, f"{path}:missing", missing, links)
    if type_ in {"token", "quantity"}:
        value = SYSTEM.sub(lambda found: found[1] + SYSTEMS[found[2]], value)
    if type_ in ORDERED and operator in PREFIXES | {"eq", "ne"}:
        return search.condition(types, path, operator + value, links)
    modifier, of = MODIFIERS.get(operator, ("", set()))
    if type_ in of:
        return search.condition(types, f"{path}:{modifier}", value, links)
    if type_ == WORDS and operator not in {"eq", "co"}:
        raise Invalid(f"_filter: the operator '{operator}' is not offered for {path[:60]}.")
    if type_ == WORDS:
        return search.condition(types, path, value, links)
    if operator == "co" and type_ == "string":
        return search.condition(types, f"{path}:contains", value, links)
    return _changed(search.condition(types, path, value, links), _change(operator, type_, path))


def _change(operator: str, type_: str, path: str) -> Callable[[Clause], Condition]:
    """How the condition that the value has without a filter becomes that of an operator. Raises Invalid."""
    if operator == "ne":
        return _unequal
    if type_ == "string" and operator in OF_STRINGS:
        return lambda clause: replace(clause, modifier=OF_STRINGS[operator])
    if type_ == "date" and operator in OF_DATES:
        return lambda clause: _dated(clause, OF_DATES[operator])
    if operator == "eq" or (operator, type_) in {("re", "reference"), ("sw", "string")}:
        return lambda clause: clause
    raise Invalid(f"_filter: the operator '{operator}' is not offered for {path[:60]} ({type_}).")


def _unequal(clause: Clause) -> Condition:
    """Some value of the parameter is another."""
    if clause.parameter.code == "_id":
        return replace(clause, modifier="not")
    return replace(clause, modifier=UNEQUAL)


def _dated(clause: Clause, comparator: Comparator) -> Clause:
    values = (replace(value, comparator=comparator) for value in clause.values if isinstance(value, RangeValue))
    return replace(clause, values=tuple(values))


def _changed(condition: Condition, change: Callable[[Clause], Condition]) -> Condition:
    """The condition with what stands at the end of its chains changed."""
    match condition:
        case Clause():
            return change(condition)
        case Chain():
            return replace(condition, targets=tuple((type_, _changed(one, change)) for type_, one in condition.targets))
        case Has():
            return replace(condition, condition=_changed(condition.condition, change))
    return condition


def _name(step: Step) -> str:
    return step.name


def _escaped(node: Comparison) -> str:
    """As a search value: a text holds no separators, of what is bare only `|` parts a system from a code."""
    return re.sub(r"([\\,$|])" if node.quoted else r"([\\,$])", r"\\\1", node.value)
