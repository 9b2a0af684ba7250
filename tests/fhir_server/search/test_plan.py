"""The walk of a resource gives exactly the rows that its parameters' expressions give one by one."""

from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server import wire
from fhir_server.definitions import load
from fhir_server.search.extract import Extractor
from fhir_server.search.plan import COMPONENT_COLUMNS, COMPONENTS, Found
from fhir_server.search.readers import ROW_COLUMNS
from fhir_server.search.registry import COLUMNS, Registry
from fhir_server.search.ucum import load_units
from fhir_server.settings import default_definitions, default_units
from fhir_server.store.models import INDEX_TABLES
from tests.conformance.test_examples import EVERY, LARGEST_IN_A_SAMPLE, examples

REGISTRY = Registry(load(default_definitions()), load_units(default_units()))
EXTRACTOR = Extractor(REGISTRY, "http://fhir.test/fhir")


def one_by_one(resource: dict[str, Any]) -> dict[str, set[Any]]:
    """The rows by the FHIRPath engine, parameter by parameter."""
    found: Found = defaultdict(list)
    for code, parameter in REGISTRY.of(resource["resourceType"]).items():
        if code not in COLUMNS:
            EXTRACTOR.planner.by_engine(parameter, resource, found)
    return {table: set(rows) for table, rows in found.items() if rows}


def walked(resource: dict[str, Any]) -> dict[str, set[Any]]:
    return {table: set(rows) for table, rows in EXTRACTOR.extract(resource).rows.items()}


def check(every: int = 1, largest: int = 1 << 60) -> None:
    for name, raw in examples(every=every, largest=largest):
        resource = wire.loads(raw)
        if resource.get("resourceType") in REGISTRY.definitions.resource_types:
            resource.setdefault("id", "x")
            assert walked(resource) == one_by_one(resource), name


@pytest.mark.spec("R4 search.html#ptypes")
def test_a_sample_of_the_examples_is_walked_as_it_is_evaluated() -> None:
    check(3 * EVERY, LARGEST_IN_A_SAMPLE)


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.spec("R4 search.html#ptypes")
def test_every_example_is_walked_as_it_is_evaluated() -> None:
    check()


REFERENCES = [
    {"reference": "Patient/1"},
    {"reference": "#inside"},
    {"reference": "#nowhere"},
    {"reference": "http://elsewhere.test/Patient/2"},
    {"reference": "urn:uuid:1", "type": "Patient"},
    {"type": "Group", "identifier": {"system": "urn:x", "value": "7"}},
    {"display": "somebody"},
    {"reference": "http://fhir.test/fhir/Patient/3/_history/2"},
]
VALUES = [
    {"valueQuantity": {"value": 1, "code": "mg", "system": "http://unitsofmeasure.org", "comparator": "<"}},
    {"valueString": "Ærø 北京"},
    {"valueCodeableConcept": {"coding": [{"code": "a", "display": "A"}, {"system": "urn:b"}], "text": "both"}},
    {"valuePeriod": {"start": "2020"}},
    {"valueDateTime": "yesterday"},
    {"_valueString": {"extension": [{"url": "urn:x", "valueCode": "unknown"}]}},
    {},
]
PARTS = st.lists(st.sampled_from(VALUES), max_size=3)


@given(st.sampled_from(REFERENCES), st.sampled_from(VALUES), PARTS, st.lists(st.sampled_from(REFERENCES), max_size=2))
def test_an_observation_of_any_shape(
    subject: dict[str, Any], value: dict[str, Any], parts: list[dict[str, Any]], focus: list[dict[str, Any]]
) -> None:
    code = {"coding": [{"system": "urn:c", "code": "X"}, {"code": "x"}]}
    resource = {"resourceType": "Observation", "id": "o", "contained": [{"resourceType": "Patient", "id": "inside"}]}
    resource |= {"subject": subject, "code": code, "status": "final", "focus": focus, **value}
    resource["component"] = [{"code": code, **part} for part in parts]
    assert walked(resource) == one_by_one(resource)


@pytest.mark.parametrize(("who", "patient"), [("agent", "1"), ("entity", "2")])
def test_of_several_patients_the_first_of_the_expression_is_whose_it_is(who: str, patient: str) -> None:
    entity = {"entity": [{"what": {"reference": "Patient/2"}}]}
    event = {"resourceType": "AuditEvent", "id": "e", **entity}
    if who == "agent":
        event |= {"agent": [{"who": {"reference": "Patient/1"}}]}
    assert EXTRACTOR.extract(event).patient == patient


def test_some_parameters_alone() -> None:
    resource = {"resourceType": "Patient", "id": "1", "gender": "male", "birthDate": "1970"}
    rows = EXTRACTOR.extract(resource, frozenset({"gender"})).rows
    assert [code for table in rows.values() for code, _ in table] == ["gender"]


def test_rows_have_the_columns_of_their_tables() -> None:
    composite = tuple(f"{column}_{n}" for n in COMPONENTS for column in COMPONENT_COLUMNS)
    wanted = ROW_COLUMNS | {"composite": composite, "words": ("narrative", "content")}
    assert {name: tuple(table.columns.keys()[4:]) for name, table in INDEX_TABLES.items()} == wanted
    assert all(
        table.columns.keys()[:4] == ["row_id", "parameter", "patient_key", "moment"] for table in INDEX_TABLES.values()
    )


def test_hardly_anything_needs_the_engine() -> None:
    odd = {
        f"{resource_type}.{parameter.code}"
        for resource_type in REGISTRY.definitions.resource_types
        for parameter, _ in EXTRACTOR.planner.plan(resource_type, REGISTRY.of(resource_type).values()).odd
        if resource_type != "Bundle"
    }
    assert "Patient.deceased" in odd
    assert len(odd) < 12
