"""Structure: known elements, cardinality, JSON kinds.  https://hl7.org/fhir/R4/validation.html

The quick check of bulk loading, from the definitions alone; `validator.py` does all of it.
"""

from functools import lru_cache
from typing import Any, NamedTuple, NoReturn

from fhir_server.definitions import Definitions
from fhir_server.errors import Invalid

BOOLEANS = {"boolean"}
NUMBERS = {"integer", "decimal", "positiveInt", "unsignedInt"}
# Properties of the JSON form itself, and what every element may have.
FREE = {"resourceType", "fhir_comments"}
KEPT = 5_000

# Where something stands: the place above, the property or the position there; written out only for a problem.
Place = tuple[Any, str | int]


class Property(NamedTuple):
    """What a property may hold."""

    type: str
    many: bool
    is_primitive: bool
    is_text: bool


class Shape(NamedTuple):
    """What an object of a type or backbone path may have, and what it must."""

    properties: dict[str, Property]
    beside: frozenset[str]
    required: list[tuple[str, frozenset[str]]]


def check_structure(resource: Any, definitions: Definitions, resource_type: str | None = None) -> None:
    """Check a resource. Raises Invalid naming the first place that is wrong."""
    if not isinstance(resource, dict):
        raise Invalid("A resource is a JSON object.")
    found = resource.get("resourceType")
    if not isinstance(found, str) or found not in definitions.resource_types:
        raise Invalid("The body has no resourceType of R4.")
    if resource_type is not None and found != resource_type:
        raise Invalid(f"The body is a {found}, the address says {resource_type}.")
    _object(resource, found, (None, found), definitions)


def _wrong(problem: str, place: Place) -> NoReturn:
    above, here = place
    text = ""
    while above is not None:
        text = (f"[{here}]" if isinstance(here, int) else f".{here}") + text
        above, here = above
    raise Invalid(problem, expression=f"{here}{text}")


@lru_cache(maxsize=KEPT)
def _shape(path: str, definitions: Definitions) -> Shape:
    primitives = definitions.primitives | {"id"}
    elements = definitions.keys(path).values()
    return Shape(
        {
            one.key: Property(
                one.type,
                one.many,
                one.type in primitives,
                one.type in primitives and one.type not in BOOLEANS | NUMBERS,
            )
            for one in elements
        },
        frozenset(f"_{one.key}" for one in elements if one.type in primitives),
        [
            (name, frozenset(key for one in choice for key in (one.key, f"_{one.key}")))
            for name, choice in definitions.names(path).items()
            if choice[0].required
        ],
    )


def _object(value: dict[str, Any], path: str, place: Place, definitions: Definitions) -> None:
    if not value:
        _wrong("An object may not be empty.", place)
    shape = _shape(path, definitions)
    for key, item in value.items():
        found = shape.properties.get(key)
        if found is not None:
            _property(item, found, (place, key), definitions)
        elif key not in FREE and key not in shape.beside:
            _wrong(f"{path} has no element '{key}'.", place)
    for name, keys in shape.required:
        if keys.isdisjoint(value):
            _wrong(f"{path}.{name} is required.", place)


def _property(item: Any, found: Property, place: Place, definitions: Definitions) -> None:
    if not found.many:
        if item.__class__ is list:
            _wrong(f"{place[1]} may not be an array.", place)
        _value(item, found, place, definitions)
        return
    if item.__class__ is not list:
        _wrong(f"{place[1]} must be an array.", place)
    if not item:
        _wrong("An array may not be empty.", place)
    for n, value in enumerate(item):
        if value is not None or not found.is_primitive:
            _value(value, found, (place, n), definitions)


def _value(value: Any, found: Property, place: Place, definitions: Definitions) -> None:
    if found.is_text:
        if not isinstance(value, str) or not value:
            _wrong(f"This is not a {found.type}.", place)
    elif found.is_primitive:
        if not _right_kind(value, found.type):
            _wrong(f"This is not a {found.type}.", place)
    elif not isinstance(value, dict):
        _wrong(f"A {found.type} is a JSON object.", place)
    elif found.type == "Resource":
        _resource(value, place, definitions)
    elif found.type != "xhtml":
        _object(value, found.type, place, definitions)


def _resource(value: dict[str, Any], place: Place, definitions: Definitions) -> None:
    type_ = value.get("resourceType")
    if not isinstance(type_, str) or type_ not in definitions.resource_types:
        _wrong("This has no resourceType of R4.", place)
    _object(value, type_, place, definitions)


def _right_kind(value: Any, type_: str) -> bool:
    if type_ in BOOLEANS:
        return isinstance(value, bool)
    return not isinstance(value, bool | str | dict | list) and value is not None
