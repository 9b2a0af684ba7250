"""C-CDA documents for reading: the header's facts and each section's narrative, cleaned.  Nothing of them is trusted.

CDA R2 says that the narrative of a section is what its author attests; entries repeat it for machines.
https://www.hl7.org/implement/standards/product_brief.cfm?product_id=7
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

import nh3
from markupsafe import Markup

from smart_app.words import dicom_date

XML_TYPES = {"text/xml", "application/xml", "application/cda+xml", "application/hl7-cda+xml", "application/hl7-v3+xml"}
MOST_BYTES = 20_000_000
DEEPEST = 200
V3 = "{urn:hl7-org:v3}"
PLAIN = {
    "paragraph": "p", "thead": "thead", "tbody": "tbody", "tfoot": "tfoot", "tr": "tr",
    "th": "th", "td": "td", "item": "li", "sub": "sub", "sup": "sup", "footnote": "small", "caption": "strong",
}  # fmt: skip
STYLES = {"Bold": "strong", "Italics": "em", "Emphasis": "em"}
ALLOWED = {*PLAIN.values(), *STYLES.values(), "table", "ul", "ol", "br", "a", "span", "caption"}
ATTRIBUTES = {"td": {"colspan", "rowspan"}, "th": {"colspan", "rowspan", "scope"}, "a": {"href"}}
SEXES = {"F": "female", "M": "male", "UN": "other"}


class NotCda(Exception):
    """The bytes are no CDA document that can be shown; the text says why."""


@dataclass(frozen=True)
class Section:
    """One section: `level` 1 at the top; `html` is safe."""

    title: str
    html: Markup
    level: int


@dataclass(frozen=True)
class Document:
    """What a reader needs; dates as FHIR writes them; `embedded` names the kind of file in place of sections."""

    title: str
    patient: str
    birth_date: str
    sex: str
    numbers: tuple[str, ...]
    author: str
    custodian: str
    date: str
    sections: tuple[Section, ...]
    embedded: str = ""


def is_xml(content_type: str) -> bool:
    """Whether an attachment of this type may be a CDA document."""
    return content_type.partition(";")[0].strip().lower() in XML_TYPES


def read(content: bytes) -> Document:
    """The document.  Raises NotCda."""
    root = parse(content)
    if root.tag != f"{V3}ClinicalDocument":
        raise NotCda("This XML is not a clinical document (CDA).")
    role = first(root, "recordTarget/patientRole")
    outside = first(root, "component/nonXMLBody/text")
    return Document(
        title=plain(first(root, "title")) or first(root, "code").get("displayName", "") or "Clinical document",
        patient=name_in(role, "patient/name"),
        birth_date=dicom_date(first(role, "patient/birthTime").get("value", "")[:8]),
        sex=SEXES.get(first(role, "patient/administrativeGenderCode").get("code", ""), ""),
        numbers=tuple(each.get("extension", "") for each in role.findall(f"{V3}id") if each.get("extension")),
        author=name_in(root, "author/assignedAuthor/assignedPerson/name"),
        custodian=plain(first(root, "custodian/assignedCustodian/representedCustodianOrganization/name")),
        date=dicom_date(first(root, "effectiveTime").get("value", "")[:8]),
        sections=tuple(sections(first(root, "component/structuredBody"), 1)),
        embedded=outside.get("mediaType", ""),
    )


def parse(content: bytes) -> Element:
    """The XML as a tree.  Document types and entities are refused: a CDA document has none, an attack may.

    Raises NotCda.
    """
    if len(content) > MOST_BYTES:
        raise NotCda("The document is too large to be shown.")
    builder = TreeBuilder()
    parser = expat.ParserCreate(namespace_separator="}")
    bounded = Bounded(builder)
    parser.StartElementHandler = bounded.start
    parser.EndElementHandler = bounded.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(content, True)
        return builder.close()
    except expat.ExpatError as error:
        raise NotCda(f"The document is not well-formed XML (line {error.lineno}).") from error
    except (LookupError, ValueError) as error:
        raise NotCda("The document is written in an encoding that cannot be read.") from error


def refuse(*_: object) -> None:
    """No document type, no entity."""
    raise NotCda("The document declares a document type or entities, which a clinical document may not.")


class Bounded:
    """Builds the tree as long as it is not absurdly deep."""

    def __init__(self, builder: TreeBuilder) -> None:
        self.builder, self.depth = builder, 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins.  Raises NotCda."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise NotCda("The document is nested too deeply to be shown.")
        self.builder.start(braced(name), {braced(key): value for key, value in attributes.items()})

    def end(self, name: str) -> None:
        """An element ends."""
        self.depth -= 1
        self.builder.end(braced(name))


def braced(name: str) -> str:
    """expat's `uri}local` as ElementTree writes it."""
    return f"{{{name}" if "}" in name else name


