"""One walk for all search parameters of a resource type: a tree of the properties that their paths have in common.

A resource is gone through once; where a path ends, one reader makes the rows of all parameters that end there. What is
no plain path is left to the FHIRPath engine, and so is any single parameter on demand (`by_engine`), which is the
measure that the walk is tested against.
"""

import itertools
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from fhir_server.fhirpath import Model
from fhir_server.search.paths import NoPath, Path, Test, Tests, paths_of
from fhir_server.search.readers import (
    KEPT,
    NONE,
    Reader,
    References,
    Row,
    Rows,
    identifier_rows,
    of_type_rows,
    reader,
    text_rows,
)
from fhir_server.search.registry import IDENTIFIER, OF_TYPE, TEXT, Parameter

MOST_GROUPS = 1000
# Rows of a composite have these of each of three components; one without hash is stored under 0.
COMPONENT_COLUMNS = ("hash", "system", "code", "low", "high", "canonical_low", "canonical_high")
COMPONENTS = (1, 2, 3)
EMPTY: Row = (0, None, None, None, None, None, None)

Resource = dict[str, Any]
# The rows of each table, with the code of the parameter that each is of.
Found = defaultdict[str, list[tuple[str, Row]]]


# What is done with an item where a path leads: (item, the whole resource, where the rows go).
Act = Callable[[Any, Resource, Found], None]


@dataclass(slots=True)
class Leaf:
    """Where paths end: what is read, for which parameters."""

    table: str
    read: Reader
    codes: list[str] = field(default_factory=list)

    def act(self, item: Any, whole: Resource, found: Found) -> None:
        """Add the rows of an item."""
        rows = self.read(item)
        if rows:
            found[self.table] += [(code, row) for code in self.codes for row in rows]


@dataclass(slots=True)
class Place:
    """What begins at a property: what is done here, the tests among it, and the properties below."""

    acts: list[Act] = field(default_factory=list)
    below: dict[str, "Place"] = field(default_factory=dict)
    leaves: dict[Hashable, Leaf] = field(default_factory=dict)
    tested: dict[Hashable, "Place"] = field(default_factory=dict)
    groups: "Groups | None" = None

    def walk(self, item: Any, whole: Resource, found: Found) -> None:
        """Add the rows of an item and of all below it."""
        for act in self.acts:
            act(item, whole, found)
        if item.__class__ is not dict:
            return
        for key, place in self.below.items():
            child = item.get(key)
            if child.__class__ is list:
                for one in child:
                    if one is not None:
                        place.walk(one, whole, found)
            elif child is not None:
                place.walk(child, whole, found)

    def leaf(self, table: str, kind: Hashable, read: Reader) -> Leaf:
        """The leaf of this kind, made where it is missing."""
        leaf = self.leaves.get((table, kind))
        if leaf is None:
            leaf = self.leaves[table, kind] = Leaf(table, read)
            self.acts.append(leaf.act)
        return leaf

    def behind(self, name: Hashable, test: Test) -> "Place":
        """Where the items that pass a test are."""
        place = self.tested.get(name)
        if place is None:
            place = self.tested[name] = Place()
            self.acts.append(_tested(test, place))
        return place

    def grouped(self) -> "Groups":
        """The composites of the groups that are here."""
        if self.groups is None:
            self.groups = Groups()
            self.acts.append(self.groups.add)
        return self.groups


def _tested(test: Test, place: Place) -> Act:
    def act(item: Any, whole: Resource, found: Found) -> None:
        if test(item, whole):
            place.walk(item, whole, found)

    return act


@dataclass(slots=True)
class Groups:
    """Composite parameters of one kind of group; what several of them select there is selected once."""

    selections: list["Selection"] = field(default_factory=list)
    keys: dict[Hashable, int] = field(default_factory=dict)
    parameters: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)

    def add(self, group: Any, whole: Resource, found: Found) -> None:
        """One row for each combination of what the components select in this group."""
        selected: list[Rows | None] = [None] * len(self.selections)
        for code, numbers in self.parameters:
            parts: list[Rows] = []
            for number in reversed(numbers):  # mostly it is the last, the value, that is missing
                rows = selected[number]
                if rows is None:
                    rows = selected[number] = self.selections[number](group, whole)
                if not rows:
                    break
                parts.append(rows)
            else:
                found["composite"] += [(code, row) for row in combinations(parts[::-1])]


def combinations(parts: Sequence[Rows]) -> Iterator[Row]:
    """The rows of a composite: each combination of its components' rows, three components wide."""
    filled = [*parts, *[(EMPTY,)] * (len(COMPONENTS) - len(parts))]
    for group in itertools.islice(itertools.product(*filled), MOST_GROUPS):
        yield sum(group, ())


# What a component selects in a group of a resource, as parts of a composite's row.
Selection = Callable[[Resource, Resource], Rows]


@lru_cache(maxsize=KEPT)
def part_of(table: str, row: Row) -> Row:
    """The row of a component's own type as a part of a composite's row."""
    if table == "token":
        return *row, None, None, None, None
    if table == "quantity":
        return *row[:3], *row[4:]
    if table == "reference":
        target_hash, target_type, target_id, url = row
        return target_hash, target_type, target_id if url is None else url, None, None, None, None
    if table in {"date", "number"}:
        return 0, None, None, *row, *row
    return 0, None, row[0], None, None, None, None


