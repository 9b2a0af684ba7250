"""Search conditions to SQL over the index tables.  https://hl7.org/fhir/R4/search.html

Every condition is a test on `row_id` by a subquery that an index answers. Whatever a subquery looks at beyond the
searched type (chains, reverse chains) carries the caller's visibility too, so nothing can be guessed through it.
"""

from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    FromClause,
    Select,
    Table,
    and_,
    false,
    not_,
    or_,
    select,
    text,
    union_all,
)

from fhir_server.search.dates import EARLIEST
from fhir_server.search.hashing import hash64
from fhir_server.search.query import (
    Chain,
    Clause,
    Condition,
    Has,
    InCompartment,
    Logic,
    Missing,
    Query,
    RangeValue,
    ReferenceValue,
    TokenValue,
    Value,
)
from fhir_server.search.registry import COLUMNS, IDENTIFIER, OF_TYPE, TEXT, Parameter, Registry
from fhir_server.store.joins import ordered
from fhir_server.store.matches import BETWEEN, any_of, compare, matching, one_of
from fhir_server.store.models import (
    INDEX_TABLES,
    IS_WIDE,
    NARROW,
    index_date,
    index_reference,
    index_string,
    index_token,
    resource,
)

Numbering = Callable[[str, str], int]
Visible = Callable[[str, FromClause], ColumnElement[bool]]
MILLISECOND = 1000
# What these compare with lasts until after the value begins; what those compare with begins before it ends.
FROM_ON = {"ge", "gt", "ap"}
UNTIL = {"le", "lt", "eb"}
PLANNED = 4
RANKS = {"reference": 2, "composite": 2, "uri": 4, "string": 5, "quantity": 6, "number": 6, "date": 7}
# Modifiers with rows of their own: their table, and what their parameter is numbered under.
MODIFIED = {"identifier": (index_token, IDENTIFIER), "of-type": (index_token, OF_TYPE), "text": (index_string, TEXT)}


