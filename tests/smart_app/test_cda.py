"""C-CDA documents shown as sections: readable, cleaned, and safe against hostile XML."""

import pytest

from smart_app import cda

DOCUMENT = """<?xml version="1.0" encoding="UTF-8"?>
<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
 <title>Consultation note</title><effectiveTime value="20261109163000-0500"/>
 <recordTarget><patientRole><id root="1.2.3" extension="4471902"/><patient>
  <name use="L"><given>Ren\u00e9e</given><family>Lef\u00e8vre</family></name>
  <administrativeGenderCode code="F"/><birthTime value="19640311"/></patient></patientRole></recordTarget>
 <author><assignedAuthor><assignedPerson><name><prefix>Dr.</prefix><given>Ana</given><family>N\u00fa\u00f1ez</family>
 </name></assignedPerson></assignedAuthor></author>
 <component><structuredBody><component><section><title>Results</title><text>%s</text>
  <component><section><title>Deeper</title><text><paragraph>Inner</paragraph></text></section></component>
 </section></component></structuredBody></component>
</ClinicalDocument>"""


def shown(narrative: str) -> str:
    return str(cda.read((DOCUMENT % narrative).encode()).sections[0].html)


def test_header_and_sections() -> None:
    document = cda.read((DOCUMENT % "<paragraph>Fine</paragraph>").encode())
    assert (document.title, document.patient, document.author) == (
        "Consultation note",
        "Renée Lefèvre",
        "Dr. Ana Núñez",
    )
    assert (document.birth_date, document.sex, document.date) == ("1964-03-11", "female", "2026-11-09")
    assert document.numbers == ("4471902",)
    assert [(each.title, each.level) for each in document.sections] == [("Results", 1), ("Deeper", 2)]


def test_narrative_becomes_html() -> None:
    assert shown('<list listType="ordered"><item>one</item></list>') == "<ol><li>one</li></ol>"
    assert shown('<content styleCode="Bold">x</content> &lt; 2<br/>y') == "<strong>x</strong> &lt; 2<br>y"
    table = "<table><caption>Labs</caption><tbody><tr><td colspan='2'>Hb</td></tr></tbody></table>"
    assert shown(table) == '<table><caption>Labs</caption><tbody><tr><td colspan="2">Hb</td></tr></tbody></table>'


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        '<linkHtml href="javascript:alert(1)">x</linkHtml>',
        '<paragraph onclick="alert(1)">x</paragraph>',
        "<paragraph>&lt;img src=x onerror=alert(1)&gt;</paragraph>",
        '<td colspan="1&quot; onmouseover=&quot;alert(1)">x</td>',
    ],
)
def test_nothing_of_a_narrative_can_run(hostile: str) -> None:
    html = shown(hostile)
    assert "<script" not in html
    assert "<img" not in html
    assert "javascript:" not in html
    assert " onclick" not in html
    assert ' onmouseover="' not in html


def test_entities_and_document_types_are_refused() -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
    with pytest.raises(cda.NotCda, match="document type"):
        cda.read((bomb + DOCUMENT.partition("?>")[2] % "&b;").encode())
    outside = '<!DOCTYPE x SYSTEM "file:///etc/passwd">'
    with pytest.raises(cda.NotCda, match="document type"):
        cda.read((outside + DOCUMENT.partition("?>")[2] % "").encode())


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"<html/>", "not a clinical document"),
        (b"<a><b></a>", "well-formed"),
        (b"", "well-formed"),
        (b'<?xml version="1.0" encoding="gb18030"?><a/>', "encoding"),
        (b"<a>" * 500 + b"</a>" * 500, "nested"),
    ],
)
def test_what_cannot_be_read_says_why(content: bytes, why: str) -> None:
    with pytest.raises(cda.NotCda, match=why):
        cda.read(content)


def test_file_in_place_of_sections_is_named() -> None:
    body = '<component><nonXMLBody><text mediaType="application/pdf" representation="B64">AA==</text></nonXMLBody>'
    document = cda.read(f'<ClinicalDocument xmlns="urn:hl7-org:v3">{body}</component></ClinicalDocument>'.encode())
    assert document.embedded == "application/pdf"
    assert document.sections == ()


def test_types_of_xml() -> None:
    assert cda.is_xml("text/xml; charset=utf-8")
    assert cda.is_xml("application/cda+xml")
    assert not cda.is_xml("text/html")
