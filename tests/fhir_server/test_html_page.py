"""The page of a resource shows nothing but text, whatever stands in it.  R4 security.html#narrative"""

import html
from html.parser import HTMLParser
from typing import Any

import pytest

from fhir_server.definitions import Definitions, load
from fhir_server.http.html_page import page
from fhir_server.settings import Settings

BASE = "https://konsil.example/fhir"
TEXTS = {
    "string",
    "markdown",
    "uri",
    "url",
    "canonical",
    "code",
    "id",
    "oid",
    "uuid",
    "base64Binary",
    "dateTime",
    "instant",
}
DEPTH = 1
MARK = "\"'--></script></style></pre></title><xss onmouseover=x>javascript:x"
NARRATIVE = (
    '<div><script>x</script><img src="https://evil.example/"><a href="javascript:x">a</a><b onclick="x">b</b>'
    '<a href="JaVa&#x09;Script:x">a</a><iframe srcdoc="x"></iframe><svg><a xlink:href="javascript:x"></a></svg></div>'
)
OWN = "html head meta title style body main nav section table thead tr th tbody td details summary pre"
PLAIN = "a h1 p ul li strong div b"
TAGS = frozenset(f"{OWN} {PLAIN}".split())


class Page(HTMLParser):
    """Fails on what the template has not and on an address that is not of the web."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS, (tag, self.getpos())
        for name, value in attrs:
            assert not name.startswith("on") and name not in {"src", "srcdoc"}, (tag, attrs)
            assert name != "href" or (value or "").startswith(BASE), (tag, attrs)


def filled(definitions: Definitions, type_: str, depth: int = DEPTH) -> dict[str, Any]:
    """A value of this type with markup in each of its texts, as deep as that."""
    made: dict[str, Any] = {}
    for key, element in definitions.keys(type_).items():
        if element.type in TEXTS:
            value: Any = f"{MARK}{key}"
        elif element.type in definitions.primitives or depth == 0:
            continue
        else:
            value = filled(definitions, element.type, depth - 1)
        made[key] = [value] if element.many else value
    return made


@pytest.fixture(scope="module")
def definitions() -> Definitions:
    return load(Settings().definitions)


@pytest.mark.spec("CWE-79")
def test_markup_in_any_field_of_any_resource_is_text(definitions: Definitions) -> None:
    for resource_type in sorted(definitions.resource_types):
        resource = {"resourceType": resource_type, **filled(definitions, resource_type)}
        if "text" in resource:
            resource["text"] = {"status": "generated", "div": NARRATIVE}
        bundle = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": resource}], "total": MARK}
        linked = {
            **bundle,
            "link": [{"relation": MARK, "url": "javascript:x"}, {"relation": MARK, "url": f"{BASE}{MARK}"}],
        }
        for shown in (resource, bundle, linked):
            text = page(BASE, shown).decode()
            Page().feed(text)
        assert "xss onmouseover" in html.unescape(text), resource_type


def test_the_reader_of_pages_sees_what_it_is_to_see() -> None:
    for text in (MARK, '<a href="javascript:x">', "<b onclick=x>"):
        with pytest.raises(AssertionError):
            Page().feed(text)
