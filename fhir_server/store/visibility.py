"""Restrictions of `access` compiled to SQL over the tables of `models`: every SELECT of the store carries one.

A restriction that starts at one named resource (a consultant's own cases) becomes common table expressions, each read
once a statement, whose size is that of the own cases; any other is tested row by row on indexed columns. Nothing is
filtered after the query.  What is composed is kept: a caller's next request composes nothing.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    CompoundSelect,
    Exists,
    FromClause,
    Select,
    Table,
    and_,
    exists,
    false,
    literal_column,
    not_,
    or_,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.sql.elements import True_

from fhir_server.access.algebra import (
    AllOf,
    AnyOf,
    Carrying,
    Coded,
    Identified,
    InCompartment,
    NamedBy,
    Naming,
    Not,
    OfOrganization,
    OfSomePatient,
    PointsAt,
    Released,
    Restriction,
)
from fhir_server.access.labels import BITS, bits_of
from fhir_server.search.hashing import hash64
from fhir_server.store.by_column import by_column
from fhir_server.store.bytewise import holds
from fhir_server.store.joins import ordered
from fhir_server.store.models import history, index_reference, index_token, resource

Parameter = Callable[[str, str], int]
KEPT = 1000
OF_THE_ROW = (Released, OfOrganization, OfSomePatient, InCompartment)
LISTED_COLUMNS = ("row_id", "resource_type", "resource_id", "patient", "organization", "quarantined", "labels")
WITHOUT_PATIENT = frozenset({"Binary", "Endpoint", "Provenance"})
"""Types outside any patient's compartment: who names what is tested row by row."""


def condition(restriction: Restriction, table: FromClause, parameter: Parameter) -> ColumnElement[bool]:
    """Say in SQL which rows of `table` (`resource`, `history` or an alias) the restriction lets through.

    `parameter` gives the number of a search parameter in the index tables; it is the same object for one database.
    """
    if isinstance(table, Table):
        return _kept_condition(restriction, table, parameter)
    return _Compiler(parameter).condition(restriction, table)


def condition_of_one(restriction: Restriction, parameter: Parameter) -> ColumnElement[bool]:
    """The same for a row of `resource` that is known by its id: what leads to it is looked up, no list is made."""
    return _Compiler(parameter, listing=False).condition(restriction, resource)


def condition_of_patient(
    restriction: Restriction, parameter: Parameter, patient: ColumnElement[str]
) -> ColumnElement[bool]:
    """The same for rows of `resource` about this one patient, which the statement says besides: of the cases only those
    about the patient are looked at, since rights never cross from one patient to another.
    """
    return _Compiler(parameter, patient=patient).condition(restriction, resource)


def is_everything(visible: ColumnElement[bool]) -> bool:
    """Whether a condition lets every row through."""
    return isinstance(visible, True_)


@lru_cache(maxsize=KEPT)
def _kept_condition(restriction: Restriction, table: Table, parameter: Parameter) -> ColumnElement[bool]:
    return _Compiler(parameter).condition(restriction, table)


@lru_cache(maxsize=KEPT)
def _list(restriction: Restriction, parameter: Parameter, resource_type: str | None) -> CTE:
    """Name the rows as a set that the database finds once, however often a statement asks for it."""
    return _Compiler(parameter).listed(restriction, resource_type)


