"""Restrictions that the columns of a row answer, of an organization with what is part of it."""

from collections.abc import Callable

from sqlalchemy import ColumnElement, FromClause, and_, false, or_, true

from fhir_server.access.algebra import (
    Everything,
    Identified,
    InCompartment,
    OfOrganization,
    OfSomePatient,
    OfType,
    Released,
    Restriction,
)
from fhir_server.store.departments import belongs


def by_column(restriction: Restriction, table: FromClause, parameter: Callable[[str, str], int]) -> ColumnElement[bool]:
    """Whether a row of the table is one of these; no row where it takes more than its columns to say."""
    match restriction:
        case Everything():
            return true()
        case Released():
            return table.c.quarantined.is_(False)
        case OfType(resource_types):
            return table.c.resource_type.in_(resource_types)
        case Identified(references):
            return _identified(references, table)
        case OfOrganization(organization):
            return belongs(table, organization, parameter("Organization", "partof"))
        case OfSomePatient():
            return or_(table.c.patient.is_not(None), table.c.resource_type == "Patient")
        case InCompartment(patient):
            return or_(
                table.c.patient == patient, and_(table.c.resource_type == "Patient", table.c.resource_id == patient)
            )
        case _:
            return false()


def _identified(references: tuple[str, ...], table: FromClause) -> ColumnElement[bool]:
    by_type: dict[str, list[str]] = {}
    for reference in references:
        resource_type, _, resource_id = reference.partition("/")
        by_type.setdefault(resource_type, []).append(resource_id)
    return or_(
        false(),
        *(and_(table.c.resource_type == name, table.c.resource_id.in_(ids)) for name, ids in by_type.items()),
    )
