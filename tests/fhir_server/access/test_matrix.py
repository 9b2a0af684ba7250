"""The access matrix: every role x type x interaction x terms of the policy table, as SQL against a plain reading.

The reading walks the same restriction over the rows in memory, so that what the policy means and what the database
answers are compared cell by cell, what leaves by `$export` with what a search shows; which rows each relation should
give is written out in `store/test_visibility.py`; DICOMweb is in `tests/dicom_gateway/publish/test_matrix.py`.
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
from fhir_server.caller import Caller
from fhir_server.definitions import load
from fhir_server.errors import Forbidden
from fhir_server.search.registry import Registry
from fhir_server.settings import default_definitions
from fhir_server.store.exported import Part, living
from fhir_server.store.grants import Grants
from fhir_server.store.models import resource
from fhir_server.store.repository import Repository
from fhir_server.store.visibility import condition, condition_of_one
from tests.fhir_server.store.test_visibility import LINKS, ROWS, TOKENS, World, caller, parameter

TYPES = sorted({key.partition("/")[0] for key in ROWS})
REGISTRY = Registry(load(default_definitions()))
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
    who = person(role)
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


def person(role: str) -> Caller:
    return caller(role, "ito", "Organization/anna", "user/*.cruds system/*.cruds")


def exported(world: World, cell: Cell) -> list[set[str]]:
    """What `$export` gives, of the system and of all patients. Raises Forbidden."""
    role, _, _, resource_type, terms = cell
    repository = Repository(world.database, Grants(person(role), parameter, terms), REGISTRY, parameter)
    parts = (Part(resource_type, whole, (), None, len(ROWS), 1) for whole in (True, False))
    pages = [world.runner.run(living(repository, part, (), 0, len(ROWS))) for part in parts]
    return [{version.reference for version in page} for page in pages]


def check_export(world: World, cell: Cell, expected: set[str] | None) -> None:
    """The same rows leave by an export as a search shows; of all patients those of somebody's compartment."""
    if expected is None:
        with pytest.raises(Forbidden):
            exported(world, cell)
        return
    has_place = cell[3] in REGISTRY.definitions.compartments["Patient"]
    of_patients = {key for key in expected if key.startswith("Patient/") or (ROWS[key][0] is not None) == has_place}
    assert exported(world, cell) == [expected, of_patients], cell


def check(world: World, cells: list[Cell]) -> None:
    for cell in cells:
        granted, resource_type = allowed(cell), cell[3]
        if granted is None:
            if cell[1] == "search":
                check_export(world, cell, None)
            continue
        expected = {key for key in ROWS if key.startswith(f"{resource_type}/") and holds(granted, key)}
        for answer in answers(world, granted, resource_type):
            assert answer == expected, cell
        if cell[1] == "search":
            check_export(world, cell, expected)


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
