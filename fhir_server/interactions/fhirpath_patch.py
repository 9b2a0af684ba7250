"""FHIRPath Patch on a resource.  https://hl7.org/fhir/R4/fhirpatch.html"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.definitions import Definitions, Element
from fhir_server.errors import Invalid, Unprocessable
from fhir_server.fhirpath import ExpressionError, Node, Placed, compile_expression

Json = dict[str, Any]
MOST_OPERATIONS = 1000
LONGEST_PATH = 2000


def apply_fhirpath_patch(resource: Json, parameters: Any, definitions: Definitions) -> Json:
    """The patched copy. Raises Invalid for a patch that is none, Unprocessable for one that does not fit."""
    if not isinstance(parameters, dict) or parameters.get("resourceType") != "Parameters":
        raise Invalid("A FHIRPath Patch is a Parameters resource.")
    listed = parameters.get("parameter")
    if not isinstance(listed, list) or len(listed) > MOST_OPERATIONS:
        raise Invalid(f"A FHIRPath Patch has 1 to {MOST_OPERATIONS} operations.")
    patched = _Patched(copy.deepcopy(resource), definitions)
    for n, parameter in enumerate(listed):
        step = _Step.of(parameter, f"Parameters.parameter[{n}]")
        try:
            OPERATIONS[step.kind](patched, step)
        except ExpressionError as error:
            raise Invalid(f"The path is no FHIRPath: {error}", expression=step.place) from None
    return patched.resource


@dataclass(frozen=True, slots=True)
class _Value:
    """A value with its type and, of a primitive, its id and extensions; `type` is None for an object made of parts."""

    type: str | None
    json: Any
    extra: Any = None


@dataclass(frozen=True, slots=True)
class _Step:
    """One operation, taken apart."""

    kind: str
    parts: Mapping[str, Json]
    place: str

    @classmethod
    def of(cls, parameter: Any, place: str) -> "_Step":
        parts = parameter.get("part") if isinstance(parameter, dict) else None
        if not isinstance(parts, list) or parameter.get("name") != "operation":
            raise Invalid("Each parameter of a FHIRPath Patch is an operation with parts.", expression=place)
        named = {str(part.get("name")): part for part in parts if isinstance(part, dict)}
        kind = _only(named.get("type")).json
        if kind not in OPERATIONS:
            raise Invalid("An operation is add, insert, delete, replace or move.", expression=place)
        return cls(str(kind), named, place)

    def text(self, name: str) -> str:
        """A part that is a string. Raises Invalid."""
        found = _only(self.parts.get(name)).json
        if not isinstance(found, str) or not 0 < len(found) <= LONGEST_PATH:
            raise Invalid(f"The operation {self.kind} needs a {name}.", expression=self.place)
        return found

    def number(self, name: str) -> int:
        """A part that is a position. Raises Invalid."""
        found = _only(self.parts.get(name)).json
        if not isinstance(found, int) or isinstance(found, bool) or found < 0:
            raise Invalid(f"The operation {self.kind} needs a {name}, a position.", expression=self.place)
        return found

    def value(self) -> _Value:
        """The part `value`. Raises Invalid."""
        found = _only(self.parts.get("value"))
        if found.json is None and found.extra is None:
            raise Invalid(f"The operation {self.kind} needs a value.", expression=self.place)
        return found


def _only(part: Json | None) -> _Value:
    """What a part holds: `value[x]`, a resource, or an object made of parts."""
    part = part or {}
    if isinstance(part.get("part"), list):
        return _Value(None, part["part"])
    if "resource" in part:
        return _Value("Resource", part["resource"])
    found = [key for key in part if key.removeprefix("_").startswith("value")]
    if not found:
        return _Value(None, None)
    key = found[0].removeprefix("_")
    return _Value(key.removeprefix("value"), part.get(key), part.get(f"_{key}"))


class _Patched:
    """The resource while it is changed."""

    def __init__(self, resource: Json, definitions: Definitions) -> None:
        self.resource = resource
        self.definitions = definitions

    def select(self, step: _Step) -> Sequence[Node]:
        expression = compile_expression(step.text("path"), self.definitions, placed=True)
        return expression((str(self.resource["resourceType"]), self.resource))

    def one(self, step: _Step) -> Node:
        found = self.select(step)
        if len(found) != 1:
            raise Unprocessable(f"The path selects {len(found)} elements, not one.", expression=step.place)
        return found[0]

    def many(self, step: _Step) -> Placed:
        """The first of a whole list."""
        found = self.select(step)
        first = found[0] if found else None
        same = isinstance(first, Placed) and all(
            isinstance(each, Placed) and each.parent is first.parent and each.key == first.key for each in found
        )
        if not isinstance(first, Placed) or not same or not isinstance(first.parent.get(first.key), list):
            raise Unprocessable("The path does not select one list that is there.", expression=step.place)
        return first

    def element(self, path: str, name: str, value: _Value, step: _Step) -> Element:
        """The element of this name; of a choice, that of the value's type."""
        choices = self.definitions.names(path).get(name, ())
        fitting = [each for each in choices if each.type[:1].upper() + each.type[1:] == value.type]
        if len(choices) != 1 and not fitting:
            raise Unprocessable(f"There is no element '{name[:60]}' of this type here.", expression=step.place)
        return fitting[0] if len(choices) != 1 else choices[0]

    def built(self, value: _Value, path: str, step: _Step) -> Any:
        """The JSON of a value; parts become the elements of an object."""
        if value.type is not None or not isinstance(value.json, list):
            return value.json
        made: Json = {}
        for part in value.json:
            inner = _only(part)
            element = self.element(path, str(part.get("name")), inner, step)
            self.put(made, element, (inner, self.built(inner, element.type, step)), step)
        return made

    def put(self, into: Json, element: Element, given: tuple[_Value, Any], step: _Step) -> None:
        """Append to a list, or set what is not there yet."""
        value, json = given
        key, extra = element.key, f"_{element.key}"
        if not element.many:
            if key in into or extra in into:
                raise Unprocessable(f"There is a {element.name} already.", expression=step.place)
            into.update({key: json} if json is not None else {})
            into.update({extra: value.extra} if value.extra is not None else {})
            return
        position = max(len(into.get(key, ())), len(into.get(extra, ())))
        for name, item in ((key, json), (extra, value.extra)):
            if item is not None or name in into:
                into[name] = [*into.get(name, ()), *[None] * (position - len(into.get(name, ()))), item]

    def type_of(self, wanted: Json) -> str:
        """The type path of an object of the resource."""
        waiting: list[tuple[Any, str]] = [(self.resource, str(self.resource["resourceType"]))]
        while waiting:
            value, path = waiting.pop()
            if value is wanted:
                return path
            waiting.extend(_children(value, path, self.definitions))
        return "Element"


