"""Search conditions to SQL over the index tables.  https://hl7.org/fhir/R4/search.html

Every condition is a test on `row_id` by a subquery that an index answers. Whatever a subquery looks at beyond the
searched type (chains, reverse chains) carries the caller's visibility too, so nothing can be guessed through it.
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, Table, and_, false, not_, or_, select, union_all

from fhir_server.search.dates import EARLIEST, LATEST
from fhir_server.search.extract import IMPLIED_SYSTEM, STRING_LENGTH
from fhir_server.search.hashing import hash64
from fhir_server.search.query import (
    Chain,
    Clause,
    Comparator,
    Condition,
    Has,
    Missing,
    QuantityValue,
    Query,
    RangeValue,
    ReferenceValue,
    TextValue,
    TokenValue,
    Value,
)
from fhir_server.search.registry import COLUMNS, IDENTIFIER, Parameter, Registry
from fhir_server.store.joins import ordered
from fhir_server.store.models import INDEX_TABLES, index_reference, index_token, resource

Numbering = Callable[[str, str], int]
Visible = Callable[[str, FromClause], ColumnElement[bool]]
MILLISECOND = 1000
RANKS = {"reference": 2, "uri": 4, "string": 5, "quantity": 6, "number": 6, "date": 7}
LAST_CHARACTER = "\U0010ffff"


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
            return [table.c.patient == patient, *(self.condition(each, table, patient) for each in query.conditions)]
        ordered_by_rank = sorted(query.conditions, key=_rank)
        leading = [self.condition(condition, table) for condition in ordered_by_rank[:1]]
        return leading + [self._along(condition, table) for condition in ordered_by_rank[1:]]

    def _along(self, condition: Condition, table: FromClause) -> ColumnElement[bool]:
        """A condition that another one leads: asked row by row, so that a common code is never listed whole."""
        if isinstance(condition, Clause) and condition.parameter.code not in COLUMNS:
            rows = self._index(condition)
            there = self._rows(condition, None).where(rows.c.row_id == table.c.row_id).correlate(table).exists()
            return not_(there) if condition.modifier == "not" else there
        return self.condition(condition, table)

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
                return table.c.resource_id.in_(self._pointing(condition))

    def _clause(self, clause: Clause, table: FromClause, patient: str | None) -> ColumnElement[bool]:
        code = clause.parameter.code
        if code == "_id":
            return _in_or_not(clause, table.c.resource_id)
        if code == "_lastUpdated":
            return or_(*(_last_updated(value, table) for value in clause.values))
        if clause.modifier == "not":
            return self._along(clause, table)
        return table.c.row_id.in_(self._rows(clause, patient).correlate(None))

    def _index(self, clause: Clause) -> Table:
        return index_token if clause.modifier == "identifier" else INDEX_TABLES[clause.parameter.type]

    def _rows(self, clause: Clause, patient: str | None) -> Select[Any]:
        parameter, rows = clause.parameter, self._index(clause)
        suffix = IDENTIFIER if clause.modifier == "identifier" else ""
        number = self.number(parameter.resource_type, parameter.code + suffix)
        matches = or_(*(self._matches(value, clause, rows) for value in clause.values))
        found = select(rows.c.row_id).where(rows.c.parameter == number, *_hashes(clause, rows), matches)
        return found if patient is None else found.where(rows.c.patient_key == hash64("Patient", patient))

    def _matches(self, value: Value, clause: Clause, rows: FromClause) -> ColumnElement[bool]:
        match value:
            case TokenValue():
                return _token(value, rows)
            case TextValue():
                return TEXT[clause.parameter.type, clause.modifier](value.text, rows)
            case RangeValue():
                points = clause.parameter.type == "number"
                return _number(value, rows) if points else _range(value, rows)
            case QuantityValue():
                return and_(_unit(value, rows), _number(value.range, rows))
            case ReferenceValue():
                return self._reference(value, clause.parameter, rows)

    def _reference(self, value: ReferenceValue, parameter: Parameter, rows: FromClause) -> ColumnElement[bool]:
        if value.id is None:
            url = str(value.url)
            return and_(rows.c.target_hash == hash64(url), rows.c.url == url)
        types = (value.type,) if value.type else parameter.targets
        if not types:
            return rows.c.target_id == value.id
        same = [and_(rows.c.target_hash == hash64(name, value.id), rows.c.target_type == name) for name in types]
        return and_(or_(*same), rows.c.target_id == value.id)

    def _missing(self, parameter: Parameter, missing: bool, table: FromClause) -> ColumnElement[bool]:
        if parameter.code in {"_id", "_lastUpdated"}:
            return false() if missing else table.c.row_id.is_not(None)
        rows = INDEX_TABLES[parameter.type]
        number = self.number(parameter.resource_type, parameter.code)
        own = select(rows.c.row_id).where(rows.c.row_id == table.c.row_id, rows.c.parameter == number)
        there = own.correlate(table).exists()
        return not_(there) if missing else there

    def _chained(self, parameter: Parameter, type_: str, inner: Condition) -> Select[Any]:
        """Rows that point to something of a type that meets the condition."""
        link, target = index_reference.alias(), resource.alias()
        return (
            select(link.c.row_id)
            .select_from(ordered(target, link, same_target(link, target)))
            .where(
                link.c.parameter == self.number(parameter.resource_type, parameter.code),
                target.c.resource_type == type_,
                self.visible(type_, target),
                self.condition(inner, target),
            )
            .correlate(None)
        )

    def _pointing(self, has: Has) -> Select[Any]:
        """Ids that something that meets the condition points to."""
        link, source = index_reference.alias(), resource.alias()
        type_ = has.parameter.resource_type
        return (
            select(link.c.target_id)
            .select_from(ordered(source, link, source.c.row_id == link.c.row_id))
            .where(
                link.c.parameter == self.number(type_, has.parameter.code),
                link.c.target_type == has.target_type,
                self.visible(type_, source),
                self.condition(has.condition, source),
            )
            .correlate(None)
        )


def same_target(link: FromClause, target: FromClause) -> ColumnElement[bool]:
    """Join of a reference row with what it points to: the hash is indexed from both sides, the text decides."""
    return and_(
        target.c.identity_hash == link.c.target_hash,
        target.c.resource_type == link.c.target_type,
        target.c.resource_id == link.c.target_id,
    )


def _rank(condition: Condition) -> int:
    """Which condition to lead with: the lower, the fewer rows it is likely to leave."""
    if isinstance(condition, Chain | Has):
        return 3
    if isinstance(condition, Missing) or condition.modifier == "not":
        return 9
    if condition.parameter.code == "_id":
        return 0
    if condition.parameter.type == "token":
        return 1 if condition.parameter.literal else 8
    return RANKS[condition.parameter.type]


def _hashes(clause: Clause, rows: FromClause) -> list[ColumnElement[bool]]:
    """For several ORed tokens one list of hashes, which one index scan answers; the exact tests come after it."""
    codes = [value.code for value in clause.values if isinstance(value, TokenValue)]
    if len(codes) < 2 or None in codes:
        return []
    return [rows.c.code_hash.in_(sorted({hash64(str(code)) for code in codes}))]


def _only_patients(clause: Clause) -> bool:
    """Whether the value can only be a Patient: by its type, the modifier, or the parameter's targets."""
    value = clause.values[0]
    typed = isinstance(value, ReferenceValue) and value.type == "Patient"
    return typed or clause.modifier == "Patient" or clause.parameter.targets == ("Patient",)


