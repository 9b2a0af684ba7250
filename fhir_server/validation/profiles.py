"""Profiles on resources, data types and extensions, checked beside R4's own rules.  https://hl7.org/fhir/R4/profiling.html"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fhir_server.definitions import Definitions, Element
from fhir_server.validation.bindings import bound
from fhir_server.validation.invariants import Invariant, invariants
from fhir_server.validation.item import Item
from fhir_server.validation.references import allowed_check
from fhir_server.validation.report import Report
from fhir_server.validation.slicing import Sliced, matcher
from fhir_server.validation.tree import Branch
from fhir_server.validation.types import BASE, Further
from fhir_server.validation.values import is_fixed, meets_pattern

EXTENSIONS = frozenset({"extension", "modifierExtension"})


Test = Callable[[Item, Report], None]


@dataclass(slots=True)
class Rules:
    """A branch, compiled: how many values, and what each of them must meet."""

    name: str
    least: int = 0
    most: int | None = None
    tests: list[Test] = field(default_factory=list)
    constraints: tuple[Invariant, ...] = ()
    children: list["Rules"] = field(default_factory=list)
    sliced: Sliced["Rules"] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it asks for nothing."""
        return not (
            self.least or self.most is not None or self.tests or self.constraints or self.children or self.sliced
        )

    @property
    def looks_inside(self) -> bool:
        """Whether it asks for anything of the values themselves."""
        return bool(self.tests or self.constraints or self.children)


class ProfileCompiler:
    """Compiles the branches of one profile."""

    def __init__(self, further: Further) -> None:
        self.further = further
        self.definitions = further.definitions

    def compile(self, branch: Branch, name: str) -> Rules:
        """The rules of a branch and all below it."""
        rules = Rules(name, *_limits(branch))
        rules.tests = list(self._tests(branch, name))
        rules.constraints = tuple(invariants({"constraint": branch.constraints}, self.definitions))
        children = (self.compile(child, child_name) for child_name, child in branch.children.items())
        rules.children = [child for child in children if not child.is_empty]
        if branch.slices:
            rules.sliced = self._sliced(branch, name)
        return rules

    def _tests(self, branch: Branch, name: str) -> Iterator[Test]:
        said = branch.said
        value = branch.value
        if value is not None:
            yield _value_test(*value)
        types = said.get("type", ())
        codes = {one["code"] for one in types if not one["code"].startswith("http://hl7.org/fhirpath/")}
        if codes and (name.endswith("[x]") or codes <= self.definitions.resource_types):
            yield _type_test(frozenset(codes))
        if "binding" in said:
            yield _binding_test(said["binding"], self.further)
        for code in codes:
            profiles = [one for type_ in types if type_["code"] == code for one in type_.get("profile", ())]
            if profiles:
                yield _profiles_test(code, tuple(profiles), self.further)
        targets = [one for type_ in types if type_["code"] == "Reference" for one in type_.get("targetProfile", ())]
        if targets:
            yield from self._target_test(targets)

    def _target_test(self, targets: list[str]) -> Iterator[Test]:
        allowed = {self._resource_type(target) for target in targets}
        if None in allowed or "Resource" in allowed:
            return
        check = allowed_check(frozenset(str(one) for one in allowed), self.definitions)

        def test(item: Item, report: Report) -> None:
            if item.type == "Reference":
                check(item.value, item.place, report)

        yield test

    def _resource_type(self, canonical: str) -> str | None:
        """The resource type that a profile is about; None when the profile is not known here."""
        name = canonical.removeprefix(BASE)
        if name in self.definitions.resource_types or name == "Resource":
            return name
        definition = self.further.canonicals.resolve(canonical, "StructureDefinition")
        return None if definition is None else str(definition.get("type"))

    def _sliced(self, branch: Branch, name: str) -> Sliced[Rules]:
        slicing: Mapping[str, Any] = branch.said.get("slicing") or _implied(branch, name)
        sliced: Sliced[Rules] = Sliced(slicing.get("rules", "open"), bool(slicing.get("ordered")))
        for slice_name, own in branch.slices.items():
            parts = [matcher(one, own, self.further) for one in slicing.get("discriminator", ())]
            sliced.add(slice_name, None if None in parts or not parts else parts, self.compile(own, name))
        return sliced


def _limits(branch: Branch) -> tuple[int, int | None]:
    most = branch.said.get("max", "*")
    return branch.said.get("min", 0), None if most == "*" else int(most)


def _implied(branch: Branch, name: str) -> Mapping[str, Any]:
    """Extensions are told apart by their URL, the types of a choice by the type."""
    if name in EXTENSIONS:
        return {"discriminator": [{"type": "value", "path": "url"}], "rules": "open"}
    if name.endswith("[x]"):
        return {"discriminator": [{"type": "type", "path": "$this"}], "rules": "open"}
    return {}


def _value_test(kind: str, wanted: Any) -> Test:
    meets = is_fixed if kind == "fixed" else meets_pattern

    def test(item: Item, report: Report) -> None:
        if not meets(item.value, wanted):
            text = "This is not the value that the profile fixes." if kind == "fixed" else "This lacks what is fixed."
            report.error("value", text, item.place)

    return test


