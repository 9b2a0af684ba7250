"""Restrictions of `access` compiled to SQL over the tables of `models`: every SELECT of the store carries one.

A restriction that starts at one named resource (a consultant's own cases) becomes common table expressions, each read
once a statement, whose size is that of the own cases; any other is tested row by row on indexed columns. Nothing is
filtered after the query.  What is composed is kept: a caller's next request composes nothing.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    CompoundSelect,
    Exists,
    FromClause,
    Select,
    Table,
    and_,
    exists,
    false,
    not_,
    or_,
    select,
    true,
    union,
)

from fhir_server.access.algebra import (
    AllOf,
    AnyOf,
    Coded,
    Everything,
    InCompartment,
    NamedBy,
    Naming,
    Not,
    OfOrganization,
    OfSomePatient,
    OfType,
    PointsAt,
    Released,
    Restriction,
)
from fhir_server.search.hashing import hash64
from fhir_server.store.joins import ordered
from fhir_server.store.models import index_reference, index_token, resource

Parameter = Callable[[str, str], int]
KEPT = 1000
OF_THE_ROW = (Released, OfOrganization, OfSomePatient, InCompartment)
LISTED_COLUMNS = ("row_id", "resource_type", "resource_id", "patient", "organization", "quarantined")
WITHOUT_PATIENT = frozenset({"Binary", "Endpoint", "Provenance"})
"""Types outside any patient's compartment: who names what is tested row by row."""


def condition(restriction: Restriction, table: FromClause, parameter: Parameter) -> ColumnElement[bool]:
    """Say in SQL which rows of `table` (`resource`, `history` or an alias) the restriction lets through.

    `parameter` gives the number of a search parameter in the index tables; it is the same object for one database.
    """
    if isinstance(table, Table):
        return _kept_condition(restriction, table, parameter)
    return _Compiler(parameter).condition(restriction, table)


@lru_cache(maxsize=KEPT)
def _kept_condition(restriction: Restriction, table: Table, parameter: Parameter) -> ColumnElement[bool]:
    return _Compiler(parameter).condition(restriction, table)


@lru_cache(maxsize=KEPT)
def _list(restriction: Restriction, parameter: Parameter) -> CTE:
    """Name the rows as a set that the database finds once, however often a statement asks for it."""
    return _Compiler(parameter).rows(restriction).cte().prefix_with("MATERIALIZED")


class _Compiler:
    """Every subquery reads fresh aliases and says what it correlates with, so that parts nest at any depth."""

    def __init__(self, parameter: Parameter) -> None:
        self._parameter = parameter

    def condition(self, restriction: Restriction, table: FromClause) -> ColumnElement[bool]:
        if _can_be_listed(restriction):
            return self._in_list(restriction, table)
        match restriction:
            case AllOf(parts):
                return and_(*(self.condition(part, table) for part in parts))
            case AnyOf(parts):
                return or_(*(self.condition(part, table) for part in parts))
            case Not(part):
                return not_(self.condition(part, table))
            case Coded() | Naming() | NamedBy():
                return self._indexed(restriction, table)
            case _:
                return _by_column(restriction, table)

    def _indexed(self, restriction: Coded | Naming | NamedBy, table: FromClause) -> ColumnElement[bool]:
        match restriction:
            case Coded():
                return self._coded(restriction, table)
            case Naming() if _can_be_listed(restriction.target):
                return self._naming(restriction, table, self._list(restriction.target))
            case Naming():
                target = resource.alias()
                return self._naming(restriction, table, target, self.condition(restriction.target, target))
            case NamedBy():
                return table.c.row_id.in_(self._named(restriction, resource.alias()))

    def _in_list(self, restriction: Restriction, table: FromClause) -> ColumnElement[bool]:
        """Lists hold current rows; what the row itself says is asked of `table` too, which may be an older version."""
        parts = restriction.parts if isinstance(restriction, AllOf) else ()
        of_the_row = (_by_column(part, table) for part in parts if isinstance(part, OF_THE_ROW))
        return and_(table.c.row_id.in_(select(self._list(restriction).c.row_id)), *of_the_row)

    def _list(self, restriction: Restriction) -> CTE:
        return _list(restriction, self._parameter)

    def rows(self, restriction: Restriction) -> Select[Any] | CompoundSelect[Any]:
        match restriction:
            case PointsAt():
                return self._pointing(restriction)
            case NamedBy():
                target = resource.alias()
                return _columns(target).where(
                    target.c.row_id.in_(self._named(restriction, self._list(restriction.source)))
                )
            case Naming():
                return self._listed_naming(restriction)
            case AnyOf(parts):
                return union(*(_columns(self._list(part)) for part in parts))
            case AllOf(parts):
                first = next(part for part in parts if _can_be_listed(part))
                driver = self._list(first)
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
            )
        )

    def _listed_naming(self, naming: Naming) -> Select[Any]:
        """Rows that name a listed one, found among those of its patient."""
        link, source, target = index_reference.alias(), resource.alias(), self._list(naming.target)
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

    def _named(self, named: NamedBy, source: FromClause) -> Select[Any]:
        link, target = index_reference.alias(), resource.alias()
        listed = isinstance(source, CTE)
        return (
            select(target.c.row_id)
            .select_from(
                ordered(ordered(source, link, link.c.row_id == source.c.row_id), target, _is_target(link, target))
            )
            .where(
                link.c.parameter == self._parameter(named.resource_type, named.parameter),
                _same_patient(target, source),
                true() if listed else self.condition(named.source, source),
            )
            .correlate(None)
        )


def _can_be_listed(restriction: Restriction) -> bool:
    """Whether the rows can be reached from few others: by links that start there, or within one patient's record."""
    match restriction:
        case PointsAt():
            return True
        case NamedBy(source=source):
            return _can_be_listed(source)
        case Naming(resource_type=resource_type, target=target):
            return resource_type not in WITHOUT_PATIENT and _can_be_listed(target)
        case AllOf(parts):
            return any(_can_be_listed(part) for part in parts)
        case AnyOf(parts):
            return all(_can_be_listed(part) for part in parts)
        case _:
            return False


def _columns(table: FromClause) -> Select[Any]:
    return select(*(table.c[name] for name in LISTED_COLUMNS))


def _is_target(link: FromClause, target: FromClause) -> ColumnElement[bool]:
    return and_(target.c.resource_type == link.c.target_type, target.c.resource_id == link.c.target_id)


def _same_patient(gained: FromClause, known: FromClause) -> ColumnElement[bool]:
    """Whether what is gained is about no patient or about that of the known row: rights never cross to another."""
    return or_(gained.c.patient.is_(None), gained.c.patient == known.c.patient)


def _by_column(restriction: Restriction, table: FromClause) -> ColumnElement[bool]:
    match restriction:
        case Everything():
            return true()
        case Released():
            return table.c.quarantined.is_(False)
        case OfType(resource_types):
            return table.c.resource_type.in_(resource_types)
        case OfOrganization(organization):
            return table.c.organization == organization
        case OfSomePatient():
            return or_(table.c.patient.is_not(None), table.c.resource_type == "Patient")
        case InCompartment(patient):
            return or_(
                table.c.patient == patient, and_(table.c.resource_type == "Patient", table.c.resource_id == patient)
            )
        case _:
            return false()
