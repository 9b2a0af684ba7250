"""Paths, types and FHIR's own functions on resources."""

import json
import tarfile
from typing import Any

import pytest

from fhir_server.definitions import Definitions
from fhir_server.fhirpath import ExpressionError, Placed, Services, Surroundings, compile_expression
from fhir_server.settings import default_definitions
from tests.fhir_server.fhirpath.conftest import Evaluate

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "1",
    "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml"><p>Anna&nbsp;B</p></div>'},
    "contained": [{"resourceType": "Practitioner", "id": "p", "gender": "male"}],
    "extension": [{"url": "urn:e", "valueString": "x"}],
    "name": [{"family": "A", "given": ["b", "c"], "use": "official"}, {"text": "d"}],
    "_birthDate": {"extension": [{"url": "urn:time", "valueDateTime": "1970-01-01T10:00:00Z"}]},
    "birthDate": "1970-01-01",
    "_gender": {"extension": [{"url": "urn:why", "valueCode": "unknown"}]},
    "deceasedBoolean": False,
    "generalPractitioner": [{"reference": "#p"}, {"reference": "Practitioner/2"}],
    "managingOrganization": {"reference": "http://other/Organization/3/_history/4"},
}
CASES = [
    ("Patient.name.given", ["b", "c"]),
    ("name.given", ["b", "c"]),
    ("Practitioner.name", []),
    ("Resource.id", ["1"]),
    ("name.where(use = 'official').given.first()", ["b"]),
    ("name.family | name.text", ["A", "d"]),
    ("name.exists(family = 'A' and given.count() = 2)", [True]),
    ("name.all(given.exists() or text.exists())", [True]),
    ("name.given.where($this != %resource.id)", ["b", "c"]),
    ("deceased is boolean", [True]),
    ("deceased.ofType(boolean)", [False]),
    ("deceased as dateTime", []),
    ("deceased.as(FHIR.boolean)", [False]),
    ("Patient is DomainResource", [True]),
    ("name.first() is Element", [True]),
    ("birthDate is System.Date", [True]),
    ("birthDate < today()", [True]),
    ("birthDate + 18 years", ["1988-01-01"]),
    ("birthDate.extension('urn:time').value", ["1970-01-01T10:00:00Z"]),
    ("birthDate.hasValue()", [True]),
    ("gender.exists()", [True]),
    ("gender.hasValue()", [False]),
    ("gender.extension.value", ["unknown"]),
    ("extension('urn:e').value", ["x"]),
    ("hasExtension('urn:none')", [False]),
    ("text.div.htmlChecks()", [True]),
    ("generalPractitioner.resolve().gender", ["male"]),
    ("generalPractitioner.where(resolve() is Practitioner).count()", [2]),
    ("managingOrganization.resolve() is Organization", [True]),
    ("contained.gender", ["male"]),
    ("contained.select(%resource.id)", ["1"]),
    ("descendants().where($this is Extension).url", ["urn:e", "urn:time", "urn:why"]),
    ("children().count() > 8", [True]),
    ("type().name", ["Patient"]),
    ("'x'.memberOf('http://unknown')", []),
    ("`name`.text", ["d"]),
]


@pytest.mark.spec("R4 fhirpath.html")
@pytest.mark.parametrize(("expression", "expected"), CASES, ids=[case[0] for case in CASES])
def test_on_a_patient(definitions: Definitions, expression: str, expected: list[Any]) -> None:
    found = compile_expression(expression, definitions)(("Patient", PATIENT))
    values = [value for _, value in found]
    assert (sorted(values) if "descendants" in expression else values) == expected


def test_repeat_goes_down_the_tree(values: Evaluate) -> None:
    items = [{"linkId": "1", "item": [{"linkId": "1.1", "item": [{"linkId": "1.1.1"}]}]}, {"linkId": "2"}]
    questionnaire = {"resourceType": "Questionnaire", "item": items}
    assert sorted(values("repeat(item).linkId", questionnaire)) == ["1", "1.1", "1.1.1", "2"]


