"""From XML to JSON.  https://hl7.org/fhir/R4/xml.html

A document type declaration is refused before anything of it is read, so that no entity can be declared. The narrative
is taken as it was written.
"""

import re
from typing import Any
from xml.parsers import expat

from fhir_server.definitions import Element
from fhir_server.errors import Invalid
from fhir_server.wire import WrittenDecimal
from fhir_server.xml import FHIR, XHTML
from fhir_server.xml.names import Shapes
from fhir_server.xml.writing import escaped, is_well_formed

INSTANCE = "http://www.w3.org/2001/XMLSchema-instance "
NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?\Z")
INTEGER = re.compile(r"[+-]?(0|[1-9][0-9]{0,17})\Z")
INTEGERS = {"integer", "positiveInt", "unsignedInt"}
UTF8 = {None, "utf-8", "utf8", "us-ascii", "ascii"}


def read_xml(body: bytes, shapes: Shapes, max_depth: int) -> dict[str, Any]:
    """The resource in an XML document, as its JSON would be parsed.

    Raises Invalid for bad syntax, another encoding than UTF-8, a document type declaration, nesting deeper than
    `max_depth`, elements that R4 does not have or in another order, text where there may be none.
    """
    if b"\x00" in body:  # no XML may hold it; in UTF-16 it is everywhere
        raise Invalid("The body is not UTF-8.")
    reader = _Reader(body, shapes, max_depth)
    try:
        reader.parser.Parse(body, True)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise Invalid(f"The body is not XML: {reason} at line {error.lineno} column {error.offset + 1}.") from None
    return reader.result


class _Frame:
    """An open element: `path` is its type, `element` what it is in its parent (None: the resource itself)."""

    __slots__ = ("element", "path", "primitives", "rank", "value")

    def __init__(self, path: str, element: Element | None) -> None:
        self.path = path
        self.element = element
        self.value: dict[str, Any] = {}
        self.rank = 0
        self.primitives: set[str] = set()


