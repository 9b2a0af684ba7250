"""R4's own types: every property of an object checked by a closure, compiled when the type is first met.

What is checked stands in the snapshot of the type's StructureDefinition: elements, cardinality, formats, reference
targets, required bindings, invariants.  https://hl7.org/fhir/R4/validation.html
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from fhir_server.conformance.canonicals import Canonicals
from fhir_server.definitions import Definitions
from fhir_server.terminology.membership import Terminology
from fhir_server.validation.bindings import bound
from fhir_server.validation.formats import KINDS, format_of, has_kind
from fhir_server.validation.invariants import Invariant, invariants
from fhir_server.validation.references import target_check
from fhir_server.validation.report import Report, quoted

BASE = "http://hl7.org/fhir/StructureDefinition/"
SYSTEM = "http://hl7.org/fhirpath/System."
MAX_DEPTH = 200
# Keys of the JSON form itself.
FREE = frozenset({"resourceType", "fhir_comments"})

Check = Callable[[Any, str, Report], None]


class Further(Protocol):
    """What the walk asks of the validator: profiles of elements, extensions, resources inside."""

    definitions: Definitions
    canonicals: Canonicals
    terminology: Terminology

    def check_resource(self, value: Any, place: str, report: Report) -> None:
        """A resource inside another."""

    def check_profile(self, canonical: str, node: tuple[str, Any], place: str, report: Report) -> None:
        """A value against a profile."""

    def check_extension(self, value: dict[str, Any], owner: "Owner", place: str, report: Report) -> None:
        """An extension against its definition."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The element that has an extension: its path and its type, and whether the extension modifies."""

    path: str
    type: str
    modifies: bool = False


@dataclass(slots=True)
class Property:
    """One JSON property: `name` is the FHIRPath name; `most` a limit of an array."""

    key: str
    name: str
    type: str
    path: str
    many: bool
    least: int
    most: int | None
    is_primitive: bool
    check: Check = field(default=lambda value, place, report: None)


@dataclass(slots=True)
class TypeRules:
    """Everything of one type or backbone element."""

    path: str
    type: str
    properties: dict[str, Property] = field(default_factory=dict)
    required: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    choices: list[tuple[str, frozenset[str]]] = field(default_factory=list)
    invariants: Sequence[Invariant] = ()
    errors: Sequence[Invariant] = field(init=False)

    def __post_init__(self) -> None:
        """Tell apart what is a problem when a resource is stored."""
        self.errors = [one for one in self.invariants if one.severity == "error"]


