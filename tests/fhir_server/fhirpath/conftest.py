"""The definitions, and one way to evaluate."""

from collections.abc import Callable
from typing import Any

import pytest

from fhir_server.definitions import Definitions, load
from fhir_server.fhirpath import compile_expression
from fhir_server.settings import default_definitions

Evaluate = Callable[..., list[Any]]


@pytest.fixture(scope="session")
def definitions() -> Definitions:
    return load(default_definitions())


@pytest.fixture(scope="session")
def values(definitions: Definitions) -> Evaluate:
    """The values that an expression gives on a resource."""

    def evaluate(expression: str, resource: dict[str, Any] | None = None) -> list[Any]:
        resource = resource or {"resourceType": "Patient"}
        return [value for _, value in compile_expression(expression, definitions)((resource["resourceType"], resource))]

    return evaluate