class Conditions:
    """Compiles for one caller: `visible` gives what the caller may see of a type, `number` the parameter's number."""

    def __init__(self, registry: Registry, number: Numbering, visible: Visible) -> None:
        self.registry = registry
        self.number = number
        self.visible = visible

    def of(self, query: Query, table: FromClause) -> list[ColumnElement[bool]]:
        """Every condition of a query on rows of `table`."""
        patient = self.patient_of(query)
        if patient is not None:
            own = [table.c.patient == patient, table.c.resource_type == query.resource_type]
            conditions = sorted(query.conditions, key=_is_reference)
            return own + [self._of_the_patient(each, table, patient) for each in conditions]
        ordered_by_rank = sorted(_joined(query.conditions), key=_rank)
        leading = [self.condition(condition, table) for condition in ordered_by_rank[:1]]
        along = [self._along(condition, table) for condition in ordered_by_rank[1:PLANNED]]
        return leading + along + [self._after(condition, table) for condition in ordered_by_rank[PLANNED:]]

    def _of_the_patient(self, condition: Condition, table: FromClause, patient: str) -> ColumnElement[bool]:
        """A condition on rows of one patient: what says whose they are is not listed once more."""
        asked = _is_reference(condition)
        return self._along(condition, table) if asked else self.condition(condition, table, patient)

    def _along(self, condition: Condition, table: FromClause) -> ColumnElement[bool]:
        """A condition that another one leads: asked row by row, so that a common code is never listed whole."""
        if isinstance(condition, Clause) and condition.parameter.code not in COLUMNS:
            there = self._of_the_row(condition, table).exists()
            return not_(there) if condition.modifier == "not" else there
        return self.condition(condition, table)

    def _after(self, condition: Condition, table: FromClause) -> ColumnElement[bool]:
        """A condition that the planner may not move: PostgreSQL takes minutes to order a dozen of them."""
        if isinstance(condition, Clause) and condition.parameter.code not in COLUMNS:
            there = self._of_the_row(condition, table).limit(1).scalar_subquery()
            return there.is_(None) if condition.modifier == "not" else there.is_not(None)
        return self.condition(condition, table)

    def _of_the_row(self, clause: Clause, table: FromClause) -> Select[Any]:
        rows = self._index(clause)
        return self._rows(clause, None).where(rows.c.row_id == table.c.row_id).correlate(table)

    def implies_type(self, query: Query) -> bool:
        """Whether some condition can only be met by rows of the type: numbers of parameters belong to one type."""
        return any(
            (isinstance(condition, Clause) and condition.modifier != "not" and condition.parameter.code not in COLUMNS)
            or isinstance(condition, Chain)
            for condition in query.conditions
        )

    def patient_of(self, query: Query) -> str | None:
        """The one patient that the conditions imply, so that the patient-first order of the indexes can be used."""
        for condition in query.conditions:
            if isinstance(condition, Clause) and condition.modifier in {None, "Patient"} and len(condition.values) == 1:
                value = condition.values[0]
                local = isinstance(value, ReferenceValue) and value.id and value.type in {None, "Patient"}
                if local and _only_patients(condition) and self.registry.names_the_patient(condition.parameter):
                    return value.id  # type: ignore[union-attr]
        return None

    def condition(self, condition: Condition, table: FromClause, patient: str | None = None) -> ColumnElement[bool]:
        """One condition."""
        match condition:
            case Clause():
                return self._clause(condition, table, patient)
            case Missing(parameter, missing):
                return self._missing(parameter, missing, table)
            case Chain(parameter, targets):
                parts = [self._chained(parameter, type_, inner) for type_, inner in targets]
                return table.c.row_id.in_(parts[0] if len(parts) == 1 else union_all(*parts))
            case Has():
                return any_of(self._pointed_at(condition, type_, table) for type_ in condition.target_types)
            case InCompartment():
                return self._in_compartment(condition, table)
            case Logic(operator, parts):
                joined = [self.condition(part, table, patient) for part in parts]
                return not_(joined[0]) if operator == "not" else {"and": and_, "or": or_}[operator](*joined)

    def numbers(self, parameter: Parameter, suffix: str = "") -> list[int]:
        """What the parameter is numbered, once for each type that is searched."""
        return [self.number(one.resource_type, one.code + suffix) for one in parameter.everywhere]

    def _numbered(self, column: ColumnElement[Any], parameters: Iterable[Parameter]) -> ColumnElement[bool]:
        return one_of(column, (number for parameter in parameters for number in self.numbers(parameter)))

    def _in_compartment(self, compartment: InCompartment, table: FromClause) -> ColumnElement[bool]:
        itself = and_(table.c.resource_type == compartment.type, table.c.resource_id == compartment.id)
        if not compartment.parameters:
            return itself
        link = index_reference.alias()
        linked = select(link.c.row_id).where(
            self._numbered(link.c.parameter, compartment.parameters),
            link.c.target_hash == hash64(compartment.type, compartment.id),
            link.c.target_type == compartment.type,
            link.c.target_id == compartment.id,
        )
        return or_(table.c.row_id.in_(linked.correlate(None)), itself)

    def _clause(self, clause: Clause, table: FromClause, patient: str | None) -> ColumnElement[bool]:
        code = clause.parameter.code
        if code == "_id":
            return _in_or_not(clause, table.c.resource_id)
        if code == "_lastUpdated":
            return or_(*(_last_updated(value, table) for value in clause.values))
        if clause.modifier == "not":
            return self._along(clause, table)
        rows = self._rows(clause, patient).correlate(None)
        start = None if patient else _start(clause)
        if start is None:
            return table.c.row_id.in_(rows)
        narrow = rows.where(index_date.c.low >= start - NARROW)
        return table.c.row_id.in_(union_all(narrow, rows.where(text(IS_WIDE))))

    def _index(self, clause: Clause) -> Table:
        return MODIFIED[clause.modifier][0] if clause.modifier in MODIFIED else INDEX_TABLES[clause.parameter.type]

    def _rows(self, clause: Clause, patient: str | None) -> Select[Any]:
        parameter, rows = clause.parameter, self._index(clause)
        suffix = MODIFIED[clause.modifier][1] if clause.modifier in MODIFIED else ""
        found = select(rows.c.row_id).where(
            one_of(rows.c.parameter, self.numbers(parameter, suffix)),
            matching(parameter, clause.modifier, clause.values, rows.c),
        )
        return found if patient is None else found.where(rows.c.patient_key == hash64("Patient", patient))

    def _missing(self, parameter: Parameter, missing: bool, table: FromClause) -> ColumnElement[bool]:
        if parameter.code in {"_id", "_lastUpdated"}:
            return false() if missing else table.c.row_id.is_not(None)
        rows = INDEX_TABLES[parameter.type]
        own = select(rows.c.row_id).where(
            rows.c.row_id == table.c.row_id, one_of(rows.c.parameter, self.numbers(parameter))
        )
        there = own.correlate(table).exists()
        return not_(there) if missing else there

    def _chained(self, parameter: Parameter, type_: str, inner: Condition) -> Select[Any]:
        """Rows that point to something of a type that meets the condition."""
        link, target = index_reference.alias(), resource.alias()
        return (
            select(link.c.row_id)
            .select_from(ordered(target, link, same_target(link, target)))
            .where(
                self._numbered(link.c.parameter, [parameter]),
                target.c.resource_type == type_,
                self.visible(type_, target),
                self._inner(inner, target),
            )
            .correlate(None)
        )

    def _inner(self, condition: Condition, table: FromClause) -> ColumnElement[bool]:
        """A link of a chain below the first is found once, from its end: no database orders a dozen of them well."""
        if isinstance(condition, Chain):
            parts = [self._chained(condition.parameter, type_, inner) for type_, inner in condition.targets]
            return table.c.row_id.in_(_once(parts[0] if len(parts) == 1 else union_all(*parts)))
        if isinstance(condition, Has) and len(condition.target_types) == 1:
            return table.c.resource_id.in_(_once(self._pointing(condition, condition.target_types[0])))
        return self.condition(condition, table)

    def _pointed_at(self, has: Has, target_type: str, table: FromClause) -> ColumnElement[bool]:
        """What is of this type and is pointed to by something that meets the condition."""
        pointed_at = table.c.resource_id.in_(self._pointing(has, target_type))
        return pointed_at if len(has.target_types) == 1 else and_(table.c.resource_type == target_type, pointed_at)

    def _pointing(self, has: Has, target_type: str) -> Select[Any]:
        """Ids that something that meets the condition points to."""
        link, source = index_reference.alias(), resource.alias()
        type_ = has.parameter.resource_type
        return (
            select(link.c.target_id)
            .select_from(ordered(source, link, source.c.row_id == link.c.row_id))
            .where(
                link.c.parameter == self.number(type_, has.parameter.code),
                link.c.target_type == target_type,
                source.c.resource_type == type_,
                self.visible(type_, source),
                self._inner(has.condition, source),
            )
            .correlate(None)
        )


