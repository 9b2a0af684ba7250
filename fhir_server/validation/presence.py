"""Invariants that only ask which elements are there, as tests of an object's keys: most of R4's are that.

`code.empty() or system.exists()` needs no engine. Empty, present, and, or, not and implies have two values only, so
nothing of FHIRPath's third one is lost. https://hl7.org/fhirpath/N1/#boolean-logic
"""

import operator
from collections.abc import Callable
from typing import Any

from fhir_server.definitions import Definitions
from fhir_server.fhirpath import syntax
from fhir_server.fhirpath.compiler import SPECIAL

# Whether it holds of an object.
Held = Callable[[dict[str, Any]], bool]
JOINED: dict[str, Callable[[bool, bool], bool]] = {
    "and": operator.and_,
    "or": operator.or_,
    "xor": operator.xor,
    "implies": lambda first, second: second or not first,
}


def presence_test(tree: syntax.Tree, type_: str, definitions: Definitions) -> Held | None:
    """The test of an expression on objects of a type; None where it asks for more than presence."""
    if isinstance(tree, syntax.Binary) and tree.operator in JOINED:
        left, right = (presence_test(side, type_, definitions) for side in (tree.left, tree.right))
        return None if left is None or right is None else _joined(JOINED[tree.operator], left, right)
    if not (isinstance(tree, syntax.Step) and isinstance(tree.then, syntax.Call) and not tree.then.arguments):
        return None
    if tree.then.name == "not":
        held = presence_test(tree.target, type_, definitions)
        return None if held is None else lambda value: not held(value)
    if tree.then.name not in {"empty", "exists"} or not isinstance(tree.target, syntax.Name):
        return None
    return _presence(tree.target, type_, definitions, wanted=tree.then.name == "exists")


def _joined(join: Callable[[bool, bool], bool], left: Held, right: Held) -> Held:
    return lambda value: join(left(value), right(value))


def _presence(name: syntax.Name, type_: str, definitions: Definitions, *, wanted: bool) -> Held | None:
    """Whether an element is there, in any of its types, with a value or with extensions alone."""
    elements = definitions.names(type_).get(name.text, ())
    if not elements or name.text in SPECIAL:
        return None
    keys = frozenset(key for element in elements for key in (element.key, f"_{element.key}"))
    return lambda value: keys.isdisjoint(value) is not wanted