class _Compiler:
    """Every subquery reads fresh aliases and says what it correlates with, so that parts nest at any depth."""

    def __init__(
        self, parameter: Parameter, *, listing: bool = True, patient: ColumnElement[str] | None = None
    ) -> None:
        self._parameter = parameter
        self._listing = listing
        self._patient = patient
        self._lists: dict[tuple[Restriction, str | None], CTE] = {}

    def condition(self, restriction: Restriction, table: FromClause) -> ColumnElement[bool]:
        if self._is_listed_whole(restriction):
            return self._in_list(restriction, table)
        match restriction:
            case AllOf(parts):
                return and_(*(self.condition(part, table) for part in parts))
            case AnyOf(parts):
                return or_(*(self.condition(part, table) for part in parts))
            case Not(part):
                return not_(self.condition(part, table))
            case Coded() | Carrying() | Naming() | NamedBy():
                return self._indexed(restriction, table)
            case _:
                return by_column(restriction, table, self._parameter)

    def _is_listed_whole(self, restriction: Restriction) -> bool:
        """Of one patient only what leads to rows is listed: these are few already, and each is asked."""
        if isinstance(restriction, PointsAt):
            return True
        return self._listing and self._patient is None and can_be_listed(restriction)

    def _indexed(self, restriction: Coded | Carrying | Naming | NamedBy, table: FromClause) -> ColumnElement[bool]:
        match restriction:
            case Coded():
                return self._coded(restriction, table)
            case Carrying():
                return self._carrying(restriction, table)
            case Naming() if self._listing and can_be_listed(restriction.target):
                return self._naming(restriction, table, self._list(restriction.target, None))
            case Naming():
                target = resource.alias()
                return self._naming(restriction, table, target, self.condition(restriction.target, target))
            case NamedBy() if self._patient is not None and can_be_listed(restriction.source):
                return self._among_named(restriction, table)
            case NamedBy() if self._listing:
                return table.c.row_id.in_(self._named(restriction, resource.alias(), columns=("row_id",)))
            case NamedBy():
                return self._leading(restriction, table)

    def _leading(self, named: NamedBy, table: FromClause) -> Exists:
        """Whether a row of the source names this one, looked up from this one."""
        link, source = index_reference.alias(), resource.alias()
        return exists(
            select(link.c.row_id)
            .join(source, source.c.row_id == link.c.row_id)
            .where(
                link.c.target_hash == table.c.identity_hash,
                _is_target(link, table),
                link.c.parameter == self._parameter(named.resource_type, named.parameter),
                _same_patient(table, source),
                self.condition(named.source, source),
            )
            .correlate(table)
        )

    def _in_list(self, restriction: Restriction, table: FromClause) -> ColumnElement[bool]:
        """Lists hold current rows; what the row itself says is asked of `table` too, which may be an older version."""
        parts = restriction.parts if isinstance(restriction, AllOf) else ()
        of_the_row = (by_column(part, table, self._parameter) for part in parts if isinstance(part, OF_THE_ROW))
        return and_(table.c.row_id.in_(select(self._list(restriction, None).c.row_id)), *of_the_row)

    def _list(self, restriction: Restriction, resource_type: str | None) -> CTE:
        if self._patient is None:
            return _list(restriction, self._parameter, resource_type)
        key = restriction, resource_type
        if key not in self._lists:
            self._lists[key] = self.listed(restriction, resource_type)
        return self._lists[key]

    def listed(self, restriction: Restriction, resource_type: str | None) -> CTE:
        """The rows, of one type or of all, as a named set; SQLite sees by itself which it needs more than once."""
        return self.rows(restriction, resource_type).cte().prefix_with("MATERIALIZED", dialect="postgresql")

    def _about(self, table: FromClause) -> ColumnElement[bool]:
        """Where every list starts: everywhere, or at what is about the one patient."""
        return true() if self._patient is None else table.c.patient == self._patient

    def rows(self, restriction: Restriction, resource_type: str | None) -> Select[Any] | CompoundSelect[Any]:
        match restriction:
            case PointsAt():
                return self._pointing(restriction)
            case Identified():
                of_column = by_column(restriction, resource, self._parameter)
                return _columns(resource).where(of_column, self._about(resource))
            case NamedBy():
                source = self._list(restriction.source, restriction.resource_type)
                return self._named(restriction, source, resource_type)
            case Naming():
                return self._listed_naming(restriction)
            case AnyOf(parts):
                return union_all(*(_columns(self._list(part, resource_type)) for part in parts))
            case AllOf(parts):
                first = next(part for part in parts if can_be_listed(part))
                driver = self._list(first, resource_type)
                return _columns(driver).where(*(self.condition(part, driver) for part in parts if part is not first))
            case _:
                return _columns(resource).where(false())

    def _coded(self, coded: Coded, table: FromClause) -> ColumnElement[bool]:
        try:
            parameter = self._parameter(coded.resource_type, coded.parameter)
        except KeyError:  # a granular scope may name a parameter that this server has not
            return false()
        token = index_token.alias()
        codes = [code.casefold() for code in coded.codes]
        return exists(
            select(token.c.row_id)
            .where(
                token.c.row_id == table.c.row_id,
                token.c.parameter == parameter,
                token.c.code_hash.in_([hash64(code) for code in codes]),
                token.c.code.in_(codes),
                true() if coded.system is None else token.c.system == coded.system,
            )
            .correlate(table)
        )

    def _carrying(self, carrying: Carrying, table: FromClause) -> ColumnElement[bool]:
        """A token in any index of the row; what only Consents speak of is no label of theirs.

        An older version counts as labelled where the current one is, or where it holds the code anywhere.
        """
        pairs = [(system, code.casefold()) for system, code in carrying.tokens]
        current = resource.alias() if table is history else table
        others = [pair for pair in pairs if pair not in BITS]
        carried = or_(
            current.c.labels.bitwise_and(_written_out(bits_of(pairs))) != _written_out(0),
            *([self._among_tokens(others, current)] if others else []),
        )
        if table is not history:
            return carried
        of_the_row = exists(
            select(current.c.row_id).where(current.c.row_id == table.c.row_id, carried).correlate(table)
        )
        return or_(of_the_row, *(holds(history.c.content, f'"{code}"'.encode()) for _, code in carrying.tokens))

    def _among_tokens(self, pairs: Sequence[tuple[str, str]], table: FromClause) -> Exists:
        """Whether one of these, which are not labels of the table, is a token of the row."""
        token = index_token.alias()
        matching = (
            and_(token.c.code_hash == _written_out(hash64(code)), token.c.code == code, token.c.system == system)
            for system, code in pairs
        )
        return exists(
            select(token.c.row_id)
            .where(
                token.c.row_id == table.c.row_id,
                token.c.code_hash.in_(map(_written_out, sorted({hash64(code) for _, code in pairs}))),
                token.c.parameter != self._parameter("Consent", "security-label"),
                or_(*matching),
            )
            .correlate(table)
        )

    def _pointing(self, pointing: PointsAt) -> Select[Any]:
        target_type, _, target_id = pointing.target.partition("/")
        link, source = index_reference.alias(), resource.alias()
        return (
            _columns(source)
            .join(link, link.c.row_id == source.c.row_id)
            .where(
                link.c.parameter == self._parameter(pointing.resource_type, pointing.parameter),
                link.c.target_hash == hash64(target_type, target_id),
                link.c.target_type == target_type,
                link.c.target_id == target_id,
                self._about(source),
            )
        )

    def _listed_naming(self, naming: Naming) -> Select[Any]:
        """Rows that name a listed one, found among those of its patient."""
        link, source, target = index_reference.alias(), resource.alias(), self._list(naming.target, None)
        of_the_patient = and_(source.c.patient == target.c.patient, source.c.resource_type == naming.resource_type)
        naming_it = and_(link.c.row_id == source.c.row_id, _is_target(link, target))
        return (
            _columns(source)
            .select_from(ordered(ordered(target, source, of_the_patient), link, naming_it))
            .where(link.c.parameter == self._parameter(naming.resource_type, naming.parameter))
        )

    def _naming(self, naming: Naming, table: FromClause, target: FromClause, *more: ColumnElement[bool]) -> Exists:
        link = index_reference.alias()
        return exists(
            select(link.c.row_id)
            .join(target, _is_target(link, target))
            .where(
                link.c.row_id == table.c.row_id,
                link.c.parameter == self._parameter(naming.resource_type, naming.parameter),
                _same_patient(table, target),
                *more,
            )
            .correlate(table)
        )

    def _among_named(self, named: NamedBy, table: FromClause) -> ColumnElement[bool]:
        """Whether what is listed names a row of the one patient: names are compared, the named are not looked up."""
        link, source = index_reference.alias(), self._list(named.source, named.resource_type)
        names = (
            select(link.c.target_type, link.c.target_id)
            .select_from(ordered(source, link, link.c.row_id == source.c.row_id))
            .where(link.c.parameter == self._parameter(named.resource_type, named.parameter), self._about(source))
            .correlate(None)
        )
        return tuple_(table.c.resource_type, table.c.resource_id).in_(names)

    def _named(
        self,
        named: NamedBy,
        source: FromClause,
        resource_type: str | None = None,
        columns: Sequence[str] = LISTED_COLUMNS,
    ) -> Select[Any]:
        """What rows of the source name, once for each of these."""
        link, target = index_reference.alias(), resource.alias()
        listed = isinstance(source, CTE)
        return (
            select(*(target.c[name] for name in columns))
            .select_from(
                ordered(ordered(source, link, link.c.row_id == source.c.row_id), target, _is_target(link, target))
            )
            .where(
                link.c.parameter == self._parameter(named.resource_type, named.parameter),
                _same_patient(target, source),
                true() if listed else self.condition(named.source, source),
                true() if resource_type is None else link.c.target_type == resource_type,
            )
            .correlate(None)
        )


