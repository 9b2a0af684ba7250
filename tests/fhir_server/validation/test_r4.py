"""What R4 itself asks of a resource: every rule broken once, told with its place and all at once."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.validation.validator import Validator
from tests.fhir_server.validation.conftest import shared

UCUM = "http://unitsofmeasure.org"
OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "o",
    "status": "final",
    "category": [
        {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}
    ],
    "code": {"coding": [{"system": "http://loinc.org", "code": "2160-0"}], "text": "Creatinine"},
    "subject": {"reference": "Patient/1"},
    "effectiveDateTime": "2026-11-22T08:00:00+01:00",
    "valueQuantity": {"value": 1, "unit": "mg/dL", "system": UCUM, "code": "mg/dL"},
}
NARRATIVE = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'}


def changed(**changes: Any) -> dict[str, Any]:
    resource = deepcopy(OBSERVATION) | changes
    return {key: value for key, value in resource.items() if value is not None}


BROKEN: list[tuple[str, dict[str, Any], str, str]] = [
    ("unknown element", changed(colour="red"), "structure", "Observation"),
    ("required", changed(status=None), "required", "Observation"),
    ("not an array", changed(category={"text": "x"}), "structure", "Observation.category"),
    ("empty array", changed(note=[]), "structure", "Observation.note"),
    ("array for one", changed(status=["final"]), "structure", "Observation.status"),
    ("text for an object", changed(code="x"), "structure", "Observation.code"),
    ("two of a choice", changed(valueString="x"), "structure", "Observation"),
    ("code outside its value set", changed(status="done"), "code-invalid", "Observation.status"),
    ("no such date", changed(effectiveDateTime="2026-02-30"), "value", "Observation.effective"),
    ("time without zone", changed(effectiveDateTime="2026-02-03T10:00:00"), "value", "Observation.effective"),
    ("no base64", {"resourceType": "Binary", "contentType": "a/b", "data": "ab*="}, "value", "Binary.data"),
    ("not positive", {"resourceType": "Patient", "telecom": [{"rank": 0}]}, "value", "Patient.telecom[0].rank"),
    ("bad id", changed(id="a b"), "value", "Observation.id"),
    ("target type", changed(subject={"reference": "Practitioner/1"}), "value", "Observation.subject"),
    ("invariant of the resource", changed(dataAbsentReason={"text": "x"}), "invariant", "Observation"),
    (
        "invariant of a type",
        {"resourceType": "Patient", "name": [{"period": {"start": "2020", "end": "2019"}}]},
        "invariant",
        "Patient.name[0].period",
    ),
    ("narrative", changed(text=NARRATIVE | {"div": "<div>x</div>"}), "invariant", "Observation.text.div"),
    ("contained without use", changed(contained=[{"resourceType": "Patient", "id": "p"}]), "invariant", "Observation"),
    ("null in an array", {"resourceType": "Patient", "name": [{"given": ["A", None]}]}, "structure",
     "Patient.name[0].given[1]"),
    ("extension without url", changed(extension=[{"valueString": "x"}]), "required", "Observation.extension[0]"),
    ("extension without anything", changed(extension=[{"url": "urn:x"}]), "invariant", "Observation.extension[0]"),
    (
        "extension that R4 does not have",
        changed(extension=[{"url": "http://hl7.org/fhir/StructureDefinition/none", "valueString": "x"}]),
        "extension",
        "Observation.extension[0]",
    ),
    (
        "extension in the wrong place",
        changed(
            extension=[{"url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime", "valueDateTime": "2026"}]
        ),
        "extension",
        "Observation.extension[0]",
    ),
    (
        "type of the extension's value",
        {
            "resourceType": "Patient",
            "birthDate": "1970-01-01",
            "_birthDate": {
                "extension": [
                    {"url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime", "valueString": "noon"}
                ]
            },
        },
        "value",
        "Patient.birthDate.extension[0].value",
    ),
    ("inside a Bundle", {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": changed(status="x")}]},
     "code-invalid", "Bundle.entry[0].resource.status"),
]  # fmt: skip


@pytest.mark.spec("R4 validation.html")
@pytest.mark.parametrize(("resource", "code", "place"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_a_broken_rule_is_told_with_its_place(validator: Validator, resource: Any, code: str, place: str) -> None:
    issues = validator.validate(resource)
    assert [(issue.code, issue.expression) for issue in issues] == [(code, place)], issues
    assert all(issue.diagnostics for issue in issues)


GOOD: list[dict[str, Any]] = [
    OBSERVATION,
    changed(text=NARRATIVE),
    changed(subject={"reference": "#p"}, contained=[{"resourceType": "Patient", "id": "p", "name": [{"family": "A"}]}]),
    changed(subject={"type": "Patient", "identifier": {"value": "1"}}),
    {"resourceType": "Patient", "_gender": {"extension": [{"url": "urn:why", "valueCode": "unknown"}]}},
    {
        "resourceType": "Patient",
        "name": [{"given": [None, "B"], "_given": [{"extension": [{"url": "u", "valueCode": "c"}]}, None]}],
    },
    {"resourceType": "Patient", "extension": [{"url": "https://other.example/any", "valueString": "x"}]},
]


@pytest.mark.parametrize("resource", GOOD)
def test_what_is_right_has_no_problem(validator: Validator, resource: dict[str, Any]) -> None:
    assert validator.validate(resource) == []


def test_problems_come_all_at_once(validator: Validator) -> None:
    resource = changed(status="done", effectiveDateTime="yesterday", subject={"reference": "Group/1"}, issued="2026")
    places = {issue.expression for issue in validator.validate(resource)}
    assert places == {"Observation.status", "Observation.effective", "Observation.issued"}


def test_thorough_adds_what_could_be_better(validator: Validator) -> None:
    assert {issue.severity for issue in validator.validate(OBSERVATION, thorough=True)} == {"warning"}
    assert [issue.diagnostics[:5] for issue in validator.validate(OBSERVATION, thorough=True)] == ["dom-6"]


def test_our_own_profile_is_checked_without_a_snapshot(validator: Validator) -> None:
    url = "https://konsil.example/fhir/StructureDefinition/case-task"
    task = {"resourceType": "Task", "meta": {"profile": [url]}, "status": "requested", "intent": "plan"}
    issues = validator.validate(task)
    assert {issue.profile for issue in issues} == {url}
    assert ("Task.intent", "value") in {(issue.expression, issue.code) for issue in issues}
    assert sum(issue.code == "required" for issue in issues) >= 3


KEYS = [
    "resourceType", "id", "meta", "profile", "extension", "url", "valueString", "contained", "code", "coding", "system",
    "status", "subject", "reference", "_status", "component", "valueQuantity", "value", "text", "div", "entry",
]  # fmt: skip
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["Observation", "Bundle", "Patient"]), st.dictionaries(st.sampled_from(KEYS), json_values))
def test_nothing_that_is_sent_breaks_the_validator(type_: str, body: dict[str, Any]) -> None:
    shared().validate(body | {"resourceType": type_}, thorough=True)
