"""Whatever an operation is called with, the answer is a result or an OperationOutcome below 500."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.interactions.operations import OperationDefinition, registry
from tests.fhir_server.node import running

COLOURS = "http://example.org/CodeSystem/colours"
OPERATIONS = sorted((one for found in registry().values() for one in found), key=lambda one: (one.code, one.url))
SEARCHED = ("patient", "category", "code", "max", "date", "code-value-concept")
TEXTS = [
    "",
    "x",
    "male",
    "red",
    COLOURS,
    "http://snomed.info/sct",
    "0",
    "-1",
    "9" * 20,
    "true",
    "2020-13-45",
    "a|b",
    "(",
    "é",
]
CODING = {"system": COLOURS, "code": "red"}
BROKEN = {"property": "code", "op": "regex", "value": "("}
COMPOSED = {"resourceType": "ValueSet", "status": "active"}
RESOURCES: list[Any] = [
    COMPOSED,
    COMPOSED | {"compose": {"include": [{}]}},
    COMPOSED | {"compose": {"include": [{"system": COLOURS, "concept": [{"_code": {"id": "a"}}]}]}},
    COMPOSED
    | {"compose": {"include": [{"system": COLOURS, "filter": [{"property": "p", "op": "regex", "value": "("}]}]}},
    COMPOSED | {"expansion": {"timestamp": "2020", "contains": [{"display": "y", "contains": [{"code": "z"}]}]}},
    {"resourceType": "CodeSystem", "status": "active", "content": "complete", "concept": [{"code": "a"}]},
    {
        "resourceType": "CodeSystem",
        "url": COLOURS,
        "status": "active",
        "content": "complete",
        "concept": [{"code": "a", "concept": [{"code": "a", "property": [{"code": "parent", "valueCode": "a"}]}]}],
    },
    {"resourceType": "ConceptMap", "status": "active", "group": [{"unmapped": {"mode": "other-map", "url": "x"}}]},
    {"resourceType": "Patient"},
    {"resourceType": 5},
]
VALUES: list[Any] = [
    *TEXTS,
    None,
    1,
    1.5,
    True,
    [],
    {},
    [1],
    {"code": 1},
    CODING,
    {"coding": [CODING]},
    {"coding": [None]},
]
KEYS = [
    "valueString",
    "valueUri",
    "valueCode",
    "valueBoolean",
    "valueInteger",
    "valueCoding",
    "valueMeta",
    "part",
    "value",
]


def entries(names: tuple[str, ...]) -> st.SearchStrategy[Mapping[str, Any]]:
    named = st.builds(
        lambda name, key, value: {"name": name, key: value},
        st.sampled_from(names),
        st.sampled_from(KEYS),
        st.sampled_from(VALUES),
    )
    held = st.builds(
        lambda name, value: {"name": name, "resource": value}, st.sampled_from(names), st.sampled_from(RESOURCES)
    )
    return st.one_of(named, held)


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, str, Any]:
    """A method, an address and a query or body."""
    operation: OperationDefinition = draw(st.sampled_from(OPERATIONS))
    level = draw(st.sampled_from(operation.levels))
    type_ = draw(st.sampled_from(operation.resource_types or ("Patient", "Basic", "ValueSet")))
    place = {"system": "", "type": f"/{type_}", "instance": f"/{type_}/{draw(st.sampled_from(['p', 'nobody']))}"}
    names = tuple(operation.parameters) or SEARCHED
    address = f"{place[level]}/${operation.code}"
    if draw(st.booleans()):
        pairs = st.tuples(st.sampled_from(names), st.sampled_from(TEXTS))
        return "GET", address, draw(st.lists(pairs, max_size=4))
    parameters = {"resourceType": "Parameters", "parameter": draw(st.lists(entries(names), max_size=4))}
    return "POST", address, draw(st.sampled_from([parameters, parameters, parameters, *RESOURCES, [], 5]))


async def prepare(client: httpx.AsyncClient) -> None:
    coded = {"status": "active", "content": "complete"}
    for resource in (
        {"resourceType": "Patient"},
        {"resourceType": "Basic", "code": {"text": "x"}},
        {"resourceType": "ValueSet", "status": "active"},
        {"resourceType": "CodeSystem"} | coded,
        {"resourceType": "ConceptMap", "status": "active"},
        {"resourceType": "Encounter", "status": "planned", "class": {"code": "x"}},
    ):
        assert (await client.put(f"/{resource['resourceType']}/p", json=resource | {"id": "p"})).is_success


async def answer(client: httpx.AsyncClient, call: tuple[str, str, Any]) -> None:
    method, address, content = call
    if method == "GET":
        response = await client.get(address, params=content)
    else:
        response = await client.post(address, json=content)
    assert response.status_code < 500 and response.json()["resourceType"], (call, response.text)


@pytest.mark.spec("R4 operations.html#executing")
@pytest.mark.parametrize("examples", [40, pytest.param(3000, marks=pytest.mark.full)])
def test_no_call_makes_the_server_fail(tmp_path: Path, examples: int) -> None:
    address = f"sqlite:///{tmp_path}/fhir.db"
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(running(address)) as server:
        client = server.client()
        portal.call(prepare, client)

        @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
        @given(calls())
        def no_failure(call: tuple[str, str, Any]) -> None:
            portal.call(answer, client, call)

        no_failure()
        portal.call(client.aclose)
