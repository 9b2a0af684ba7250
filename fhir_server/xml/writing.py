"""From JSON to XML.  https://hl7.org/fhir/R4/xml.html

Elements come in the order of the definitions, decimals with the digits they have, narrative as it is. What XML 1.0
cannot hold (control characters) becomes U+FFFD.
"""

import html
import re
from collections.abc import Mapping
from typing import Any
from xml.parsers import expat

from fhir_server.definitions import Element
from fhir_server.xml import FHIR, XHTML
from fhir_server.xml.names import Shapes

HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
SPECIAL = re.compile(r"[&<>\"\x00-\x1f\ufffe\uffff]")
ENTITY = re.compile(r"&(?!(?:amp|lt|gt|quot|apos);)([A-Za-z][A-Za-z0-9]*;)")
EMPTY: Mapping[str, Any] = {}


def write_xml(resource: Mapping[str, Any], shapes: Shapes, *, pretty: bool = False) -> bytes:
    """The XML document of a resource."""
    writer = _Writer(shapes, pretty)
    writer.resource(resource, 0, f' xmlns="{FHIR}"')
    return "".join(writer.pieces).encode()


class _Writer:
    def __init__(self, shapes: Shapes, pretty: bool) -> None:
        self.shapes = shapes
        self.pretty = pretty
        self.pieces = [HEAD]

    def open(self, depth: int, tag: str) -> None:
        """Begin a line when it is written for a person."""
        self.pieces.append(f"\n{'  ' * depth}<{tag}" if self.pretty else f"<{tag}")

    def close(self, depth: int, name: str) -> None:
        self.pieces.append(f"\n{'  ' * depth}</{name}>" if self.pretty else f"</{name}>")

    def resource(self, value: Mapping[str, Any], depth: int, namespace: str = "") -> None:
        name = value["resourceType"]
        self.open(depth, name + namespace)
        self.content(value, name, name, depth)

    def content(self, value: Mapping[str, Any], path: str, name: str, depth: int) -> None:
        """What follows the opening of a tag: the children, or its end at once."""
        shape = self.shapes.of(path)
        present = {key.removeprefix("_") for key in value if key not in shape.attributes}
        found = sorted(shape.elements[key] for key in present if key in shape.elements)
        self.pieces.append(">" if found else "/>")
        for _, element in found:
            self.property(value, element, depth + 1)
        if found:
            self.close(depth, name)

    def property(self, value: Mapping[str, Any], element: Element, depth: int) -> None:
        given, more = value.get(element.key), value.get(f"_{element.key}")
        if self.shapes.is_primitive(element):
            self.primitives(element, _listed(given), _listed(more), depth)
            return
        for item in _listed(given):
            self.open(depth, element.key)
            if element.type == "Resource":
                self.pieces.append(">")
                self.resource(item, depth + 1)
                self.close(depth, element.key)
            else:
                self.attributes(item, self.shapes.of(element.type).attributes)
                self.content(item, element.type, element.key, depth)

    def attributes(self, item: Mapping[str, Any], names: tuple[str, ...]) -> None:
        for name in names:
            if name in item:
                self.pieces.append(f' {name}="{escaped(item[name])}"')

    def primitives(self, element: Element, given: list[Any], more: list[Any], depth: int) -> None:
        """Values and, in a list of the same length, what is said of them."""
        for n in range(max(len(given), len(more))):
            item = given[n] if n < len(given) else None
            extra = (more[n] if n < len(more) else None) or EMPTY
            if item is None and not extra:
                continue
            if element.type == "xhtml":
                self.pieces.append(("\n" + "  " * depth if self.pretty else "") + narrative(item))
                continue
            self.open(depth, element.key)
            self.attributes(extra, ("id",))
            if item is not None:
                self.pieces.append(f' value="{escaped(item)}"')
            self.content(extra, "Element", element.key, depth)


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def escaped(value: Any) -> str:
    """A JSON primitive as the value of an attribute."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return SPECIAL.sub(lambda found: ESCAPES.get(found.group(), "\ufffd"), str(value))


def narrative(text: Any) -> str:
    """The div as it is; HTML's named entities become characters, and what is no XML at all becomes its text."""
    for candidate in (str(text), ENTITY.sub(_character, str(text))):
        if is_well_formed(candidate):
            return candidate
    return f'<div xmlns="{XHTML}">{escaped(text)}</div>'


def is_well_formed(text: str) -> bool:
    """Whether the text is one XHTML element that needs nothing around it."""
    names: list[str] = []
    parser = expat.ParserCreate("utf-8", " ")
    parser.StartElementHandler = lambda name, _: None if names else names.append(name)
    parser.StartDoctypeDeclHandler = lambda *_: names.append("")
    try:
        parser.Parse(text.encode(), True)
    except (expat.ExpatError, UnicodeEncodeError):
        return False
    return names == [f"{XHTML} div"]


def _character(found: re.Match[str]) -> str:
    return html.unescape(found.group())
