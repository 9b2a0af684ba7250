"""Structure: known elements, cardinality, JSON kinds.  https://hl7.org/fhir/R4/validation.html

The quick check of bulk loading, from the definitions alone; `validator.py` does all of it.
"""

from collections.abc import Iterator
from typing import Any

from fhir_server.definitions import Definitions, Element
from fhir_server.errors import Invalid

BOOLEANS = {"boolean"}
NUMBERS = {"integer", "decimal", "positiveInt", "unsignedInt"}
# Properties of the JSON form itself, and what every element may have.
FREE = {"resourceType", "fhir_comments"}


def check_structure(resource: Any, definitions: Definitions, resource_type: str | None = None) -> None:
    """Check a resource. Raises Invalid naming the first place that is wrong."""
    if not isinstance(resource, dict):
        raise Invalid("A resource is a JSON object.")
    found = resource.get("resourceType")
    if not isinstance(found, str) or found not in definitions.resource_types:
        raise Invalid("The body has no resourceType of R4.")
    if resource_type is not None and found != resource_type:
        raise Invalid(f"The body is a {found}, the address says {resource_type}.")
    for problem, place in _object(resource, found, found, definitions):
        raise Invalid(problem, expression=place)


Problems = Iterator[tuple[str, str]]


def _object(value: dict[str, Any], path: str, place: str, definitions: Definitions) -> Problems:
    known = definitions.keys(path)
    if not value:
        yield "An object may not be empty.", place
    for key, item in value.items():
        element = known.get(key)
        if element is not None:
            yield from _property(item, element, f"{place}.{key}", definitions)
        elif key not in FREE and not _is_extension_of_primitive(key, known, definitions):
            yield f"{path} has no element '{key}'.", place
    yield from _required(value, path, place, definitions)


def _is_extension_of_primitive(key: str, known: Any, definitions: Definitions) -> bool:
    element = known.get(key[1:]) if key.startswith("_") else None
    return element is not None and (element.type in definitions.primitives or element.type == "id")


def _required(value: dict[str, Any], path: str, place: str, definitions: Definitions) -> Problems:
    for name, elements in definitions.names(path).items():
        if elements[0].required and not any(e.key in value or f"_{e.key}" in value for e in elements):
            yield f"{path}.{name} is required.", place


def _property(item: Any, element: Element, place: str, definitions: Definitions) -> Problems:
    if element.many != isinstance(item, list):
        yield ("must be an array." if element.many else "may not be an array.").join((f"{element.key} ", "")), place
        return
    if element.many and not item:
        yield "An array may not be empty.", place
    for n, value in enumerate(item if element.many else (item,)):
        if value is None and element.many and element.type in definitions.primitives:
            continue
        yield from _value(value, element.type, f"{place}[{n}]" if element.many else place, definitions)


def _value(value: Any, type_: str, place: str, definitions: Definitions) -> Problems:
    if type_ in definitions.primitives or type_ == "id":
        if not _right_kind(value, type_):
            yield f"This is not a {type_}.", place
    elif not isinstance(value, dict):
        yield f"A {type_} is a JSON object.", place
    elif type_ == "Resource":
        yield from _resource(value, place, definitions)
    elif type_ != "xhtml":
        yield from _object(value, type_, place, definitions)


def _resource(value: dict[str, Any], place: str, definitions: Definitions) -> Problems:
    type_ = value.get("resourceType")
    if not isinstance(type_, str) or type_ not in definitions.resource_types:
        yield "This has no resourceType of R4.", place
    else:
        yield from _object(value, type_, place, definitions)


def _right_kind(value: Any, type_: str) -> bool:
    if type_ in BOOLEANS:
        return isinstance(value, bool)
    if type_ in NUMBERS:
        return not isinstance(value, bool | str | dict | list) and value is not None
    return isinstance(value, str) and value != ""
