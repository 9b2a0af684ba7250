"""FHIR's types as FHIRPath sees them: nodes, what derives from what, members.  https://hl7.org/fhir/R4/fhirpath.html#types"""

from collections.abc import Callable
from functools import cache
from typing import Any

from fhir_server.definitions import Definitions

Node = tuple[str, Any]

NOT_DOMAIN = frozenset({"Bundle", "Binary", "Parameters"})
PARENTS = {
    **dict.fromkeys(("code", "id", "markdown"), "string"),
    **dict.fromkeys(("url", "canonical", "oid", "uuid"), "uri"),
    **dict.fromkeys(("positiveInt", "unsignedInt"), "integer"),
    **dict.fromkeys(("Age", "Count", "Distance", "Duration", "SimpleQuantity", "MoneyQuantity"), "Quantity"),
    **dict.fromkeys(("Timing", "Dosage", "ElementDefinition"), "BackboneElement"),
}
SYSTEM = {
    "boolean": "Boolean",
    **dict.fromkeys(("string", "code", "id", "markdown", "uri", "url", "canonical", "oid", "uuid"), "String"),
    **dict.fromkeys(("base64Binary", "xhtml"), "String"),
    **dict.fromkeys(("integer", "positiveInt", "unsignedInt"), "Integer"),
    **{"decimal": "Decimal", "date": "Date", "dateTime": "DateTime", "instant": "DateTime", "time": "Time"},
}
# Objects that FHIRPath makes itself, with the type of what they hold.
OF_THE_LANGUAGE = {"System.TypeInfo": "System.String", "System.Quantity": "System.Any"}


class Placed(tuple[str, Any]):
    """A node that knows more: where it stands, and the `_property` with the extensions of a primitive.

    `parent[key]` (or `parent[key][position]`) is the value; `element` is the JSON of `_key`.
    """

    parent: dict[str, Any]
    key: str
    position: int | None
    element: dict[str, Any] | None

    @classmethod
    def at(cls, node: Node, place: tuple[dict[str, Any], str, int | None], element: Any) -> "Placed":
        """A node with its place."""
        placed = cls(node)
        placed.parent, placed.key, placed.position = place
        placed.element = element if isinstance(element, dict) else None
        return placed


def ancestors(type_: str) -> tuple[str, ...]:
    """The type and all that it derives from."""
    return _ancestors(type_)


@cache
def _ancestors(type_: str) -> tuple[str, ...]:
    if type_.startswith("System."):
        return (type_, "System.Any")
    if type_ in PARENTS:
        return (type_, *_ancestors(PARENTS[type_]))
    if "." in type_:
        return (type_, "BackboneElement", "Element")
    if type_ in {"Resource", "Element"}:
        return (type_,)
    if type_ in NOT_DOMAIN or type_ == "DomainResource":
        return (type_, "Resource")
    return (type_, "Element")


class Model:
    """Access to a resource by FHIRPath names, with R4's definitions at hand."""

    def __init__(self, definitions: Definitions) -> None:
        self.definitions = definitions
        self._tests: dict[str, Callable[[str], bool]] = {}
        self.extensions = self.member("extension")

    def is_type(self, name: str) -> bool:
        """Whether a name at the root of a path is a type and not a member."""
        return name in self.definitions.resource_types or name in self.definitions.structures

    def type_test(self, name: str) -> Callable[[str], bool]:
        """Whether a type is `name` or derives from it; `FHIR.` and `System.` may stand before it."""
        found = self._tests.get(name)
        if found is None:
            found = self._tests[name] = self._type_test(name)
        return found

    def _type_test(self, name: str) -> Callable[[str], bool]:
        known: dict[str, bool] = {}

        def test(type_: str) -> bool:
            answer = known.get(type_)
            if answer is None:
                answer = known[type_] = self._derives(type_, name)
            return answer

        return test

    def _derives(self, type_: str, name: str) -> bool:
        if name.startswith("System."):
            return name in _ancestors(type_) or f"System.{SYSTEM.get(type_, '')}" == name
        bare = name.removeprefix("FHIR.")
        if bare in _ancestors(type_):
            return True
        if bare in {"Resource", "DomainResource"}:
            return type_ in self.definitions.resource_types and (bare == "Resource" or type_ not in NOT_DOMAIN)
        return bare == SYSTEM.get(type_) or f"System.{bare}" == type_

    def member(self, name: str, *, placed: bool = False) -> Callable[[list[Node]], list[Node]]:
        """A function from nodes to their members of this name; `placed`: the answers know their places."""
        plans: dict[str, tuple[_Access, ...]] = {}
        read = _read_placed if placed else _read

        def members(nodes: list[Node]) -> list[Node]:
            found: list[Node] = []
            for node in nodes:
                type_, value = node
                if value.__class__ is not dict:
                    if not (isinstance(node, Placed) and node.element):
                        continue
                    type_, value = "Element", node.element
                plan = plans.get(type_)
                if plan is None:
                    plan = plans[type_] = self._plan(type_, name)
                for access in plan:
                    if access[0] in value or access[2] in value:
                        read(value, access, found)
            return found

        return members

    def _plan(self, type_: str, name: str) -> tuple["_Access", ...]:
        if type_ in OF_THE_LANGUAGE:
            return ((name, OF_THE_LANGUAGE[type_], None),)
        return tuple(self._access(element.key, element.type) for element in self.definitions.names(type_).get(name, ()))

    def _access(self, key: str, type_: str) -> "_Access":
        return key, type_, f"_{key}" if type_ in self.definitions.primitives or type_ in SYSTEM else None

    def children(self, node: Node) -> list[Node]:
        """All members of one node, in the order of the JSON."""
        type_, value = node
        if value.__class__ is not dict:
            if not (isinstance(node, Placed) and node.element):
                return []
            type_, value = "Element", node.element
        known = self.definitions.keys(type_)
        found: list[Node] = []
        for key in value:
            if key in known:
                _read(value, self._access(key, known[key].type), found)
            elif key[0] == "_" and key[1:] not in value and key[1:] in known:
                _read(value, self._access(key[1:], known[key[1:]].type), found)
        return found


# JSON name, FHIR type, and the name of what stands beside a primitive.
_Access = tuple[str, str, str | None]


def _read(value: dict[str, Any], access: _Access, found: list[Node]) -> None:
    key, type_, beside = access
    if beside is not None and beside in value:
        _read_placed(value, access, found)
        return
    child = value.get(key)
    if child is None:
        return
    if child.__class__ is list:
        found.extend([(actual(type_, item), item) for item in child if item is not None])
    else:
        found.append((actual(type_, child), child))


def _read_placed(value: dict[str, Any], access: _Access, found: list[Node]) -> None:
    key, type_, name = access
    child, beside = value.get(key), value.get(name) if name else None
    if isinstance(child, list) or isinstance(beside, list):
        items = child if isinstance(child, list) else []
        elements = beside if isinstance(beside, list) else []
        for n in range(max(len(items), len(elements))):
            item = items[n] if n < len(items) else None
            element = elements[n] if n < len(elements) else None
            if item is not None or element is not None:
                found.append(Placed.at((actual(type_, item), item), (value, key, n), element))
    elif child is not None or beside is not None:
        found.append(Placed.at((actual(type_, child), child), (value, key, None), beside))


def actual(type_: str, value: Any) -> str:
    """The type of a contained resource is its own."""
    return str(value.get("resourceType", type_)) if type_ == "Resource" and isinstance(value, dict) else type_