def _type_test(codes: frozenset[str]) -> Test:
    def test(item: Item, report: Report) -> None:
        type_ = item.type if "." not in item.type else "BackboneElement"
        if type_ not in codes and not codes & {"Resource", "DomainResource", "Element", "BackboneElement"}:
            report.error("value", f"{item.type} stands where only {', '.join(sorted(codes))} may.", item.place)

    return test


def _binding_test(binding: Mapping[str, Any], further: Further) -> Test:
    checks: dict[str, Any] = {}

    def test(item: Item, report: Report) -> None:
        if item.type not in checks:
            checks[item.type] = bound(binding, item.type, further.terminology)
        check = checks[item.type]
        if check is not None and item.value is not None:
            check(item.value, item.place, report)

    return test


def _profiles_test(code: str, canonicals: tuple[str, ...], further: Further) -> Test:
    """One of these profiles must be met; with a single one its own problems are told."""

    def test(item: Item, report: Report) -> None:
        if item.type != code and code not in {"Resource", "DomainResource"}:
            return
        if code == "Extension" and isinstance(item.value, dict) and item.value.get("url") in canonicals:
            return  # Every extension is checked against its definition where it stands.
        if len(canonicals) == 1:
            further.check_profile(canonicals[0], (item.type, item.value), item.place, report)
            return
        for canonical in canonicals:
            aside = report.aside()
            further.check_profile(canonical, (item.type, item.value), item.place, aside)
            if not aside.failed:
                return
        report.error("value", f"This meets none of the profiles {', '.join(canonicals)}.", item.place)

    return test


class ProfileCheck:
    """Walks a resource, or a part of one, along the rules of a profile."""

    def __init__(self, definitions: Definitions) -> None:
        self.definitions = definitions
        self._known: dict[tuple[str, str], list[tuple[str, str, Element]]] = {}

    def check(self, rules: Rules, item: Item, report: Report) -> None:
        """One value: its tests, its invariants, its children."""
        for test in rules.tests:
            test(item, report)
        if not report.broken:
            for invariant in rules.constraints:
                invariant.check((item.type, item.value), item.place, report)
        for child in rules.children:
            items = self.items(item, child.name)
            if items or child.least or child.sliced is not None:
                self._check_all(child, items, item.place, report)

    def _check_all(self, rules: Rules, items: list[Item], place: str, report: Report) -> None:
        """All values of one element."""
        _count(rules, rules.name, len(items), place, report)
        for item in items if rules.looks_inside else ():
            self.check(rules, item, report)
        if rules.sliced is not None:
            self._check_slices(rules, rules.sliced, items, (place, report))

    def _check_slices(self, rules: Rules, sliced: Sliced[Rules], items: list[Item], where: tuple[str, Report]) -> None:
        place, report = where
        groups, rest = sliced.sort(items, report)
        for name, (own, found) in groups.items():
            _count(own, f"{rules.name}:{name}", len(found), place, report)
            for item in found:
                self.check(own, item, report)
            if own.sliced is not None:
                self._check_slices(own, own.sliced, found, where)
        if rest and sliced.rules == "closed":
            report.error("value", f"This belongs to no slice of {rules.name}, and no other is allowed.", rest[0].place)

    def items(self, item: Item, name: str) -> list[Item]:
        """The values of an element by its FHIRPath name, by `name[x]`, or by the name of one type of a choice."""
        type_, value = item.type, item.value
        if value.__class__ is not dict:
            type_, value = "Element", item.beside
        if value.__class__ is not dict:
            return []
        found: list[Item] = []
        for key, name_beside, element in self._elements(type_, name):
            child, beside = value.get(key), value.get(name_beside)
            if child is None and beside is None:
                continue
            place = f"{item.place}.{element.name}"
            if child.__class__ is list or beside.__class__ is list:
                found += _repeated(element.type, child, beside, place)
            else:
                found.append(Item(_actual(element.type, child), child, place, beside))
        return found

    def _elements(self, type_: str, name: str) -> list[tuple[str, str, Element]]:
        known = self._known.get((type_, name))
        if known is None:
            elements = self.definitions.names(type_).get(name.removesuffix("[x]"))
            single = self.definitions.keys(type_).get(name)
            elements = elements or ((single,) if single else ())
            known = self._known[type_, name] = [(one.key, f"_{one.key}", one) for one in elements]
        return known


def _repeated(type_: str, child: Any, beside: Any, place: str) -> Iterator[Item]:
    values = child if isinstance(child, list) else []
    others = beside if isinstance(beside, list) else []
    for n in range(max(len(values), len(others))):
        value, other = values[n] if n < len(values) else None, others[n] if n < len(others) else None
        yield Item(_actual(type_, value), value, f"{place}[{n}]", other)


def _actual(type_: str, value: Any) -> str:
    return str(value.get("resourceType")) if type_ == "Resource" and isinstance(value, dict) else type_


def _count(rules: Rules, name: str, found: int, place: str, report: Report) -> None:
    if found < rules.least:
        code = "required" if found == 0 else "business-rule"
        report.error(code, f"The profile asks for at least {rules.least} of {name}; there are {found}.", place)
    if rules.most is not None and found > rules.most:
        report.error("business-rule", f"The profile allows at most {rules.most} of {name}; there are {found}.", place)