class _Reader:
    def __init__(self, body: bytes, shapes: Shapes, max_depth: int) -> None:
        self.body = body
        self.shapes = shapes
        self.max_depth = max_depth
        self.frames: list[_Frame] = []
        self.result: dict[str, Any] = {}
        self.narrative: _Narrative | None = None
        self.parser = parser = expat.ParserCreate("utf-8", " ")
        parser.buffer_text = True
        parser.XmlDeclHandler = _declaration
        parser.StartDoctypeDeclHandler = _doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text

    def _place(self, name: str = "") -> str:
        names = [frame.element.key for frame in self.frames if frame.element]
        first = next((frame.path for frame in self.frames if frame.element is None), "")
        return ".".join(part for part in (first, *names, name) if part)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self.frames) + (self.narrative.depth if self.narrative else 0) >= self.max_depth:
            raise Invalid(f"The XML is nested deeper than {self.max_depth} levels.")
        if self.narrative is not None:
            self.narrative.start(name, attributes)
            return
        namespace, _, local = name.rpartition(" ")
        if namespace == XHTML and local == "div":
            self._rank("div")
            self.narrative = _Narrative(self.parser.CurrentByteIndex)
            self.narrative.start(name, attributes)
        elif namespace != FHIR:
            raise Invalid(f"The element '{local[:60]}' is not in the namespace {FHIR}.", expression=self._place())
        elif not self.frames or self.frames[-1].path == "Resource":
            self._start_resource(local, attributes)
        else:
            element = self._rank(local)
            self._open(_Frame(element.type, element), attributes)

    def _start_resource(self, local: str, attributes: dict[str, str]) -> None:
        if not self.shapes.is_resource(local):
            raise Invalid(f"'{local[:60]}' is no resource type of R4.", expression=self._place() or None)
        if self.frames and self.frames[-1].value:
            raise Invalid("Only one resource may be here.", expression=self._place())
        frame = _Frame(local, None)
        frame.value["resourceType"] = local
        self._open(frame, attributes)

    def _rank(self, local: str) -> Element:
        """The element of this name, no earlier than the one before it."""
        frame = self.frames[-1] if self.frames else None
        known = self.shapes.of("Element" if self._is_primitive(frame) else frame.path).elements if frame else {}
        found = known.get(local)
        if frame is None or found is None:
            raise Invalid(f"There is no element '{local[:60]}' here.", expression=self._place() or None)
        if found[0] < frame.rank:
            raise Invalid(f"The element '{local}' is out of order.", expression=self._place(local))
        frame.rank = found[0]
        return found[1]

    def _is_primitive(self, frame: _Frame | None) -> bool:
        return frame is not None and frame.element is not None and self.shapes.is_primitive(frame.element)

    def _open(self, frame: _Frame, attributes: dict[str, str]) -> None:
        self.frames.append(frame)
        primitive = self._is_primitive(frame)
        allowed = ("id", "value") if primitive else self.shapes.of(frame.path).attributes
        for name, text in attributes.items():
            if name.startswith(INSTANCE):
                continue
            if name not in allowed:
                raise Invalid(f"There is no attribute '{name[:60]}' here.", expression=self._place())
            frame.value[name] = text

    def _text(self, text: str) -> None:
        if self.narrative is not None:
            self.narrative.text(text)
        elif text.strip():
            raise Invalid("Text may only be in attributes and in the narrative.", expression=self._place())

    def _end(self, name: str) -> None:
        if self.narrative is not None:
            if self.narrative.end(name):
                self.frames[-1].value["div"] = self.narrative.taken(self.body, self.parser.CurrentByteIndex)
                self.narrative = None
            return
        frame = self.frames.pop()
        value = _without_empty_lists(frame)
        if frame.element is None:
            self._end_resource(value)
        elif self._is_primitive(frame):
            self._add_primitive(frame.element, value)
        else:
            self._add(frame.element, value)

    def _end_resource(self, value: dict[str, Any]) -> None:
        if self.frames:
            self.frames[-1].value = value
        else:
            self.result = value

    def _add(self, element: Element, value: Any) -> None:
        into = self.frames[-1].value
        if element.many:
            into.setdefault(element.key, []).append(value)
        elif element.key in into:
            raise Invalid(f"The element '{element.key}' may be there once.", expression=self._place(element.key))
        else:
            into[element.key] = value

    def _add_primitive(self, element: Element, value: dict[str, Any]) -> None:
        """The value under its name; id and extensions under `_name`.  https://hl7.org/fhir/R4/json.html#primitive"""
        written = value.pop("value", None)
        parsed = None if written is None else self._parsed(element, written)
        parent = self.frames[-1]
        if element.many:
            parent.primitives.add(element.key)
            parent.value.setdefault(element.key, []).append(parsed)
            parent.value.setdefault(f"_{element.key}", []).append(value or None)
            return
        if element.key in parent.value or f"_{element.key}" in parent.value:
            raise Invalid(f"The element '{element.key}' may be there once.", expression=self._place(element.key))
        if parsed is None and not value:
            raise Invalid("An element needs a value or an extension.", expression=self._place(element.key))
        parent.value.update({element.key: parsed} if parsed is not None else {})
        parent.value.update({f"_{element.key}": value} if value else {})

    def _parsed(self, element: Element, text: str) -> Any:
        if element.type == "boolean" and text in {"true", "false"}:
            return text == "true"
        if element.type in INTEGERS and INTEGER.match(text):
            return int(text)
        if (element.type == "decimal" or element.type in INTEGERS) and NUMBER.match(text):
            return WrittenDecimal(text)
        if element.type in {"boolean", "decimal"} or element.type in INTEGERS:
            raise Invalid(f"This is not a {element.type}.", expression=self._place(element.key))
        return text


class _Narrative:
    """A div while it is read: where it starts, and the same written anew where it needs something from around it."""

    def __init__(self, begin: int) -> None:
        self.begin = begin
        self.depth = 0
        self.pieces: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, local = name.rpartition(" ")
        if namespace != XHTML:
            raise Invalid("The narrative holds an element that is not XHTML.")
        written = "".join(f' {_prefixed(key)}="{escaped(text)}"' for key, text in attributes.items())
        declared = f' xmlns="{XHTML}"' if self.depth == 0 else ""
        self.pieces.append(f"<{local}{declared}{written}>")
        self.depth += 1

    def text(self, text: str) -> None:
        self.pieces.append(text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))

    def end(self, name: str) -> bool:
        self.pieces.append(f"</{name.rpartition(' ')[2]}>")
        self.depth -= 1
        return self.depth == 0

    def taken(self, body: bytes, last: int) -> str:
        text = body[self.begin : body.index(b">", last) + 1].decode()
        return text if is_well_formed(text) else "".join(self.pieces)


def _prefixed(name: str) -> str:
    return f"xml:{name.rpartition(' ')[2]}" if " " in name else name


def _without_empty_lists(frame: _Frame) -> dict[str, Any]:
    value = frame.value
    for name in frame.primitives:
        for key in (name, f"_{name}"):
            if all(item is None for item in value[key]):
                del value[key]
    return value


def _declaration(version: str, encoding: str | None, standalone: int) -> None:
    if (encoding or "utf-8").lower() not in UTF8:
        raise Invalid("The body is not UTF-8.")


def _doctype(*_: object) -> None:
    raise Invalid("A document type declaration is not allowed.")