def _children(value: Any, path: str, definitions: Definitions) -> list[tuple[Any, str]]:
    if isinstance(value, list):
        return [(item, path) for item in value]
    if not isinstance(value, dict):
        return []
    path = str(value.get("resourceType", path))
    known = definitions.keys(path)
    return [(item, known[key].type if key in known else "Element") for key, item in value.items()]


def _add(patched: _Patched, step: _Step) -> None:
    target, name, value = patched.one(step), step.text("name"), step.value()
    path, into = target
    if not isinstance(into, dict):
        if not isinstance(target, Placed):
            raise Unprocessable("Nothing can be added here.", expression=step.place)
        path, into = "Element", _extra_of(target)
    element = patched.element(path, name, value, step)
    patched.put(into, element, (value, patched.built(value, element.type, step)), step)


def _extra_of(target: Placed) -> Json:
    """The `_property` of a primitive, made where there is none."""
    extra, key = target.element, f"_{target.key}"
    if extra is not None:
        return extra
    made: Json = {}
    if target.position is None:
        target.parent[key] = made
    else:
        listed = target.parent.setdefault(key, [])
        listed.extend([None] * (len(target.parent[target.key]) - len(listed)))
        listed[target.position] = made
    return made


def _insert(patched: _Patched, step: _Step) -> None:
    first, value, index = patched.many(step), step.value(), step.number("index")
    json = patched.built(value, first[0], step)
    length = len(first.parent[first.key])
    if index > length:
        raise Unprocessable(f"The list has {length} items.", expression=step.place)
    for name, item in ((first.key, json), (f"_{first.key}", value.extra)):
        if name in first.parent or item is not None:
            listed = first.parent.setdefault(name, [])
            listed.extend([None] * (length - len(listed)))
            listed.insert(index, item)


def _delete(patched: _Patched, step: _Step) -> None:
    """Nothing selected is nothing to do."""
    found = patched.select(step)
    if len(found) > 1:
        raise Unprocessable(f"The path selects {len(found)} elements, not one.", expression=step.place)
    for target in found:
        if not isinstance(target, Placed):
            raise Unprocessable("The path selects nothing that could be deleted.", expression=step.place)
        _cut(target)


def _cut(target: Placed) -> None:
    for name in (target.key, f"_{target.key}"):
        if target.position is None:
            target.parent.pop(name, None)
        elif name in target.parent:
            listed = target.parent[name]
            del listed[target.position : target.position + 1]
            if all(item is None for item in listed):
                del target.parent[name]


def _replace(patched: _Patched, step: _Step) -> None:
    target, value = patched.one(step), step.value()
    if not isinstance(target, Placed):
        raise Unprocessable("The path selects nothing that could be replaced.", expression=step.place)
    parent, path = target.parent, patched.type_of(target.parent)
    known = patched.definitions.keys(path).get(target.key)
    element = patched.element(path, known.name if known else target.key, value, step)
    json = patched.built(value, element.type, step)
    if target.position is not None:
        parent[target.key][target.position] = json
        _replace_extra(target, value.extra)
        return
    parent.pop(target.key, None)
    parent.pop(f"_{target.key}", None)
    patched.put(parent, element, (value, json), step)


def _replace_extra(target: Placed, extra: Any) -> None:
    listed = target.parent.get(f"_{target.key}")
    if listed is not None and target.position is not None and target.position < len(listed):
        listed[target.position] = extra
        if all(item is None for item in listed):
            del target.parent[f"_{target.key}"]


def _move(patched: _Patched, step: _Step) -> None:
    first, source, destination = patched.many(step), step.number("source"), step.number("destination")
    length = len(first.parent[first.key])
    if source >= length or destination >= length:
        raise Unprocessable(f"The list has {length} items.", expression=step.place)
    for name in (first.key, f"_{first.key}"):
        if name in first.parent:
            listed = first.parent[name]
            listed.extend([None] * (length - len(listed)))
            listed.insert(destination, listed.pop(source))


OPERATIONS: dict[str, Callable[[_Patched, _Step], None]] = {
    "add": _add,
    "insert": _insert,
    "delete": _delete,
    "replace": _replace,
    "move": _move,
}
