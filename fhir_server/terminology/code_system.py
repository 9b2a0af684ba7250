"""A CodeSystem as concepts with their hierarchy.  https://hl7.org/fhir/R4/codesystem.html"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Resource = Mapping[str, Any]
PARENTS = {"parent", "subsumedBy"}
INACTIVE_STATES = {"inactive", "retired"}


@dataclass(slots=True)
class Concept:
    """One code. `source` is CodeSystem.concept as written; parents and children are codes."""

    code: str
    source: Resource
    parents: list[str] = field(default_factory=list)
    children: list[str] = field(default_factory=list)

    @property
    def display(self) -> str | None:
        """The preferred name."""
        return self.source.get("display")

    @property
    def designations(self) -> list[Resource]:
        """Other names."""
        return list(self.source.get("designation", ()))

    def properties(self, code: str) -> list[Any]:
        """The values of a property."""
        found = (one for one in self.source.get("property", ()) if one.get("code") == code)
        return [value for one in found for name, value in one.items() if name.startswith("value")]

    @property
    def abstract(self) -> bool:
        """Whether it only groups others and may not be used.  codesystem.html#hierarchy"""
        return True in (*self.properties("notSelectable"), *self.properties("abstract"))

    @property
    def inactive(self) -> bool:
        """Whether it should no longer be used.  codesystem.html#status"""
        if True in self.properties("inactive"):
            return True
        return any(state in INACTIVE_STATES for state in self.properties("status"))


class CodeSystem:
    """All concepts that the definition lists. `complete`: a code that is not among them does not exist."""

    def __init__(self, resource: Resource, supplements: Iterable[Resource] = ()) -> None:
        self.resource = resource
        self.url: str = resource["url"]
        self.version: str | None = resource.get("version")
        self.complete = resource.get("content") == "complete"
        self.case_sensitive = resource.get("caseSensitive", True)
        self.concepts: dict[str, Concept] = {}
        self._add(resource.get("concept", ()), None)
        self._folded = {} if self.case_sensitive else {code.casefold(): code for code in self.concepts}
        for supplement in supplements:
            self._supplement(supplement.get("concept", ()))
        self._link()

    def find(self, code: str) -> Concept | None:
        """The concept of a code, by case where the system says so."""
        found = self.concepts.get(code)
        if found is None and not self.case_sensitive:
            found = self.concepts.get(self._folded.get(code.casefold(), ""))
        return found

    def above(self, code: str) -> set[str]:
        """The code itself and every code that subsumes it."""
        return self._walk(code, up=True)

    def below(self, code: str) -> set[str]:
        """The code itself and every code that it subsumes."""
        return self._walk(code, up=False)

    def _walk(self, code: str, *, up: bool) -> set[str]:
        found: set[str] = set()
        waiting = [code]
        while waiting:
            concept = self.find(waiting.pop())
            if concept is not None and concept.code not in found:
                found.add(concept.code)
                waiting.extend(concept.parents if up else concept.children)
        return found

    def _add(self, concepts: Iterable[Resource], parent: str | None) -> None:
        """Concepts in the order of the definition; nesting is a parent."""
        waiting = [(concept, parent) for concept in reversed(list(concepts))]
        while waiting:
            source, above = waiting.pop()
            if "code" not in source:
                continue
            concept = self.concepts.setdefault(source["code"], Concept(source["code"], source))
            if above is not None:
                concept.parents.append(above)
            waiting.extend((child, concept.code) for child in reversed(source.get("concept", ())))

    def _link(self) -> None:
        """Take over the hierarchy that stands in properties, then give every parent its children."""
        for concept in self.concepts.values():
            for one in concept.source.get("property", ()):
                value = one.get("valueCode") or one.get("valueString")
                if one.get("code") in PARENTS and value in self.concepts:
                    concept.parents.append(value)
                elif one.get("code") == "child" and value in self.concepts:
                    self.concepts[value].parents.append(concept.code)
        for concept in self.concepts.values():
            concept.parents = list(dict.fromkeys(concept.parents))
            for parent in concept.parents:
                self.concepts[parent].children.append(concept.code)

    def _supplement(self, concepts: Iterable[Resource]) -> None:
        """Add the designations and properties of a supplement.  codesystem.html#supplements"""
        for source in _flat(concepts):
            concept = self.find(source.get("code", ""))
            if concept is not None:
                more = {
                    name: [*concept.source.get(name, ()), *source.get(name, ())] for name in ("designation", "property")
                }
                concept.source = {**concept.source, **{name: value for name, value in more.items() if value}}


def _flat(concepts: Iterable[Resource]) -> Iterator[Resource]:
    for concept in concepts:
        yield concept
        yield from _flat(concept.get("concept", ()))
