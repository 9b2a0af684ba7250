"""Search parameters added at run time: which stored SearchParameter resources this server can take up.

https://hl7.org/fhir/R4/searchparameter.html
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from fhir_server.definitions import ABSTRACT, ParameterDefinition, parameter_of
from fhir_server.fhirpath import ExpressionError
from fhir_server.search.registry import INDEXED_TYPES, Parameter, Registry

CODE = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]{0,63}\Z")


def accepted(
    resources: Iterable[dict[str, Any]], registry: Registry
) -> tuple[list[ParameterDefinition], dict[str, str]]:
    """What can be taken up, and for the others, by URL, why not. R4's own and those of `profiles/` stay as they are."""
    found: dict[str, ParameterDefinition] = {}
    refused: dict[str, str] = {}
    for resource in resources:
        url = str(resource.get("url", ""))
        if url in registry.own_by_url or resource.get("status") == "retired":
            continue
        try:
            definition = _definition(resource, registry)
            _check_components(definition, registry.own_by_url.keys() | found.keys())
            found[url] = definition
        except (ValueError, KeyError, TypeError) as error:
            refused[url] = str(error)
    return list(found.values()), refused


def _definition(resource: dict[str, Any], registry: Registry) -> ParameterDefinition:
    """The definition for those of its types that do not have the code yet. Raises ValueError."""
    definition = parameter_of(resource)
    if not CODE.match(definition.code):
        raise ValueError("its code could not be written in a query")
    if definition.type not in INDEXED_TYPES - {"special"} or not definition.expression:
        raise ValueError(f"there is no index for type {definition.type} without an expression")
    known = registry.definitions.resource_types
    named = known if set(definition.base) & set(ABSTRACT) else set(definition.base) & known
    taken = registry.definitions.parameters_by_type
    base = tuple(sorted(type_ for type_ in named if definition.code not in {own.code for own in taken[type_]}))
    if not base:
        raise ValueError("R4 has a parameter of that code for each of its types")
    definition = replace(definition, base=base)
    for resource_type in base:
        _check_expression(Parameter(resource_type, definition, registry))
    return definition


def _check_expression(parameter: Parameter) -> None:
    try:
        parameter.evaluate((parameter.resource_type, {"resourceType": parameter.resource_type}))
    except ExpressionError as error:
        raise ValueError(f"its expression cannot be used: {error}") from None


def _check_components(definition: ParameterDefinition, known: Iterable[str]) -> None:
    missing = [url for url, _ in definition.component if url not in known]
    if missing or (definition.type == "composite") != bool(definition.component):
        raise ValueError("a composite needs components that are known")
