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
    func,
    not_,
    or_,
    select,
    text,
    union_all,
)

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
from fhir_server.store.candidates import candidates
from fhir_server.store.date_spans import joined, start_of
from fhir_server.store.joins import among, ordered
from fhir_server.store.leading import has_rows, is_listed, is_reference, rank
from fhir_server.store.matches import BETWEEN, any_of, compare, matching, one_of
from fhir_server.store.models import (
    INDEX_TABLES,
    IS_WIDE,
    index_date,
    index_reference,
    index_string,
    index_token,
    resource,
)
from fhir_server.store.slots import slot
from fhir_server.store.visibility import is_everything

Numbering = Callable[[str, str], int]
Visible = Callable[[str, FromClause], ColumnElement[bool]]
MILLISECOND = 1000
PLANNED = 4
# Modifiers with rows of their own: their table, and what their parameter is numbered under.
MODIFIED = {"identifier": (index_token, IDENTIFIER), "of-type": (index_token, OF_TYPE), "text": (index_string, TEXT)}


class Conditions:
    """Compiles for one caller: `visible` gives what the caller may see of a type, `number` the parameter's number."""

    def __init__(self, registry: Registry, number: Numbering, visible: Visible) -> None:
        self.registry = registry
        self.number = number
        self.visible = visible

    def of(
        self, query: Query, table: FromClause, leading: ColumnElement[bool] | None = None, *, along: bool = False
    ) -> list[ColumnElement[bool]]:
        """Every condition of a query on rows of `table`; `leading`: what stands for its range of dates; `along`: all
        are asked of rows that something else lists.
        """
        patient = self.patient_of(query)
        if patient is not None:
            conditions = sorted(query.conditions, key=is_reference)
            whose = slot(table.c.patient, patient, "id")
            if query.resource_type and not query.sort and any(map(has_rows, conditions)):
                listed = [self._listed_of_the_patient(each, table, patient) for each in conditions]
                return [*listed, func.coalesce(table.c.patient, "") == whose]
            own = [table.c.patient == whose, table.c.resource_type == query.resource_type]
            return own + [self._of_the_patient(each, table, patient) for each in conditions]
        chain = self._to_patients(query)
        if chain is not None:
            return self._of_some_patients(query, chain, table)
        by_rank = sorted(joined(query.conditions), key=rank)
        asked = [self._along(condition, table) for condition in by_rank[:PLANNED]]
        if by_rank and not along:
            asked[0] = self.condition(by_rank[0], table) if leading is None else leading
        return asked + [self._after(condition, table) for condition in by_rank[PLANNED:]]

    def range_of_dates(self, query: Query) -> Select[Any] | CompoundSelect[Any] | None:
        """Rows of the range of dates that leads the query; None where something else does."""
        if self.patient_of(query) is not None or self._to_patients(query) is not None:
            return None
        first = min(joined(query.conditions), key=rank, default=None)
        return self._listed(first) if isinstance(first, Clause) and first.modifier == BETWEEN else None

    def _of_the_patient(self, condition: Condition, table: FromClause, patient: ReferenceValue) -> ColumnElement[bool]:
        """A condition on rows of one patient. What says whose they are is asked of the rows that are left, and not
        moved before the others: PostgreSQL would list all that the patient has.
        """
        asked = is_reference(condition)
        return self._after(condition, table) if asked else self.condition(condition, table, patient)

    def _listed_of_the_patient(
        self, condition: Condition, table: FromClause, patient: ReferenceValue
    ) -> ColumnElement[bool]:
        """The same where the page is in the order of rows: those that match are listed, and read until it is full.
        The list is of the type already, and whose they are is asked in a way that no index answers: one of patients
        would have all of theirs read and sorted.
        """
        if isinstance(condition, Clause) and has_rows(condition):
            return among(table.c.row_id, self._listed(condition, patient))
        return self._of_the_patient(condition, table, patient)

    def _to_patients(self, query: Query) -> Chain | None:
        """A chain that says which patients the rows belong to, where another condition has rows of those patients."""
        if query.resource_type is None or not any(map(has_rows, query.conditions)):
            return None
        chains = (each for each in query.conditions if isinstance(each, Chain) and len(each.targets) == 1)
        named = (each for each in chains if each.targets[0][0] == "Patient")
        return next((each for each in named if self.registry.names_the_patient(each.parameter)), None)

    def _of_some_patients(self, query: Query, chain: Chain, table: FromClause) -> list[ColumnElement[bool]]:
        """The patients are found once; then each condition is asked of their rows, by the patient-first order."""
        target = resource.alias()
        asked = target.c.resource_type == "Patient", self.visible("Patient", target)
        found = select(target.c.identity_hash, target.c.resource_id).where(
            *asked, self._inner(chain.targets[0][1], target)
        )
        patients = found.correlate(None).cte().prefix_with("MATERIALIZED")
        own = [
            table.c.resource_type == query.resource_type,
            table.c.patient.in_(select(patients.c.resource_id)),
            self._points_to(chain.parameter, patients, table),
        ]
        others = [each for each in query.conditions if each is not chain]
        return own + [self._of_their_rows(each, patients, table) for each in others]

    def _points_to(self, parameter: Parameter, patients: FromClause, table: FromClause) -> ColumnElement[bool]:
        link = index_reference.alias()
        pointing = select(link.c.row_id).where(
            link.c.row_id == table.c.row_id,
            self._numbered(link.c.parameter, [parameter]),
            link.c.target_type == "Patient",
            link.c.target_id.in_(select(patients.c.resource_id)),
        )
        return pointing.correlate(table).limit(1).scalar_subquery().is_not(None)

    def _of_their_rows(self, condition: Condition, patients: FromClause, table: FromClause) -> ColumnElement[bool]:
        if not (isinstance(condition, Clause) and has_rows(condition)):
            return self._along(condition, table)
        rows = self._index(condition)
        theirs = rows.c.patient_key.in_(select(patients.c.identity_hash))
        return table.c.row_id.in_(self._rows(condition, None).where(theirs).correlate(None))

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
        """Whether some condition can only be met by rows of the type: numbers of parameters belong to one type, and
        what is pointed to is found by its type.
        """
        return any(
            (isinstance(condition, Clause) and condition.modifier != "not" and condition.parameter.code not in COLUMNS)
            or isinstance(condition, Chain | Has)
            for condition in query.conditions
        )

    def patient_of(self, query: Query) -> ReferenceValue | None:
        """The one patient that the conditions imply, so that the patient-first order of the indexes can be used."""
        for condition in query.conditions:
            if isinstance(condition, Clause) and condition.modifier in {None, "Patient"} and len(condition.values) == 1:
                value = condition.values[0]
                if not isinstance(value, ReferenceValue) or not value.id or value.type not in {None, "Patient"}:
                    continue
                if _only_patients(condition) and self.registry.names_the_patient(condition.parameter):
                    return value
        return None

    def condition(
        self, condition: Condition, table: FromClause, patient: ReferenceValue | None = None
    ) -> ColumnElement[bool]:
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
        return [self.number(one.resource_type, one.indexed_as + suffix) for one in parameter.everywhere]

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

    def _clause(self, clause: Clause, table: FromClause, patient: ReferenceValue | None) -> ColumnElement[bool]:
        code = clause.parameter.code
        if code == "_id":
            return _in_or_not(clause, table.c.resource_id)
        if code == "_lastUpdated":
            return or_(*(_last_updated(value, table) for value in clause.values))
        if clause.modifier == "not":
            return self._along(clause, table)
        if clause.parameter.type == "composite" and patient is None:
            return self._composite(clause, table)
        return table.c.row_id.in_(self._listed(clause, patient))

    def _composite(self, clause: Clause, table: FromClause) -> ColumnElement[bool]:
        """What the index alone gives, by hashes and numbers; the texts are asked of each row that is then read."""
        rows = candidates(clause, self.numbers(clause.parameter))
        return and_(among(table.c.row_id, rows), self._after(clause, table))

    def _listed(self, clause: Clause, patient: ReferenceValue | None = None) -> Select[Any] | CompoundSelect[Any]:
        """Rows that meet a clause, some of them more than once."""
        rows = self._rows(clause, patient).correlate(None)
        start = None if patient else start_of(clause)
        if start is None:
            return rows
        return union_all(rows.where(index_date.c.low >= start), rows.where(text(IS_WIDE)))

    def of_one_index(self, query: Query) -> Select[Any] | None:
        """The rows of a query that one index answers by itself, each once: those of a type with one condition."""
        condition = query.conditions[0] if len(query.conditions) == 1 else None
        if query.resource_type is None or not isinstance(condition, Clause) or not is_listed(condition):
            return None
        if self.patient_of(query) is not None:
            return None
        rows = self._listed(condition).subquery()
        return select(rows.c.row_id).distinct()

    def _index(self, clause: Clause) -> Table:
        return MODIFIED[clause.modifier][0] if clause.modifier in MODIFIED else INDEX_TABLES[clause.parameter.type]

    def _rows(self, clause: Clause, patient: ReferenceValue | None) -> Select[Any]:
        parameter, rows = clause.parameter, self._index(clause)
        suffix = MODIFIED[clause.modifier][1] if clause.modifier in MODIFIED else ""
        found = select(rows.c.row_id).where(
            one_of(rows.c.parameter, self.numbers(parameter, suffix)),
            matching(parameter, clause.modifier, clause.values, rows.c),
        )
        if patient is None:
            return found
        return found.where(rows.c.patient_key == slot(rows.c.patient_key, patient, "target_hash", "Patient"))

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
        """What is of this type and is pointed to by something that meets the condition: found from there."""
        ids, target = self._pointing(has, target_type).distinct().subquery(), resource.alias()
        named = and_(target.c.resource_type == target_type, target.c.resource_id == ids.c.target_id)
        rows = select(target.c.row_id).select_from(ordered(ids, target, named))
        return table.c.row_id.in_(rows.correlate(None))

    def _pointing(self, has: Has, target_type: str) -> Select[Any]:
        """Ids that something that meets the condition points to. Where all of a type is visible, the index that
        answers the condition is enough.
        """
        link, source = index_reference.alias(), resource.alias()
        type_, condition = has.parameter.resource_type, has.condition
        visible = self.visible(type_, source)
        tests = [link.c.parameter == self.number(type_, has.parameter.code), link.c.target_type == target_type]
        met: FromClause = source
        if is_everything(visible) and isinstance(condition, Clause) and is_listed(condition):
            met = self._listed(condition).subquery()
        else:
            tests += [source.c.resource_type == type_, visible, self._inner(condition, source)]
        links = ordered(met, link, met.c.row_id == link.c.row_id)
        return select(link.c.target_id).select_from(links).where(*tests).correlate(None)


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


def _only_patients(clause: Clause) -> bool:
    """Whether the value can only be a Patient: by its type, the modifier, or the parameter's targets."""
    value = clause.values[0]
    typed = isinstance(value, ReferenceValue) and value.type == "Patient"
    return typed or clause.modifier == "Patient" or clause.parameter.targets == ("Patient",)


def _in_or_not(clause: Clause, column: ColumnElement[Any]) -> ColumnElement[bool]:
    value = clause.values[0]
    if len(clause.values) == 1 and isinstance(value, TokenValue) and value.code and not value.system:
        same: ColumnElement[bool] = column == slot(column, value, "code")
        return not_(same) if clause.modifier == "not" else same
    codes = [value.code for value in clause.values if isinstance(value, TokenValue) and not value.system]
    return column.not_in(codes) if clause.modifier == "not" else column.in_(codes)


def _last_updated(value: Value, table: FromClause) -> ColumnElement[bool]:
    if not isinstance(value, RangeValue):
        return false()
    return compare(value, table.c.last_updated, table.c.last_updated + MILLISECOND)