def _start(clause: Clause) -> int | None:
    """From when on a date must last that meets one of the values; None where it may have ended before any."""
    if clause.parameter.type != "date" or clause.modifier not in {None, BETWEEN}:
        return None
    values = clause.values[:1] if clause.modifier == BETWEEN else clause.values
    starts = [int(value.low) for value in values if isinstance(value, RangeValue) and value.comparator in FROM_ON]
    return max(min(starts), EARLIEST + NARROW) if len(starts) == len(values) else None


def _joined(conditions: Iterable[Condition]) -> list[Condition]:
    """The conditions, two that say from when and until when an element that does not repeat is as one."""
    found: list[Condition] = []
    for condition in conditions:
        other = next((n for n, one in enumerate(found) if _is_range(one, condition)), None)
        if other is None:
            found.append(condition)
        else:
            found[other] = _between(found[other], condition)
    return found


def _is_reference(condition: Condition) -> bool:
    return isinstance(condition, Clause) and condition.parameter.type == "reference"


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


def _once(rows: Select[Any] | CompoundSelect[Any]) -> Select[Any]:
    found = rows.cte().prefix_with("MATERIALIZED")
    return select(*found.c)


def same_target(link: FromClause, target: FromClause) -> ColumnElement[bool]:
    """Join of a reference row with what it points to: the hash is indexed from both sides, the text decides."""
    return and_(
        target.c.identity_hash == link.c.target_hash,
        target.c.resource_type == link.c.target_type,
        target.c.resource_id == link.c.target_id,
    )


def _rank(condition: Condition) -> int:
    """Which condition to lead with: the lower, the fewer rows it is likely to leave."""
    if isinstance(condition, InCompartment):
        return 1
    if isinstance(condition, Chain | Has):
        return 3
    if isinstance(condition, Missing | Logic) or condition.modifier == "not":
        return 9
    if condition.parameter.code == "_id":
        return 0
    if condition.parameter.type == "token":
        return 1 if condition.parameter.literal else 8
    return RANKS[condition.parameter.type]


def _only_patients(clause: Clause) -> bool:
    """Whether the value can only be a Patient: by its type, the modifier, or the parameter's targets."""
    value = clause.values[0]
    typed = isinstance(value, ReferenceValue) and value.type == "Patient"
    return typed or clause.modifier == "Patient" or clause.parameter.targets == ("Patient",)


def _in_or_not(clause: Clause, column: ColumnElement[Any]) -> ColumnElement[bool]:
    codes = [value.code for value in clause.values if isinstance(value, TokenValue) and not value.system]
    return column.not_in(codes) if clause.modifier == "not" else column.in_(codes)


def _last_updated(value: Value, table: FromClause) -> ColumnElement[bool]:
    if not isinstance(value, RangeValue):
        return false()
    return compare(value, table.c.last_updated, table.c.last_updated + MILLISECOND)
