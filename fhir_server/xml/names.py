"""How the properties of a type appear in XML: their order, and which are attributes.  https://hl7.org/fhir/R4/xml.html"""

from dataclasses import dataclass, field

from fhir_server.definitions import Definitions, Element


@dataclass(frozen=True, slots=True)
class Shape:
    """The elements of one type by name, each with its place in the order; `attributes` are written in the tag."""

    elements: dict[str, tuple[int, Element]]
    attributes: tuple[str, ...]


@dataclass(frozen=True)
class Shapes:
    """Shapes by path, made on first use."""

    definitions: Definitions
    known: dict[str, Shape] = field(default_factory=dict)

    def of(self, path: str) -> Shape:
        """The shape of a type or backbone path."""
        found = self.known.get(path)
        if found is None:
            found = self.known[path] = self._made(path)
        return found

    def _made(self, path: str) -> Shape:
        """`id` is an attribute everywhere but in resources, `url` in extensions."""
        attributes = () if self.is_resource(path) else ("id", "url") if path == "Extension" else ("id",)
        elements = self.definitions.keys(path).values()
        return Shape({e.key: (n, e) for n, e in enumerate(elements) if e.key not in attributes}, attributes)

    def is_resource(self, name: object) -> bool:
        """Whether this is the name of a resource type."""
        return name in self.definitions.resource_types

    def is_primitive(self, element: Element) -> bool:
        """Whether the element is written as a value."""
        return element.type in self.definitions.primitives
