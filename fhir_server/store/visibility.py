"""Restrictions of `access` compiled to SQL over the tables of `models`: every SELECT of the store carries one.

A restriction that starts at one named resource (a consultant's own cases) is listed first, by subqueries on
`index_reference` whose size is that of the caller's own cases; any other is tested row by row on indexed columns.
Nothing is filtered after the query.
"""

from collections.abc import Callable

from sqlalchemy import ColumnElement, FromClause, Select, and_, exists, false, not_, or_, select, true

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
    bounded,
)
from fhir_server.search.hashing import hash64
from fhir_server.store.models import index_reference, index_token, resource

Parameter = Callable[[str, str], int]


def condition(restriction: Restriction, table: FromClause, parameter: Parameter) -> ColumnElement[bool]:
    """Say in SQL which rows of `table` (`resource`, `history` or an alias) the restriction lets through.

    `parameter` gives the number of a search parameter in the index tables.
    """
    return _Compiler(parameter).condition(restriction, table)


class _Compiler:
    """Every subquery reads fresh aliases and names what it correlates with, so that parts nest at any depth."""

    def __init__(self, parameter: Parameter) -> None:
        self._parameter = parameter

    def condition(self, restriction: Restriction, table: FromClause) -> ColumnElement[bool]:
        match restriction:
            case AllOf(parts):
                return and_(*(self.condition(part, table) for part in parts))
            case AnyOf(parts):
                return or_(*(self.condition(part, table) for part in parts))
            case Not(part):
                return not_(self.condition(part, table))
            case Coded():
                return self._coded(restriction, table)
            case PointsAt():
                return table.c.row_id.in_(self._pointing(restriction))
            case Naming():
                return self._naming(restriction, table)
            case NamedBy():
                return table.c.row_id.in_(self._named(restriction))
            case _:
                return _by_column(restriction, table)

    def _coded(self, coded: Coded, table: FromClause) -> ColumnElement[bool]:
        token = index_token.alias()
        return exists(
            select(token.c.row_id)
            .where(
                token.c.row_id == table.c.row_id,
                token.c.parameter == self._parameter(coded.resource_type, coded.parameter),
                token.c.code_hash.in_([hash64(code) for code in coded.codes]),
                token.c.code.in_(coded.codes),
                true() if coded.system is None else token.c.system == coded.system,
            )
            .correlate(table)
        )

    def _pointing(self, pointing: PointsAt) -> Select[int]:
        target_type, _, target_id = pointing.target.partition("/")
        link = index_reference.alias()
        return (
            select(link.c.row_id)
            .where(
                link.c.parameter == self._parameter(pointing.resource_type, pointing.parameter),
                link.c.target_hash == hash64(target_type, target_id),
                link.c.target_type == target_type,
                link.c.target_id == target_id,
            )
            .correlate(None)
        )

    def _naming(self, naming: Naming, table: FromClause) -> ColumnElement[bool]:
        link, source, target = index_reference.alias(), resource.alias(), resource.alias()
        links = (
            select(link.c.row_id)
            .join(source, source.c.row_id == link.c.row_id)
            .join(target, _is_target(link, target))
            .where(
                link.c.parameter == self._parameter(naming.resource_type, naming.parameter),
                _same_patient(source, target),
                self.condition(naming.target, target),
            )
        )
        if bounded(naming.target):
            return table.c.row_id.in_(links.correlate(None))
        return exists(links.where(link.c.row_id == table.c.row_id).correlate(table))

    def _named(self, named: NamedBy) -> Select[int]:
        link, source, target = index_reference.alias(), resource.alias(), resource.alias()
        return (
            select(target.c.row_id)
            .select_from(link)
            .join(source, source.c.row_id == link.c.row_id)
            .join(target, _is_target(link, target))
            .where(
                link.c.parameter == self._parameter(named.resource_type, named.parameter),
                _same_patient(target, source),
                self.condition(named.source, source),
            )
            .correlate(None)
        )


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