def test_a_bundle_resolves_its_own_entries(values: Evaluate) -> None:
    bundle = {
        "resourceType": "Bundle",
        "entry": [
            {"fullUrl": "urn:uuid:1", "resource": {"resourceType": "Patient", "id": "1", "gender": "male"}},
            {"resource": {"resourceType": "Observation", "subject": {"reference": "urn:uuid:1"}}},
        ],
    }
    assert values("entry.resource.ofType(Observation).subject.resolve().gender", bundle) == ["male"]


def test_services_answer_what_is_outside(definitions: Definitions) -> None:
    services = Services(
        resolve=lambda address: {"resourceType": "Practitioner", "active": address == "Practitioner/2"},
        member_of=lambda valueset, node: None if valueset == "urn:x" else node[1] == "official",
        conforms_to=lambda profile, node: profile == "urn:p",
        subsumes=lambda first, second: first == second,
    )
    around = Surroundings(services=services, variables={"two": [("System.Integer", 2)]})

    def test(expression: str) -> bool | None:
        return compile_expression(expression, definitions).test(("Patient", PATIENT), around)

    assert test("generalPractitioner[1].resolve().active") is True
    assert test("name.use.memberOf('urn:y')") is True
    assert test("name.use.memberOf('urn:x')") is None
    assert test("conformsTo('urn:p')") is True
    assert test("conformsTo('urn:q')") is False
    assert test("name[0].subsumes(%context.name[0])") is True
    assert test("%two = 2") is True


def test_places_are_known_when_asked_for(definitions: Definitions) -> None:
    def places(expression: str) -> list[tuple[str, int | None]]:
        nodes = compile_expression(expression, definitions, "Patient", placed=True)(("Patient", PATIENT))
        return [(node.key, node.position) for node in nodes if isinstance(node, Placed)]

    assert places("Patient.name[0].given[1]") == [("given", 1)]
    assert places("Patient.name.where(use = 'official')") == [("name", 0)]
    assert places("Patient.deceased") == [("deceasedBoolean", None)]
    assert places("Patient.extension('urn:e').value") == [("valueString", None)]
    with pytest.raises(ExpressionError):
        places("Patient.where(name.text.matches('(a+)+$'))")


@pytest.mark.parametrize(
    ("div", "good"),
    [
        ('<div xmlns="http://www.w3.org/1999/xhtml"><b>x</b></div>', True),
        ('<div xmlns="http://www.w3.org/1999/xhtml"><img src="#1" alt=""/></div>', True),
        ('<div xmlns="http://www.w3.org/1999/xhtml"><script>x</script></div>', False),
        ('<div xmlns="http://www.w3.org/1999/xhtml"><a onclick="x()">x</a></div>', False),
        ('<div xmlns="http://www.w3.org/1999/xhtml"><a href="JavaScript:x()">x</a></div>', False),
        ("<div>x</div>", False),
        ('<p xmlns="http://www.w3.org/1999/xhtml">x</p>', False),
        ('<!DOCTYPE d [<!ENTITY a "b">]><div xmlns="http://www.w3.org/1999/xhtml">&a;</div>', False),
        ("x < y", False),
    ],
)
@pytest.mark.spec("R4 narrative.html#xhtml")
def test_what_a_narrative_may_hold(values: Evaluate, div: str, good: bool) -> None:
    assert values("text.div.htmlChecks()", {"resourceType": "Patient", "text": {"div": div}}) == [good]


def test_a_narrative_says_something(values: Evaluate) -> None:
    for content, says in (("x", True), (" ", False), ('<img src="#1" alt=""/>', True)):
        div = f'<div xmlns="http://www.w3.org/1999/xhtml">{content}</div>'
        assert values("text.div.htmlChecks2()", {"resourceType": "Patient", "text": {"div": div}}) == [says]


@pytest.mark.spec("R4 conformance-rules.html")
def test_every_invariant_and_search_expression_of_r4_compiles(definitions: Definitions) -> None:
    expressions = {parameter.expression for parameter in definitions.parameters if parameter.expression}
    with tarfile.open(default_definitions()) as archive:
        for member in archive:
            stream = archive.extractfile(member) if "/StructureDefinition-" in member.name else None
            if stream is not None:
                elements = json.load(stream).get("snapshot", {}).get("element", ())
                expressions |= {one["expression"] for element in elements for one in element.get("constraint", ())}
    assert len(expressions) > 1000
    for expression in expressions:
        compile_expression(expression, definitions)
