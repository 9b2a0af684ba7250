"""The access matrix: every role x type x interaction x terms of the policy table, as SQL against a plain reading.

The reading walks the same restriction over the rows in memory, so that what the policy means and what the database
answers are compared cell by cell; which rows each relation should give is written out in `store/test_visibility.py`.
"""

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from sqlalchemy import and_, select

from fhir_server.access import Interaction, Terms, restriction, written
from fhir_server.access.algebra import (
    AllOf,
    AnyOf,
    Carrying,
    Coded,
    Everything,
    Identified,
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
from fhir_server.access.policy import LETTER, OPEN_TYPES, POLICY
from fhir_server.access.terms import NO_TERMS, UNLABELLED, Agreement
from fhir_server.errors import Forbidden
from fhir_server.store.models import resource
from fhir_server.store.visibility import condition, condition_of_one
from tests.fhir_server.store.test_visibility import LINKS, ROWS, TOKENS, World, caller, parameter

TYPES = sorted({key.partition("/")[0] for key in ROWS})
TREATED = Terms((Agreement(UNLABELLED, ("Task/t1",), ("ServiceRequest/s1",)),))
IN_PART = Terms(
    (Agreement(OfType(("ImagingStudy", "DiagnosticReport")), ("Task/t1",), ("ServiceRequest/s1",)),),
    AllOf((InCompartment("p1"), Identified(("DiagnosticReport/first", "ImagingStudy/released")))),
)
Cell = tuple[str, Interaction, bool, str, Terms]
CELLS: list[Cell] = [
    (role, interaction, after, resource_type, terms)
    for role, interaction, resource_type, terms in product(POLICY, LETTER, TYPES, (NO_TERMS, TREATED, IN_PART))
    for after in ((False, True) if interaction == "update" else (False,))
]


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    opened = World(database_url)
    yield opened
    opened.close()


def allowed(cell: Cell) -> Restriction | None:
    role, interaction, after, resource_type, terms = cell
    who = caller(role, "ito", "Organization/anna", "user/*.cruds system/*.cruds")
    try:
        return (written if after else restriction)(who, interaction, resource_type, terms)
    except Forbidden:
        return None


def answers(world: World, granted: Restriction, resource_type: str) -> list[set[str]]:
    """What the database gives: as a list, and row by row as for a read."""
    conditions = condition(granted, resource, parameter), condition_of_one(granted, parameter)
    statements = (
        select(resource.c.resource_id).where(and_(resource.c.resource_type == resource_type, each))
        for each in conditions
    )
    found = (world.runner.run(world.database.fetch(statement)) for statement in statements)
    return [{f"{resource_type}/{row['resource_id']}" for row in rows} for rows in found]


def check(world: World, cells: list[Cell]) -> None:
    for cell in cells:
        granted, resource_type = allowed(cell), cell[3]
        if granted is None:
            continue
        expected = {key for key in ROWS if key.startswith(f"{resource_type}/") and holds(granted, key)}
        for answer in answers(world, granted, resource_type):
            assert answer == expected, cell


def test_a_sample_of_the_matrix(world: World) -> None:
    assert len(CELLS) > 3000
    check(world, CELLS[::23])


@pytest.mark.full
def test_the_whole_matrix(world: World) -> None:
    check(world, CELLS)


def test_what_no_row_of_the_policy_names_is_refused() -> None:
    for cell in CELLS:
        role, interaction, _, resource_type, _ = cell
        named = any(grant.covers(interaction, resource_type) for grant in POLICY[role])
        is_open = resource_type in OPEN_TYPES and interaction in {"read", "search", "history"}
        assert named or is_open or allowed(cell) is None, cell


def holds(restriction: Restriction, key: str) -> bool:
    """Whether the row is let through, read off the rows themselves."""
    match restriction:
        case AllOf(parts):
            return all(holds(part, key) for part in parts)
        case AnyOf(parts):
            return any(holds(part, key) for part in parts)
        case Not(part):
            return not holds(part, key)
        case Naming() | NamedBy() | PointsAt():
            return linked(restriction, key)
        case Coded() | Carrying():
            return coded(restriction, key)
        case _:
            return alone(restriction, key)


def alone(restriction: Restriction, key: str) -> bool:
    patient, organization, quarantined = ROWS[key]
    tests: dict[Any, bool] = {
        Everything: True,
        Released: not quarantined,
        OfSomePatient: patient is not None or key.startswith("Patient/"),
    }
    match restriction:
        case OfType(types):
            return key.partition("/")[0] in types
        case Identified(references):
            return key in references
        case OfOrganization(wanted):
            return organization is not None and wanted in above(organization)
        case InCompartment(wanted):
            return patient == wanted or key == f"Patient/{wanted}"
        case _:
            return tests.get(type(restriction), False)


def above(organization: str) -> set[str]:
    """The organization and all that it is part of."""
    found, news = set[str](), {organization}
    while news:
        found |= news
        links = (link for link in LINKS if link[1] == "partof")
        news = {to.partition("/")[2] for row, _, to in links if row.partition("/")[2] in news} - found
    return found


def coded(restriction: Coded | Carrying, key: str) -> bool:
    of_row = [(code, system, value) for row, code, system, value in TOKENS if row == key]
    if isinstance(restriction, Carrying):
        return any((system, value) in restriction.tokens for _, system, value in of_row)
    return key.startswith(f"{restriction.resource_type}/") and any(
        code == restriction.parameter and value in restriction.codes and restriction.system in {None, system}
        for code, system, value in of_row
    )


def linked(restriction: Naming | NamedBy | PointsAt, key: str) -> bool:
    if isinstance(restriction, NamedBy):
        sources = [row for row, code, target in LINKS if target == key and code == restriction.parameter]
        return any(
            row.startswith(f"{restriction.resource_type}/")
            and same_patient(key, row)
            and holds(restriction.source, row)
            for row in sources
        )
    named = [target for row, code, target in LINKS if row == key and code == restriction.parameter]
    if isinstance(restriction, PointsAt):
        return restriction.target in named and key.startswith(f"{restriction.resource_type}/")
    return key.startswith(f"{restriction.resource_type}/") and any(
        target in ROWS and same_patient(key, target) and holds(restriction.target, target) for target in named
    )


def same_patient(gained: str, known: str) -> bool:
    return ROWS[gained][0] in {None, ROWS[known][0]}
