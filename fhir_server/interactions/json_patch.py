"""JSON Patch on a resource.  RFC 6902, https://hl7.org/fhir/R4/http.html#patch"""

import copy
from collections.abc import Callable
from typing import Any

from fhir_server.errors import Invalid, Unprocessable


def apply_patch(document: Any, patch: Any) -> Any:
    """The patched copy. Raises Invalid for a patch that is none, Unprocessable for one that does not fit or whose
    test fails.
    """
    if not isinstance(patch, list) or not all(isinstance(step, dict) for step in patch):
        raise Invalid("A JSON Patch is an array of operations.")
    result = copy.deepcopy(document)
    for step in patch:
        operation = OPERATIONS.get(step.get("op", ""))
        if operation is None:
            raise Invalid("A JSON Patch operation is add, remove, replace, move, copy or test.")
        result = operation(result, step)
    return result


def _pointer(step: dict[str, Any], name: str = "path") -> list[str]:
    """RFC 6901: `~1` is a slash, `~0` a tilde."""
    text = step.get(name)
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise Invalid(f"The {name} of a JSON Patch operation is a JSON Pointer.")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _value(step: dict[str, Any]) -> Any:
    if "value" not in step:
        raise Invalid(f"The operation {step['op']} needs a value.")
    return copy.deepcopy(step["value"])


def _position(container: list[Any], key: str, *, end: bool) -> int:
    if end and key == "-":
        return len(container)
    if not key.isascii() or not key.isdigit() or (key != "0" and key.startswith("0")):
        raise Unprocessable(f"'{key}' is not a position in an array.")
    position = int(key)
    if position >= len(container) + (1 if end else 0):
        raise Unprocessable(f"The array has no position {position}.")
    return position


def _get(document: Any, pointer: list[str]) -> Any:
    for key in pointer:
        if isinstance(document, list):
            document = document[_position(document, key, end=False)]
        elif isinstance(document, dict) and key in document:
            document = document[key]
        else:
            raise Unprocessable(f"Nothing is at /{'/'.join(pointer)}.")
    return document


def _put(document: Any, pointer: list[str], value: Any) -> Any:
    """Add: into an array it is inserted, into an object it is set."""
    if not pointer:
        return value
    parent, key = _get(document, pointer[:-1]), pointer[-1]
    if isinstance(parent, list):
        parent.insert(_position(parent, key, end=True), value)
    elif isinstance(parent, dict):
        parent[key] = value
    else:
        raise Unprocessable(f"Nothing can be added at /{'/'.join(pointer)}.")
    return document


def _cut(document: Any, pointer: list[str]) -> Any:
    _get(document, pointer)
    if not pointer:
        raise Unprocessable("The whole resource cannot be removed.")
    parent = _get(document, pointer[:-1])
    if isinstance(parent, list):
        return parent.pop(_position(parent, pointer[-1], end=False))
    return parent.pop(pointer[-1])


def _add(document: Any, step: dict[str, Any]) -> Any:
    return _put(document, _pointer(step), _value(step))


def _remove(document: Any, step: dict[str, Any]) -> Any:
    _cut(document, _pointer(step))
    return document


def _replace(document: Any, step: dict[str, Any]) -> Any:
    pointer = _pointer(step)
    if pointer:
        _cut(document, pointer)
    return _put(document, pointer, _value(step))


def _move(document: Any, step: dict[str, Any]) -> Any:
    source, target = _pointer(step, "from"), _pointer(step)
    if target[: len(source)] == source and target != source:
        raise Unprocessable("A value cannot be moved into itself.")
    return _put(document, target, _cut(document, source))


def _copy(document: Any, step: dict[str, Any]) -> Any:
    return _put(document, _pointer(step), copy.deepcopy(_get(document, _pointer(step, "from"))))


def _test(document: Any, step: dict[str, Any]) -> Any:
    if _get(document, _pointer(step)) != _value(step):
        raise Unprocessable(f"The test at {step['path']} failed.")
    return document


OPERATIONS: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "test": _test,
}
