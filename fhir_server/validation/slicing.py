"""Which slice a repetition belongs to.  https://hl7.org/fhir/R4/profiling.html#discriminator"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from fhir_server.fhirpath import Expression, ExpressionError, Node, compile_expression
from fhir_server.validation.bindings import bound
from fhir_server.validation.item import Item
from fhir_server.validation.report import Report
from fhir_server.validation.tree import Branch
from fhir_server.validation.types import Further
from fhir_server.validation.values import is_fixed, meets_pattern

Own = TypeVar("Own")
NOT_SAID = object()


Matches = Callable[[Item, Report], bool]


@dataclass(slots=True)
class Sliced(Generic[Own]):
    """The slices of an element with their matchers and rules; a slice without a matcher takes nothing."""

    rules: str
    ordered: bool
    slices: dict[str, tuple[Sequence[Matches], Own]] = field(default_factory=dict)

    def add(self, name: str, matchers: Sequence[Matches | None] | None, own: Own) -> None:
        """One more slice; `matchers` None: the profile does not say how to tell it."""
        if matchers is not None:
            self.slices[name] = [one for one in matchers if one is not None], own

    def sort(self, items: list[Item], report: Report) -> tuple[dict[str, tuple[Own, list[Item]]], list[Item]]:
        """The items of each slice, and those of none. Tells when they stand in another order than the profile's."""
        groups: dict[str, tuple[Own, list[Item]]] = {name: (own, []) for name, (_, own) in self.slices.items()}
        rest: list[Item] = []
        names, last = list(self.slices), 0
        for item in items:
            name = next((name for name in names if self._fits(name, item, report)), None)
            if name is None:
                rest.append(item)
                if self.rules == "openAtEnd":
                    last = len(names)
                continue
            position = names.index(name)
            if self.ordered and position < last:
                report.error("value", f"The slice {name} stands too late.", item.place)
            last = max(last, position)
            groups[name][1].append(item)
        return groups, rest

    def _fits(self, name: str, item: Item, report: Report) -> bool:
        return all(matches(item, report) for matches in self.slices[name][0])


def matcher(discriminator: Mapping[str, str], own: Branch, further: Further) -> Matches | None:
    """A test of one discriminator for one slice; None where the slice says nothing that could tell it."""
    kind, path = discriminator["type"], discriminator["path"]
    if kind in {"value", "pattern"}:
        return _by_value(path, own, further)
    select = _selection(path, further)
    branch = list(own.find(path.replace(".resolve()", "").replace("resolve()", "$this")))
    if kind == "exists":
        return _by_existence(select, own, path)
    if kind == "type":
        return _by_type(select, branch[-1], path, further)
    return _by_profile(select, branch[-1], path, further)


def _selection(path: str, further: Further) -> Callable[[Item, Report], list[Node]]:
    """The nodes at a path below an item."""
    compiled: list[Expression] = []

    def select(item: Item, report: Report) -> list[Node]:
        if path == "$this":
            return [(item.type, item.value)]
        if not compiled:
            compiled.append(compile_expression(path, further.definitions))
        try:
            return compiled[0]((item.type, item.value), report.around)
        except ExpressionError:
            return []

    return select


def _by_value(path: str, own: Branch, further: Further) -> Matches | None:
    """The first branch along the path that has a value, or the last one with a required binding."""
    names = [] if path == "$this" else path.split(".")
    branches = list(own.find(path))
    for n, branch in enumerate(branches):
        if branch.value is not None:
            return _has_value(".".join(names[:n]) or "$this", branch.value, further)
    if path == "url":
        return _has_value("url", ("fixed", _profile_of(own)), further)
    last = branches[-1]
    if len(branches) == len(names) + 1 and "binding" in last.said:
        return _in_value_set(path, last.said["binding"], further)
    if len(branches) == len(names) + 1 and last.children:
        return _by_children(path, last, further)
    return None


def _by_children(path: str, branch: Branch, further: Further) -> Matches | None:
    """The value is given piece by piece: `code.coding.system` and `code.coding.code` below `code`."""
    parts = list(_values_below(branch, ""))
    if not parts:
        return None
    tests = [_has_value(name if path == "$this" else f"{path}.{name}", value, further) for name, value in parts]
    return lambda item, report: all(test(item, report) for test in tests)


def _values_below(branch: Branch, prefix: str) -> Iterator[tuple[str, tuple[str, Any]]]:
    for name, child in branch.children.items():
        path = f"{prefix}{name.removesuffix('[x]')}"
        if child.value is not None:
            yield path, child.value
        else:
            yield from _values_below(child, f"{path}.")


def _profile_of(own: Branch) -> Any:
    """The URL of an extension is that of its definition."""
    profiles = [one for type_ in own.said.get("type", ()) for one in type_.get("profile", ())]
    return profiles[0].partition("|")[0] if profiles else NOT_SAID


def _has_value(path: str, wanted: tuple[str, Any], further: Further) -> Matches:
    select, (kind, value) = _selection(path, further), wanted
    meets = is_fixed if kind == "fixed" else meets_pattern
    return lambda item, report: any(meets(found, value) for _, found in select(item, report))


def _in_value_set(path: str, binding: Mapping[str, Any], further: Further) -> Matches:
    select = _selection(path, further)

    def matches(item: Item, report: Report) -> bool:
        nodes = select(item, report)
        if not nodes:
            return False
        aside = report.aside()
        for type_, value in nodes:
            check = bound({**binding, "strength": "required"}, type_, further.terminology)
            if check is not None:
                check(value, item.place, aside)
        return not aside.failed

    return matches


def _by_existence(select: Callable[[Item, Report], list[Node]], own: Branch, path: str) -> Matches | None:
    branches = list(own.find(path))
    wanted = branches[-1].said
    if len(branches) != len(path.split(".")) + 1:
        return None
    if wanted.get("max") == "0":
        return lambda item, report: not select(item, report)
    return (lambda item, report: bool(select(item, report))) if wanted.get("min", 0) > 0 else None


def _by_type(
    select: Callable[[Item, Report], list[Node]], branch: Branch, path: str, further: Further
) -> Matches | None:
    codes = {one["code"] for one in branch.said.get("type", ())}
    if "resolve()" in path:
        targets = [one for type_ in branch.said.get("type", ()) for one in type_.get("targetProfile", ())]
        codes = {_type_of(target, further) for target in targets}
    if not codes:
        return None
    return lambda item, report: any(type_ in codes for type_, _ in select(item, report))


def _type_of(canonical: str, further: Further) -> str:
    definition = further.canonicals.resolve(canonical, "StructureDefinition") or {}
    return str(definition.get("type", canonical.rpartition("/")[2]))


def _by_profile(
    select: Callable[[Item, Report], list[Node]], branch: Branch, path: str, further: Further
) -> Matches | None:
    key = "targetProfile" if "resolve()" in path else "profile"
    profiles = [one for type_ in branch.said.get("type", ()) for one in type_.get(key, ())]
    if not profiles:
        return None

    def matches(item: Item, report: Report) -> bool:
        return any(_conforms(profiles, node, item, report) for node in select(item, report) if node[1] is not None)

    def _conforms(canonicals: list[str], node: Node, item: Item, report: Report) -> bool:
        for canonical in canonicals:
            aside = report.aside()
            further.check_profile(canonical, node, item.place, aside)
            if not aside.failed:
                return True
        return False

    return matches