class Types:
    """The rules of R4's types, by path."""

    def __init__(self, further: Further) -> None:
        self.further = further
        self._rules: dict[str, TypeRules] = {}

    def rules(self, path: str) -> TypeRules:
        """The rules of a type or backbone path."""
        found = self._rules.get(path)
        if found is None:
            root = path.partition(".")[0]
            definition = self.further.canonicals.resolve(f"{BASE}{root}|4.0.1", "StructureDefinition")
            if definition is None:
                raise LookupError(f"R4 has no type {root}.")
            _Compiler(self, definition).fill(self._rules)
            found = self._rules[path]
        return found

    def check(self, rules: TypeRules, value: Any, place: str, report: Report) -> None:
        """Check one object against the rules of its type."""
        if value.__class__ is not dict:
            report.error("structure", f"{rules.type} is an object, not {_kind(value)}.", place)
            return
        if not value:
            report.error("structure", "An object may not be empty.", place)
            return
        report.depth += 1
        if report.depth > MAX_DEPTH:
            report.error("structure", f"There are more than {MAX_DEPTH} levels.", place)
        else:
            self._check_properties(rules, value, place, report)
            self._check_whole(rules, value, place, report)
        report.depth -= 1

    def _check_whole(self, rules: TypeRules, value: dict[str, Any], place: str, report: Report) -> None:
        for name, keys in rules.required:
            if not any(key in value or f"_{key}" in value for key in keys):
                report.error("required", f"{rules.path}.{name} is required.", place)
        for name, choices in rules.choices:
            if len(choices & value.keys()) > 1:
                report.error("structure", f"{name} may be there in one type only.", place)
        if not report.broken:
            node = (rules.type, value)
            for invariant in rules.invariants if report.thorough else rules.errors:
                invariant.check(node, place, report)

    def _check_properties(self, rules: TypeRules, value: dict[str, Any], place: str, report: Report) -> None:
        properties = rules.properties
        for key, item in value.items():
            found = properties.get(key)
            if found is None:
                self._check_other(rules, value, key, place, report)
            elif not found.many:
                if item.__class__ is list:
                    report.error("structure", f"{key} is not an array.", f"{place}.{found.name}")
                else:
                    found.check(item, f"{place}.{found.name}", report)
            else:
                self._check_array(found, value, item, f"{place}.{found.name}", report)

    def _check_array(self, found: Property, value: dict[str, Any], items: Any, place: str, report: Report) -> None:
        if items.__class__ is not list:
            report.error("structure", f"{found.key} is an array.", place)
            return
        if not items:
            report.error("structure", "An array may not be empty.", place)
        if found.most is not None and len(items) > found.most:
            report.error("structure", f"At most {found.most} are allowed here, not {len(items)}.", place)
        if len(items) < found.least:
            report.error("required", f"At least {found.least} are needed here.", place)
        check = found.check
        for n, item in enumerate(items):
            if item is None and found.is_primitive:
                beside = value.get(f"_{found.key}")
                if not (isinstance(beside, list) and n < len(beside) and beside[n]):
                    report.error("structure", "A null stands only where an extension takes its place.", f"{place}[{n}]")
            else:
                check(item, f"{place}[{n}]", report)

    def _check_other(self, rules: TypeRules, value: dict[str, Any], key: str, place: str, report: Report) -> None:
        found = rules.properties.get(key[1:]) if key[:1] == "_" else None
        if found is None or not found.is_primitive:
            if key not in FREE or (key == "resourceType" and rules.path not in self.further.definitions.resource_types):
                report.error("structure", f"{rules.path} has no element {quoted(key)}.", place)
            return
        beside = value[key]
        place = f"{place}.{found.name}"
        if found.many != isinstance(beside, list):
            report.error("structure", f"{key} is {'an' if found.many else 'not an'} array.", place)
            return
        element, owner = self.rules("Element"), Owner(found.path, found.type)
        for n, one in enumerate(beside if found.many else [beside]):
            if one is not None or not found.many:
                self.check(element, one, f"{place}[{n}]" if found.many else place, report)
                self._check_extensions(one, owner, f"{place}[{n}]" if found.many else place, report)

    def _check_extensions(self, element: Any, owner: Owner, place: str, report: Report) -> None:
        """Where a primitive has extensions: they belong to that primitive's path."""
        for n, extension in enumerate(_objects(element.get("extension")) if isinstance(element, dict) else ()):
            self.further.check_extension(extension, owner, f"{place}.extension[{n}]", report)


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _kind(value: Any) -> str:
    if isinstance(value, list):
        return "an array"
    return "text" if isinstance(value, str) else "null" if value is None else "a plain value"


class _Compiler:
    """The rules of a type and of the backbone elements inside."""

    def __init__(self, types: Types, definition: Mapping[str, Any]) -> None:
        self.types = types
        self.further = types.further
        self.definition = definition
        self.elements: list[dict[str, Any]] = definition["snapshot"]["element"]
        self.parents = {element["path"].rpartition(".")[0] for element in self.elements}

    def fill(self, rules: dict[str, TypeRules]) -> None:
        """Add the rules of every path of the definition that has children."""
        definitions = self.further.definitions
        for element in self.elements:
            path = element["path"]
            if path in self.parents or path == self.elements[0]["path"]:
                rules[path] = TypeRules(path, path, invariants=invariants(element, definitions))
        for element in self.elements[1:]:
            parent = rules[element["path"].rpartition(".")[0]]
            self._add(parent, element)

    def _add(self, parent: TypeRules, element: dict[str, Any]) -> None:
        name = element["path"].rpartition(".")[2]
        properties = list(self._properties(name, element))
        stem = name.removesuffix("[x]")
        for found in properties:
            parent.properties[found.key] = found
            found.check = _Deferred(self, element, found)
        if element["min"] > 0:
            parent.required.append((stem, tuple(found.key for found in properties)))
        if len(properties) > 1:
            parent.choices.append((stem, frozenset(found.key for found in properties)))

    def _properties(self, name: str, element: dict[str, Any]) -> Iterator[Property]:
        primitives = self.further.definitions.primitives
        stem = name.removesuffix("[x]")
        for type_ in self._types(element):
            key = stem + type_[0].upper() + type_[1:] if name.endswith("[x]") else name
            most = element["max"]
            yield Property(
                key=key,
                name=stem,
                type=type_,
                path=element["path"],
                many=most not in {"0", "1"},
                least=element["min"],
                most=None if most == "*" else int(most),
                is_primitive=type_ in primitives,
            )

    def _types(self, element: dict[str, Any]) -> list[str]:
        if "contentReference" in element:
            return [element["contentReference"].rpartition("#")[2]]
        if element["path"] in self.parents:
            return [element["path"]]
        return [self._system(element) if one["code"].startswith(SYSTEM) else one["code"] for one in element["type"]]

    def _system(self, element: dict[str, Any]) -> str:
        if element["path"] == "Extension.url":
            return "uri"
        is_id = self.definition["kind"] == "resource" and element["path"].count(".") == 1
        return "id" if is_id else "string"

    def compiled(self, element: dict[str, Any], found: Property) -> Check:
        """The closure that checks one value of a property."""
        further = self.further
        checks: list[Check] = []
        if found.is_primitive:
            checks.append(primitive_check(found.type))
        elif found.type == "Resource":
            checks.append(further.check_resource)
        else:
            checks.append(self._object_check(found))
        binding = bound(element.get("binding", {}), found.type, further.terminology)
        targets = target_check(element, found.type, further.definitions)
        profiles = self._profiles(element, found.type)
        own = invariants(element, further.definitions)
        checks += [check for check in (binding, targets) if check is not None]
        checks += [_profile_check(further, found.type, canonical) for canonical in profiles]
        if found.path not in self.parents:
            checks += [_invariant_check(found.type, invariant) for invariant in own]
        return _in_turn(checks)

    def _object_check(self, found: Property) -> Check:
        types, check, path = self.types, self.types.check, found.type
        if path == "Extension":
            owner_path = found.path.rpartition(".")[0]
            owner = Owner(owner_path, self._type_of(owner_path), found.name == "modifierExtension")
            return _extension_check(types, owner)
        rules = types.rules(path) if path not in self.parents else None

        own = found.path

        def check_object(value: Any, place: str, report: Report) -> None:
            before, report.path = report.path, own
            check(rules or types.rules(path), value, place, report)
            report.path = before

        return check_object

    def _type_of(self, path: str) -> str:
        return path if "." not in path else "BackboneElement"

    def _profiles(self, element: dict[str, Any], type_: str) -> list[str]:
        types = [one for one in element.get("type", ()) if one["code"] == type_]
        return types[0].get("profile", []) if len(types) == 1 and len(types[0].get("profile", ())) == 1 else []