def _in_or_not(clause: Clause, column: ColumnElement[Any]) -> ColumnElement[bool]:
    codes = [value.code for value in clause.values if isinstance(value, TokenValue) and not value.system]
    return column.not_in(codes) if clause.modifier == "not" else column.in_(codes)


def _token(value: TokenValue, rows: FromClause) -> ColumnElement[bool]:
    tests: list[ColumnElement[bool]] = []
    if value.code is not None:
        tests += [rows.c.code_hash == hash64(value.code), rows.c.code == value.code]
    if value.system is not None:
        tests.append(rows.c.system.in_([value.system, IMPLIED_SYSTEM]))
    return and_(*tests)


def _last_updated(value: Value, table: FromClause) -> ColumnElement[bool]:
    if not isinstance(value, RangeValue):
        return false()
    return _compare(value, table.c.last_updated, table.c.last_updated + MILLISECOND)


def _range(value: RangeValue, rows: FromClause) -> ColumnElement[bool]:
    return _compare(value, rows.c.low, rows.c.high)


def _compare(value: RangeValue, low: ColumnElement[Any], high: ColumnElement[Any]) -> ColumnElement[bool]:
    """Two ranges by the prefixes of R4 search.html#prefix."""
    search_low, search_high = max(int(value.low), EARLIEST), min(int(value.high), LATEST)
    within = and_(low >= search_low, low < search_high, high <= search_high)
    tests: dict[Comparator, Callable[[], ColumnElement[bool]]] = {
        "eq": lambda: within,
        "ne": lambda: not_(within),
        "gt": lambda: high > search_high,
        "lt": lambda: low < search_low,
        "ge": lambda: or_(high > search_high, within),
        "le": lambda: or_(low < search_low, within),
        "sa": lambda: low >= search_high,
        "eb": lambda: high <= search_low,
        "ap": lambda: and_(low < search_high, high > search_low),
    }
    return tests[value.comparator]()


