"""A profile as a tree of what it says beyond R4: its differential upon that of the profile that it derives from.

https://hl7.org/fhir/R4/profiling.html. Snapshots are not needed, since every resource is checked against its type
first; where a profile comes with a snapshot alone, what it repeats of R4 is left out.
"""

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from fhir_server.conformance.canonicals import Canonicals
from fhir_server.definitions import Definitions

Element = Mapping[str, Any]
KEPT = ("min", "max", "type", "binding", "slicing", "contentReference", "mustSupport")
VALUES = ("fixed", "pattern")
MAX_BASES = 20
SEGMENT = re.compile(r"([^.:]+)(?::([^.]+))?(?:\.|$)")


@dataclass(slots=True)
class Branch:
    """What a profile says of one element; `slices` are groups of its repetitions, each a branch itself."""

    said: dict[str, Any] = field(default_factory=dict)
    constraints: list[dict[str, Any]] = field(default_factory=list)
    children: dict[str, "Branch"] = field(default_factory=dict)
    slices: dict[str, "Branch"] = field(default_factory=dict)

    @property
    def value(self) -> tuple[str, Any] | None:
        """("fixed" or "pattern", the value)."""
        for kind in VALUES:
            for key, value in self.said.items():
                if key.startswith(kind):
                    return kind, value
        return None

    def find(self, path: str) -> Iterator["Branch"]:
        """The branches along a path of names, this one first, as far as the profile says anything."""
        branch: Branch | None = self
        yield self
        for name in path.split(".") if path not in {"", "$this"} else ():
            branch = branch.children.get(name) or branch.children.get(f"{name}[x]") if branch else None
            if branch is None:
                return
            yield branch


class Trees:
    """The trees of profiles by canonical, made when first asked for."""

    def __init__(self, canonicals: Canonicals, definitions: Definitions) -> None:
        self.canonicals = canonicals
        self.definitions = definitions
        self._trees: dict[str, Branch] = {}

    def tree(self, profile: Element, depth: int = 0) -> Branch:
        """The tree of a StructureDefinition with that of its base below it."""
        url = f"{profile.get('url')}|{profile.get('version')}"
        found = self._trees.get(url)
        if found is None:
            found = self._trees[url] = self._grown(profile, depth)
        return found

    def _grown(self, profile: Element, depth: int) -> Branch:
        differential = profile.get("differential", {}).get("element")
        if not differential:
            root = Branch()
            self._add_all(root, self._news(profile))
            return root
        base = self.canonicals.resolve(str(profile.get("baseDefinition")), "StructureDefinition")
        is_profile = base is not None and base.get("derivation") == "constraint" and depth < MAX_BASES
        root = deepcopy(self.tree(base, depth + 1)) if base is not None and is_profile else Branch()
        self._add_all(root, differential)
        return root

    def _add_all(self, root: Branch, elements: Any) -> None:
        for element in elements:
            branch = _at(root, element.get("id") or element["path"])
            said = {key: value for key, value in element.items() if key in KEPT or key.startswith(VALUES)}
            branch.said.update(said)
            known = {one["key"] for one in branch.constraints}
            branch.constraints += [one for one in element.get("constraint", ()) if one["key"] not in known]

    def _news(self, profile: Element) -> Iterator[Element]:
        """The elements of a snapshot without what R4 says of the same path."""
        base = self.canonicals.resolve(f"http://hl7.org/fhir/StructureDefinition/{profile['type']}", None) or {}
        known = {one["path"]: one for one in base.get("snapshot", {}).get("element", ())}
        for element in profile.get("snapshot", {}).get("element", ()):
            yield self._without(element, known.get(element["path"]) or self._of_type(element["path"], known))

    def _of_type(self, path: str, known: Mapping[str, Element]) -> Element:
        """What a data type says of an element that the resource's own definition does not show."""
        parent, _, name = path.rpartition(".")
        above = known.get(parent)
        types: list[dict[str, Any]] = list(above.get("type", ())) if above else []
        if len(types) != 1:
            return {}
        definition = self.canonicals.resolve(f"http://hl7.org/fhir/StructureDefinition/{types[0]['code']}", None) or {}
        wanted = f"{types[0]['code']}.{name}"
        elements = definition.get("snapshot", {}).get("element", ())
        found: list[Element] = [one for one in elements if one["path"] == wanted]
        return found[0] if found else {}

    def _without(self, element: Element, base: Element) -> Element:
        keys = {one["key"] for one in base.get("constraint", ())}
        rest = {key: value for key, value in element.items() if key not in KEPT or value != base.get(key)}
        rest["constraint"] = [one for one in element.get("constraint", ()) if one["key"] not in keys]
        return rest


def _at(root: Branch, name: str) -> Branch:
    """The branch of an element id, made where it is missing.  https://hl7.org/fhir/R4/elementdefinition.html#id"""
    branch = root
    for n, match in enumerate(SEGMENT.finditer(name)):
        child, slice_name = match.group(1), match.group(2)
        if n > 0:
            branch = branch.children.setdefault(child, Branch())
        if slice_name:
            branch = _slice(branch, slice_name)
    return branch


def _slice(branch: Branch, name: str) -> Branch:
    """The slice `a`, or `a/b`, which is the slice `b` of the slice `a`.  https://hl7.org/fhir/R4/profiling.html#reslicing"""
    above, bar, rest = name.partition("/")
    if bar and above in branch.slices:
        return _slice(branch.slices[above], rest)
    return branch.slices.setdefault(name, Branch())