def first(start: Element, path: str) -> Element:
    """The first element at a path of CDA names, or an empty one."""
    found = start.find("/".join(f"{V3}{part}" for part in path.split("/")))
    return Element("none") if found is None else found


def plain(element: Element) -> str:
    """All text of an element, blanks folded."""
    return " ".join("".join(element.itertext()).split())


def name_in(start: Element, path: str) -> str:
    """The first name at a path as people say it: prefix, given, family; its own text when it has no parts."""
    name = first(start, path)
    parts = [plain(each) for kind in ("prefix", "given", "family", "suffix") for each in name.findall(f"{V3}{kind}")]
    return " ".join(part for part in parts if part) or plain(name)


def sections(parent: Element, level: int) -> Iterator[Section]:
    """Sections in their order, those within others after them and one level deeper."""
    for section in parent.findall(f"{V3}component/{V3}section"):
        title = plain(first(section, "title")) or first(section, "code").get("displayName", "") or "Section"
        yield Section(title, narrative(first(section, "text")), level)
        yield from sections(section, level + 1)


def narrative(text: Element) -> Markup:
    """A narrative block as safe HTML.  CDA R2 4.3.5"""
    html = nh3.clean(inside(text), tags=ALLOWED, attributes=ATTRIBUTES, url_schemes={"http", "https"})
    return Markup(html)  # noqa: S704 - nh3 has cleaned it


def inside(element: Element) -> str:
    """What stands in an element, in HTML."""
    parts = [escape(element.text or "")]
    for each in element:
        parts += [rendered(each), escape(each.tail or "")]
    return "".join(parts)


def rendered(element: Element) -> str:
    """One element of a narrative in HTML; what is unknown gives its content."""
    local = element.tag.rpartition("}")[2]
    special: dict[str, Callable[[Element], str]] = {"content": content, "list": items, "linkHtml": link, "table": grid}
    if local in special:
        return special[local](element)
    if local == "br":
        return "<br>"
    if local == "renderMultiMedia":
        return "<em>(a picture of the document is not shown here)</em>"
    tag = PLAIN.get(local, "")
    return f"<{tag}{spans(element)}>{inside(element)}</{tag}>" if tag else inside(element)


def spans(element: Element) -> str:
    """How many columns and rows a cell takes."""
    return "".join(f' {name}="{escape(element.get(name, ""))}"' for name in ("colspan", "rowspan") if element.get(name))


def content(element: Element) -> str:
    """A run of text with its style."""
    tags = [STYLES[style] for style in element.get("styleCode", "").split() if style in STYLES]
    made = inside(element)
    for tag in tags:
        made = f"<{tag}>{made}</{tag}>"
    return made


def items(element: Element) -> str:
    """A list, ordered or not."""
    tag = "ol" if element.get("listType") == "ordered" else "ul"
    return f"<{tag}>{inside(element)}</{tag}>"


def grid(element: Element) -> str:
    """A table, its own caption within."""
    titles = "".join(f"<caption>{inside(each)}</caption>" for each in element.findall(f"{V3}caption"))
    rows = "".join(rendered(each) for each in element if each.tag != f"{V3}caption")
    return f"<table>{titles}{rows}</table>"


def link(element: Element) -> str:
    """A link; nh3 drops addresses that are not of the web."""
    return f'<a href="{escape(element.get("href", ""))}">{inside(element)}</a>'
