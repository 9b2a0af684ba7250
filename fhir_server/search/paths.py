"""A search parameter's expression as plain paths: properties, and tests on the way; nearly all of R4's are that.

`Patient.name.given`, `Observation.value as Quantity` and `Condition.subject.where(resolve() is Patient)` can be walked
without an engine: which properties a name stands for, and of which type each is, is known before any resource comes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from fhir_server.definitions import Definitions
from fhir_server.fhirpath import Model, Node, reference_type, syntax
from fhir_server.fhirpath.compiler import SPECIAL, Compiler, type_name
from fhir_server.fhirpath.scope import Scope
from fhir_server.search.registry import Parameter

ROOTS = frozenset({"Resource", "DomainResource"})
TYPED, PASSING = frozenset({"as", "ofType"}), frozenset({"where", "extension"})
# Where an item is a resource, or all addresses lie in the Bundle, the engine has to look.
OPEN_TYPES = frozenset({"Resource", "xhtml"})
KEPT = 20_000

# Whether an item passes: (item, the whole resource).
Test = Callable[[Any, dict[str, Any]], bool]
Step = str | syntax.Call


@dataclass(frozen=True, slots=True)
class Path:
    """Property names and tests from the resource to its values, and the FHIR type of these."""

    steps: tuple[Step, ...]
    type: str


class NoPath(Exception):
    """The expression needs the engine."""


def paths_of(parameter: Parameter, model: Model, start: str) -> list[Path]:
    """The paths of all branches from a resource or group of type `start`. Raises NoPath."""
    if start == "Bundle":
        raise NoPath
    tree = syntax.parse(parameter.expression)
    found = [path for branch in _branches(tree) for path in _Reading(parameter.resource_type, model).of(branch, start)]
    return list(dict.fromkeys(found))


def _branches(tree: syntax.Tree) -> Iterator[syntax.Tree]:
    if isinstance(tree, syntax.Binary) and tree.operator == "|":
        yield from _branches(tree.left)
        yield from _branches(tree.right)
    else:
        yield tree


@dataclass(frozen=True, slots=True)
class _Reading:
    resource_type: str
    model: Model

    def of(self, tree: syntax.Tree, start: str) -> list[Path]:
        """The paths of one branch: a choice has one for each of its types."""
        if isinstance(tree, syntax.Name):
            return self._first(tree, start)
        if isinstance(tree, syntax.Binary) and tree.operator == "as":
            return self._typed(self.of(tree.left, start), tree.right)
        if not isinstance(tree, syntax.Step):
            raise NoPath
        before = self.of(tree.target, start)
        if isinstance(tree.then, syntax.Name):
            return self._members(before, tree.then)
        if isinstance(tree.then, syntax.Call) and tree.then.name in TYPED and len(tree.then.arguments) == 1:
            return self._typed(before, tree.then.arguments[0])
        if isinstance(tree.then, syntax.Call) and tree.then.name in PASSING:
            return self._passing(before, tree.then)
        raise NoPath

    def _passing(self, before: list[Path], call: syntax.Call) -> list[Path]:
        """`where(...)`, and `extension(url)`, which is `extension.where(url = ...)`."""
        if call.name == "extension":
            before = [Path((*path.steps, "extension"), "Extension") for path in before]
            call = syntax.Call("where", (syntax.Binary("=", syntax.Name("url"), call.arguments[0]),))
        return [replace(path, steps=(*path.steps, call)) for path in before]

    def _first(self, name: syntax.Name, start: str) -> list[Path]:
        whole = Path((), start)
        if not name.text[0].isupper() or not self.model.is_type(name.text):
            return self._members([whole], name)
        return [whole] if name.text in ROOTS or name.text == self.resource_type else []

    def _members(self, before: list[Path], name: syntax.Name) -> list[Path]:
        if name.text in SPECIAL or name.text == "extension":
            raise NoPath
        found = []
        for path in before:
            if path.type in OPEN_TYPES or path.type in self.model.definitions.primitives:
                raise NoPath
            for element in self.model.definitions.names(path.type).get(name.text, ()):
                found.append(Path((*path.steps, element.key), element.type))
        if any(path.type in OPEN_TYPES for path in found):
            raise NoPath
        return found

    def _typed(self, before: list[Path], type_: syntax.Tree) -> list[Path]:
        test = self.model.type_test(type_name(type_))
        return [path for path in before if test(path.type)]


class Tests:
    """Tests on the way, made of `where(...)`."""

    def __init__(self, model: Model, resource_type: str) -> None:
        self.model = model
        self.resource_type = resource_type

    def of(self, call: syntax.Call, type_: str) -> Test:
        """The test of items of a type."""
        keeps = self._by_engine(call, type_)
        (criterion,) = call.arguments
        if isinstance(criterion, syntax.Binary) and criterion.operator == "is" and criterion.left == RESOLVED:
            return self._points_at(self.model.type_test(type_name(criterion.right)), keeps)
        pair = _property_and_text(criterion, type_, self.model.definitions)
        if pair is None:
            return keeps
        key, text = pair
        return lambda item, whole: item.__class__ is dict and item.get(key) == text

    def _points_at(self, test: Callable[[str], bool], keeps: Test) -> Test:
        """`resolve() is Type`: what is contained is looked up, of all else the address or `type` tells."""

        def points(item: Any, whole: dict[str, Any]) -> bool:
            address = item.get("reference") if item.__class__ is dict else item
            if address.__class__ is str and address[:1] == "#":
                return keeps(item, whole)
            if item.__class__ is not dict:
                return False
            type_: Any = (_type_at(address) if isinstance(address, str) else None) or item.get("type")
            return isinstance(type_, str) and test(type_)

        return points

    def _by_engine(self, call: syntax.Call, type_: str) -> Test:
        where = Compiler(self.model).compile(call)
        model, resource_type = self.model, self.resource_type

        def keeps(item: Any, whole: dict[str, Any]) -> bool:
            root: Node = (resource_type, whole)
            return bool(where([(type_, item)], Scope(model, root, root, root)))

        return keeps


RESOLVED = syntax.Call("resolve", ())


@lru_cache(maxsize=KEPT)
def _type_at(address: str) -> str | None:
    return reference_type({"reference": address})


def _property_and_text(criterion: syntax.Tree, type_: str, definitions: Definitions) -> tuple[str, str] | None:
    """`code = 'text'` where the property is one text that is compared letter by letter."""
    if not (isinstance(criterion, syntax.Binary) and criterion.operator == "="):
        return None
    name, literal = criterion.left, criterion.right
    if not (isinstance(name, syntax.Name) and isinstance(literal, syntax.Literal) and isinstance(literal.value, str)):
        return None
    elements = definitions.names(type_).get(name.text, ())
    if len(elements) != 1 or elements[0].many or elements[0].type not in {"code", "id", "string", "uri"}:
        return None
    return elements[0].key, literal.value
