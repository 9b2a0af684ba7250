"""A ValueSet's compose as parts that can be asked about one code.  https://hl7.org/fhir/R4/valueset.html#compositions"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from fhir_server.terminology.code_system import CodeSystem, Concept
from fhir_server.terminology.filters import Test, compile_filter

Resource = Mapping[str, Any]


@dataclass(frozen=True)
class Part:
    """One include or exclude: codes of a system that pass every filter and are in every imported value set."""

    source: Resource
    _tests: list[Test] = field(default_factory=list)

    @property
    def system(self) -> str | None:
        """The code system; None where only value sets are imported."""
        return self.source.get("system")

    @property
    def version(self) -> str | None:
        """Its version, where one is named."""
        return self.source.get("version")

    @cached_property
    def concepts(self) -> Mapping[str, Resource]:
        """The codes that are listed, as written; empty when it is not by list."""
        return {one["code"]: one for one in self.source.get("concept", ()) if "code" in one}

    @property
    def filters(self) -> list[Resource]:
        """Every filter must be passed."""
        return list(self.source.get("filter", ()))

    @property
    def imports(self) -> list[str]:
        """Value sets of which every one must have the code."""
        return list(self.source.get("valueSet", ()))

    def passes(self, concept: Concept, system: CodeSystem) -> bool:
        """Whether a concept passes every filter; compiled for the first system that it is asked with."""
        if not self._tests:
            self._tests.extend(compile_filter(one, system) for one in self.filters)
        return all(test(concept) for test in self._tests)


class ValueSet:
    """The parts of a definition."""

    def __init__(self, resource: Resource) -> None:
        compose = resource.get("compose", {})
        self.resource = resource
        self.url: str = resource.get("url", "")
        self.active_only = compose.get("inactive") is False
        self.includes = [Part(one) for one in compose.get("include", ())]
        self.excludes = [Part(one) for one in compose.get("exclude", ())]

    @cached_property
    def expanded(self) -> set[tuple[str, str]] | None:
        """The codes of a stored expansion, where there is nothing else to go by."""
        if self.includes:
            return None
        expansion = self.resource.get("expansion", {})
        return {(one.get("system", ""), one["code"]) for one in _contained(expansion) if "code" in one}


def _contained(node: Resource) -> Iterator[Resource]:
    for one in node.get("contains", ()):
        if not one.get("abstract"):
            yield one
        yield from _contained(one)