class Planner:
    """Makes the plan of a type."""

    def __init__(self, model: Model, references: References) -> None:
        self.model = model
        self.references = references

    def plan(self, resource_type: str, parameters: Iterable[Parameter]) -> "Plan":
        """The plan of some parameters of a type."""
        plan = Plan(resource_type)
        for parameter in parameters:
            try:
                self._add(plan, parameter)
            except NoPath:
                plan.odd.append((parameter, parameter.reads))
        return plan

    def _add(self, plan: "Plan", parameter: Parameter) -> None:
        paths = paths_of(parameter, self.model, plan.resource_type)
        components = parameter.components if parameter.type == "composite" else ()
        for path in paths:
            place = self._place(plan, path)
            if components:
                self._add_group(place, parameter.code, [self._selection(one, path.type) for one in components])
            for table, code, (kind, read) in () if components else self._reads(parameter, path.type):
                codes = place.leaf(table, kind, read).codes
                codes += [code] if code not in codes else []

    def _place(self, plan: "Plan", path: Path) -> Place:
        tests, place, type_ = Tests(self.model, plan.resource_type), plan.root, plan.resource_type
        for step in path.steps:
            if isinstance(step, str):
                place = place.below.setdefault(step, Place())
                type_ = self.model.definitions.keys(type_)[step].type
                continue
            place = place.tested.get(step) or place.behind(step, tests.of(step, type_))
        return place

    def _reads(self, parameter: Parameter, type_: str) -> Iterator[tuple[str, str, tuple[Hashable, Reader]]]:
        """Tables, codes and readers of a parameter; what is the same has the same key."""
        code, kind = parameter.code, parameter.type
        yield kind, code, ((type_, kind == "token" and parameter.literal), self.reader(parameter, type_))
        if kind == "reference" and type_ == "Reference":
            yield "token", code + IDENTIFIER, (IDENTIFIER, identifier_rows)
        if kind == "token" and type_ not in self.model.definitions.primitives:
            yield "string", code + TEXT, ((type_, TEXT), lambda value: text_rows(type_, value))
            if type_ == "Identifier" and OF_TYPE in parameter.suffixes:
                yield "token", code + OF_TYPE, (OF_TYPE, of_type_rows)

    def reader(self, parameter: Parameter, type_: str) -> Reader:
        """What reads the values of a type for a parameter."""
        if parameter.type != "reference":
            return reader(parameter, type_)
        named = {"Reference": self.references.of_reference, "canonical": self.references.of_canonical}
        return named.get(type_, self.references.of_text)

    def _add_group(self, place: Place, code: str, selections: list[tuple[Hashable, Selection]]) -> None:
        groups = place.grouped()
        numbers = []
        for key, selection in selections:
            known = groups.keys.setdefault(key, len(groups.selections))
            if known == len(groups.selections):
                groups.selections.append(selection)
            numbers.append(known)
        groups.parameters.append((code, tuple(numbers)))

    def _selection(self, component: Parameter, group: str) -> tuple[Hashable, Selection]:
        key = component.type, component.expression
        try:
            paths = paths_of(component, self.model, group)
        except NoPath:
            return key, self._selected_by_engine(component, group)
        if not all(len(path.steps) == 1 and isinstance(path.steps[0], str) for path in paths):
            return key, self._selected_by_engine(component, group)
        ends = [(str(path.steps[0]), self.reader(component, path.type)) for path in paths]
        return key, lambda item, whole: _selected(component.type, ends, item)

    def _selected_by_engine(self, component: Parameter, group: str) -> Selection:
        def select(item: Resource, whole: Resource) -> Rows:
            nodes = component.evaluate((group, item), (component.resource_type, whole))
            rows = [row for type_, value in nodes for row in self.reader(component, type_)(value)]
            return [part_of(component.type, row) for row in rows]

        return select

    def by_engine(self, parameter: Parameter, resource: Resource, found: Found) -> None:
        """The rows of one parameter by its expression alone."""
        whole = parameter.resource_type, resource
        for type_, value in parameter.evaluate(whole):
            if parameter.type != "composite":
                for table, code, (_, read) in self._reads(parameter, type_):
                    found[table] += [(code, row) for row in read(value)]
                continue
            selected = [self._selected_by_engine(one, type_)(value, resource) for one in parameter.components]
            if all(selected):
                found["composite"] += [(parameter.code, row) for row in combinations(selected)]


def _selected(table: str, ends: Sequence[tuple[str, Reader]], group: Resource) -> Rows:
    found: list[Row] = []
    for key, read in ends:
        value = group.get(key)
        for one in value if value.__class__ is list else NONE if value is None else (value,):
            found += [part_of(table, row) for row in read(one)] if one is not None else NONE
    return found


@dataclass(slots=True)
class Plan:
    """The walk of a type, and the parameters that the engine evaluates with what they read."""

    resource_type: str
    root: Place = field(default_factory=Place)
    odd: list[tuple[Parameter, frozenset[str] | None]] = field(default_factory=list)
