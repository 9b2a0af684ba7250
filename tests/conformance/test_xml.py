"""https://hl7.org/fhir/R4/xml.html: the XML form, in and out."""

from functools import cache
from typing import Any
from uuid import uuid4

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.definitions import load
from fhir_server.errors import Invalid
from fhir_server.settings import default_definitions
from fhir_server.wire import WrittenDecimal, canonical
from fhir_server.xml.names import Shapes
from fhir_server.xml.reading import read_xml
from fhir_server.xml.writing import write_xml

XML = {"Content-Type": "application/fhir+xml", "Accept": "application/fhir+xml"}
OPEN = '<Patient xmlns="http://hl7.org/fhir">'
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">'


@pytest.fixture(scope="module")
def shapes() -> Shapes:
    return Shapes(load(default_definitions()))


def read(shapes: Shapes, inside: str) -> dict[str, Any]:
    return read_xml(f"{OPEN}{inside}</Patient>".encode(), shapes, 100)


@pytest.mark.spec("R4 xml.html")
def test_everything_that_json_says_goes_through_xml(shapes: Shapes) -> None:
    patient = {
        "resourceType": "Patient",
        "id": "x",
        "text": {"status": "generated", "div": f"{DIV}a &amp; b<br/><p title='&#34;'>ü</p></div>"},
        "contained": [{"resourceType": "Organization", "id": "o", "name": ' a\n\t"<&>\r '}],
        "extension": [{"id": "e", "url": "urn:unknown", "valueDecimal": WrittenDecimal("1.500E-3")}],
        "active": True,
        "_active": {"id": "a", "extension": [{"url": "urn:x", "valueInteger": -3}]},
        "name": [{"id": "i", "given": ["a", None, "c"], "_given": [None, {"id": "z"}, None]}, {"text": "z"}],
        "_birthDate": {"extension": [{"url": "urn:absent", "valueCode": "unknown"}]},
        "multipleBirthInteger": 2,
    }
    for pretty in (False, True):
        again = read_xml(write_xml(patient, shapes, pretty=pretty), shapes, 100)
        assert again == patient
        assert canonical(again) == canonical(patient)


@pytest.mark.spec("R4 xml.html")
def test_elements_come_in_the_order_of_the_definition(shapes: Shapes) -> None:
    written = write_xml({"resourceType": "Patient", "gender": "male", "name": [{"text": "x"}], "id": "1"}, shapes)
    expected = f'{OPEN}<id value="1"/><name><text value="x"/></name><gender value="male"/></Patient>'
    assert written.decode().partition("?>")[2] == expected
    with pytest.raises(Invalid, match="out of order"):
        read(shapes, '<gender value="male"/><name><text value="x"/></name>')


@pytest.mark.spec("R4 xml.html")
@pytest.mark.parametrize(
    "inside",
    [
        '<nonsense value="1"/>',
        '<active value="yes"/>',
        '<active value="true" other="1"/>',
        "<active>true</active>",
        "<active/>",
        '<active value="true"/><active value="true"/>',
        '<multipleBirthInteger value="1.5x"/>',
        "<name>text</name>",
        '<name url="x"/>',
        "<contained><Nonsense/></contained>",
        "<contained><Patient/><Patient/></contained>",
        '<active value="true">',
        '<active xmlns="urn:other" value="true"/>',
        f"{DIV}not here</div>",
        '<text><status value="empty"/><div xmlns="http://www.w3.org/1999/xhtml"><x xmlns="urn:x"/></div></text>',
        '<birthDate value="&nbsp;"/>',
        "<name>" * 200 + "</name>" * 200,
        "<extension url='u'>" * 200 + "</extension>" * 200,
        "<text>" + DIV + "<p>" * 200 + "</p>" * 200 + "</div></text>",
    ],
)
def test_what_r4_does_not_have_is_refused(shapes: Shapes, inside: str) -> None:
    with pytest.raises(Invalid):
        read(shapes, inside)


@pytest.mark.spec("R4 security.html#narrative")
@pytest.mark.parametrize(
    "body",
    [
        b'<!DOCTYPE P [<!ENTITY a "aaaaaaaaaa">]><Patient xmlns="http://hl7.org/fhir"><id value="&a;"/></Patient>',
        b'<!DOCTYPE Patient SYSTEM "http://192.0.2.1/x.dtd"><Patient xmlns="http://hl7.org/fhir"/>',
        b'<?xml version="1.0" encoding="UTF-16"?><Patient xmlns="http://hl7.org/fhir"/>',
        '<Patient xmlns="http://hl7.org/fhir"/>'.encode("utf-16"),
        b"<Patient/>",
        b"",
        b"\x00",
        b"{}",
    ],
)
def test_no_declared_entities_and_no_other_encoding(shapes: Shapes, body: bytes) -> None:
    with pytest.raises(Invalid):
        read_xml(body, shapes, 100)