class _Deferred:
    """Compiles the check of a property when a value is first met, then gets out of the way."""

    __slots__ = ("compiler", "element", "found")

    def __init__(self, compiler: _Compiler, element: dict[str, Any], found: Property) -> None:
        self.compiler, self.element, self.found = compiler, element, found

    def __call__(self, value: Any, place: str, report: Report) -> None:
        self.found.check = self.compiler.compiled(self.element, self.found)
        self.found.check(value, place, report)


def primitive_check(type_: str) -> Check:
    """Kind, then format."""
    fits, kind = format_of(type_), KINDS.get(type_, "text")

    def check(value: Any, place: str, report: Report) -> None:
        if not has_kind(type_, value):
            report.error("structure", f"{type_} is {kind}, and not empty.", place)
        elif not fits(value):
            report.error("value", f"{quoted(value)} is no {type_}.", place)

    if type_ in KINDS:
        return check

    def check_text(value: Any, place: str, report: Report) -> None:
        if value.__class__ is not str or not value:
            report.error("structure", f"{type_} is {kind}, and not empty.", place)
        elif not fits(value):
            report.error("value", f"{quoted(value)} is no {type_}.", place)

    return check_text


def _in_turn(checks: list[Check]) -> Check:
    if len(checks) == 1:
        return checks[0]
    if len(checks) == 2:
        first, second = checks

        def check_both(value: Any, place: str, report: Report) -> None:
            first(value, place, report)
            second(value, place, report)

        return check_both

    def check_all(value: Any, place: str, report: Report) -> None:
        for check in checks:
            check(value, place, report)

    return check_all


def _extension_check(types: Types, owner: Owner) -> Check:
    further, rules = types.further, types.rules("Extension")

    def check(value: Any, place: str, report: Report) -> None:
        types.check(rules, value, place, report)
        if isinstance(value, dict):
            has_value = any(key.startswith("value") or key.startswith("_value") for key in value)
            if has_value == ("extension" in value):
                report.error("invariant", "ext-1: An extension has a value or extensions, one of both.", place)
            if owner.path != "Element":  # a primitive's: checked where the primitive stands
                further.check_extension(value, owner, place, report)

    return check


def _profile_check(further: Further, type_: str, canonical: str) -> Check:
    return lambda value, place, report: further.check_profile(canonical, (type_, value), place, report)


def _invariant_check(type_: str, invariant: Invariant) -> Check:
    def check(value: Any, place: str, report: Report) -> None:
        if not report.broken:
            invariant.check((type_, value), place, report)

    return check