def _written_out(number: int) -> ColumnElement[int]:
    """A number of ours as part of the statement: to bind hundreds of them takes longer than to compare them."""
    return literal_column(str(number), BigInteger)


def can_be_listed(restriction: Restriction) -> bool:
    """Whether the rows can be reached from few others: by links that start there, or within one patient's record."""
    match restriction:
        case PointsAt() | Identified():
            return True
        case NamedBy(source=source):
            return can_be_listed(source)
        case Naming(resource_type=resource_type, target=target):
            return resource_type not in WITHOUT_PATIENT and can_be_listed(target)
        case AllOf(parts):
            return any(can_be_listed(part) for part in parts)
        case AnyOf(parts):
            return all(can_be_listed(part) for part in parts)
        case _:
            return False


def _columns(table: FromClause) -> Select[Any]:
    return select(*(table.c[name] for name in LISTED_COLUMNS))


def _is_target(link: FromClause, target: FromClause) -> ColumnElement[bool]:
    return and_(target.c.resource_type == link.c.target_type, target.c.resource_id == link.c.target_id)


def _same_patient(gained: FromClause, known: FromClause) -> ColumnElement[bool]:
    """Whether what is gained is about no patient or about that of the known row: rights never cross to another."""
    return or_(gained.c.patient.is_(None), gained.c.patient == known.c.patient)