def _number(value: RangeValue, rows: FromClause) -> ColumnElement[bool]:
    """Numbers: eq, ne and ap by precision, the others by the exact value.  R4 search.html#number"""
    low, high = rows.c.low, rows.c.high
    within = and_(low >= value.low, high < value.high)
    tests: dict[Comparator, Callable[[], ColumnElement[bool]]] = {
        "eq": lambda: within,
        "ne": lambda: not_(within),
        "gt": lambda: high > value.exact,
        "lt": lambda: low < value.exact,
        "ge": lambda: high >= value.exact,
        "le": lambda: low <= value.exact,
        "sa": lambda: low > value.exact,
        "eb": lambda: high < value.exact,
        "ap": lambda: and_(low <= value.high, high >= value.low),
    }
    return tests[value.comparator]()


def _unit(value: QuantityValue, rows: FromClause) -> ColumnElement[bool]:
    if value.code is None:
        return rows.c.row_id.is_not(None) if value.system is None else rows.c.system == value.system
    coded = and_(rows.c.code_hash == hash64(value.code), rows.c.code == value.code)
    if value.system is not None:
        return and_(coded, rows.c.system == value.system)
    return or_(coded, rows.c.unit == value.code)


def _starts(text: str, rows: FromClause) -> ColumnElement[bool]:
    prefix = text[:STRING_LENGTH]
    return and_(rows.c.value >= prefix, rows.c.value < prefix + LAST_CHARACTER)


def _exactly(text: str, rows: FromClause) -> ColumnElement[bool]:
    return rows.c.exact == text


def _contains(text: str, rows: FromClause) -> ColumnElement[bool]:
    return rows.c.value.contains(text, autoescape=True)


def _uri(text: str, rows: FromClause) -> ColumnElement[bool]:
    return rows.c.value == text


def _below(text: str, rows: FromClause) -> ColumnElement[bool]:
    return and_(rows.c.value >= text, rows.c.value < text + LAST_CHARACTER)


def _above(text: str, rows: FromClause) -> ColumnElement[bool]:
    """The URI itself and every prefix of it that ends at a slash."""
    parts = text.split("/")
    return rows.c.value.in_({text, *("/".join(parts[:count]) for count in range(1, len(parts) + 1))} - {""})


TEXT: dict[tuple[str, str | None], Callable[[str, FromClause], ColumnElement[bool]]] = {
    ("string", None): _starts,
    ("string", "exact"): _exactly,
    ("string", "contains"): _contains,
    ("uri", None): _uri,
    ("uri", "below"): _below,
    ("uri", "above"): _above,
}
