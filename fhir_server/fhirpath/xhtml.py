"""What a narrative may hold.  https://hl7.org/fhir/R4/narrative.html#xhtml"""

import re
from functools import lru_cache
from xml.parsers import expat

XHTML = "http://www.w3.org/1999/xhtml"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ELEMENTS = _words(
    "a abbr acronym b big blockquote br caption cite code col colgroup dd dfn div dl dt em h1 h2 h3 h4 h5 h6 hr i img "
    "li ol p pre q s samp small span strike strong sub sup table tbody td tfoot th thead tr tt u ul var"
)
EVERYWHERE = _words("title style class id lang dir accesskey tabindex xml:lang xmlns")
CELL = _words("abbr axis headers scope rowspan colspan align valign nowrap width height bgcolor")
ATTRIBUTES = {
    "a": _words("charset coords href hreflang name rel rev shape target type"),
    "img": _words("src alt longdesc height width usemap ismap border align"),
    "table": _words("summary width border frame rules cellspacing cellpadding align bgcolor"),
    **dict.fromkeys(("td", "th"), CELL),
    **dict.fromkeys(("col", "colgroup"), _words("span width align valign")),
    **dict.fromkeys(("q", "blockquote"), _words("cite")),
    **dict.fromkeys(("tr", "tbody", "thead", "tfoot", "p", "div", "caption"), _words("align valign bgcolor")),
    **dict.fromkeys(("ol", "ul", "li"), _words("type start value compact")),
    **dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6", "hr"), _words("align width size noshade")),
    "br": _words("clear"),
    "pre": _words("width"),
}
ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]*);")
OWN_ENTITIES = frozenset({"amp", "lt", "gt", "quot", "apos"})
SCRIPT = re.compile(r"^\s*(?:java|vb)script:", re.IGNORECASE)


class _NotAllowed(Exception):
    """The first thing that a narrative may not hold."""


class _Reader:
    """Watches the elements go by."""

    def __init__(self) -> None:
        self.depth = 0
        self.has_content = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, tag = name.rpartition(" ")
        if namespace != XHTML or tag not in ELEMENTS or (self.depth == 0 and tag != "div"):
            raise _NotAllowed(tag)
        allowed = ATTRIBUTES.get(tag, frozenset())
        for key, value in attributes.items():
            attribute = key.rpartition(" ")[2]
            if attribute not in EVERYWHERE and attribute not in allowed or SCRIPT.match(value):
                raise _NotAllowed(attribute)
        self.has_content |= tag == "img"
        self.depth += 1

    def end(self, name: str) -> None:
        self.depth -= 1

    def text(self, data: str) -> None:
        self.has_content |= bool(data.strip())


def _refuse(*arguments: object) -> None:
    raise _NotAllowed("DOCTYPE")


def is_basic(text: str) -> bool:
    """Whether a text is one `div` of XHTML with basic formatting only (txt-1)."""
    return _read(text) is not None


def has_content(text: str) -> bool:
    """Whether a narrative says something (txt-2); of one that cannot be read this is not asked."""
    return _read(text) is not False


@lru_cache(maxsize=512)
def _read(text: str) -> bool | None:
    """Whether it has content; None when it is no narrative."""
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(ENTITY.sub(_plain, text), True)
    except (expat.ExpatError, _NotAllowed):
        return None
    return reader.has_content


def _plain(match: re.Match[str]) -> str:
    """Entities of HTML stand for some character; which one does not matter here."""
    return match.group() if match.group(1) in OWN_ENTITIES else "x"