@pytest.mark.spec("R4 xml.html")
def test_comments_and_schema_locations_are_passed_over_and_prefixes_understood(shapes: Shapes) -> None:
    body = (
        '<?xml version="1.0"?><!-- c -->'
        '<f:Patient xmlns:f="http://hl7.org/fhir" xmlns:h="http://www.w3.org/1999/xhtml" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://hl7.org/fhir x.xsd">\n'
        '<f:text><f:status value="generated"/><h:div>a &lt; b <h:b class="bold">c</h:b></h:div></f:text><!-- d -->\n'
        '<f:active value="true"/></f:Patient>'
    )
    resource = read_xml(body.encode(), shapes, 100)
    assert resource["active"] is True
    assert resource["text"]["div"] == f'{DIV}a &lt; b <b class="bold">c</b></div>'


@pytest.mark.spec("R4 narrative.html#xhtml")
def test_a_div_that_is_no_xml_becomes_text_and_html_entities_characters(shapes: Shapes) -> None:
    written = write_xml(
        {"resourceType": "Basic", "text": {"status": "generated", "div": f"{DIV}a&nbsp;b</div>"}}, shapes
    )
    assert f"{DIV}a\u00a0b</div>" in written.decode()
    hostile = "<div><script></div></text><id value='x'/>"
    written = write_xml({"resourceType": "Basic", "text": {"status": "generated", "div": hostile}}, shapes)
    assert "id" not in read_xml(written, shapes, 100)


@cache
def shapes_of_r4() -> Shapes:
    return Shapes(load(default_definitions()))


@given(text=st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), min_size=1))
def test_any_text_comes_back(text: str) -> None:
    shapes = shapes_of_r4()
    patient = {"resourceType": "Patient", "id": "x", "name": [{"text": text, "given": [text, " \n\t" + text]}]}
    assert read_xml(write_xml(patient, shapes), shapes, 100) == patient


@pytest.mark.anyio
@pytest.mark.spec("R4 http.html#mime-type")
async def test_a_resource_goes_in_as_xml_and_comes_out_as_both(client: httpx.AsyncClient, unique: str) -> None:
    inside = f'<identifier><system value="urn:test"/><value value="{unique}"/></identifier>'
    made = await client.post("/Patient", content=f"{OPEN}{inside}</Patient>", headers=XML)
    assert made.status_code == 201, made.text
    assert made.headers["content-type"] == "application/fhir+xml; charset=utf-8"
    assert inside in made.text
    id_ = made.headers["location"].split("/")[-3]
    plain = (await client.get(f"/Patient/{id_}")).json()
    assert plain["identifier"] == [{"system": "urn:test", "value": unique}]
    again = await client.put(f"/Patient/{id_}", content=made.content, headers=XML)
    assert again.status_code == 200
    assert '<versionId value="2"/>' in again.text
    found = await client.get("/Patient", params={"identifier": f"urn:test|{unique}", "_format": "xml"})
    assert inside in found.text
    assert "<entry>" in found.text and "<Patient>" in found.text


@pytest.mark.anyio
@pytest.mark.spec("R4 http.html#mime-type")
async def test_bundles_and_refusals_in_xml(client: httpx.AsyncClient) -> None:
    uuid = f"urn:uuid:{uuid4()}"
    body = (
        '<Bundle xmlns="http://hl7.org/fhir"><type value="transaction"/><entry>'
        f'<fullUrl value="{uuid}"/><resource><Basic><code><text value="x"/></code></Basic></resource>'
        '<request><method value="POST"/><url value="Basic"/></request></entry></Bundle>'
    )
    done = await client.post("", content=body, headers=XML)
    assert done.status_code == 200, done.text
    assert '<status value="201 Created"/>' in done.text
    refused = await client.post("/Patient", content=b"<Patient/>", headers=XML)
    assert refused.status_code == 400
    assert refused.text.startswith(
        '<?xml version="1.0" encoding="UTF-8"?><OperationOutcome xmlns="http://hl7.org/fhir">'
    )
    hostile = (
        "<!DOCTYPE a [" + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10)) + "]><a>&a9;</a>"
    )
    assert (await client.post("/Patient", content=hostile, headers=XML)).status_code == 400
    assert (await client.get("/metadata", headers=XML)).text.startswith("<?xml")
