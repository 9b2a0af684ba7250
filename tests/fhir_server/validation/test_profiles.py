"""Profiles: cardinality, fixed values and patterns, bindings, slices by every kind of discriminator, extensions."""

from typing import Any

import pytest

from fhir_server import wire
from fhir_server.validation.validator import Validator
from tests.fhir_server.validation.conftest import a_validator

BASE = "http://hl7.org/fhir/StructureDefinition/"
OWN = "urn:test:"
VITALS = f"{BASE}vitalsigns"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"


def profile(name: str, type_: str, elements: list[dict[str, Any]], base: str | None = None) -> dict[str, Any]:
    for element in elements:
        element.setdefault("path", ".".join(part.partition(":")[0] for part in element["id"].split(".")))
    return {
        "resourceType": "StructureDefinition",
        "url": f"{OWN}{name}",
        "type": type_,
        "kind": "complex-type" if type_ == "Extension" else "resource",
        "derivation": "constraint",
        "status": "active",
        "baseDefinition": base or f"{BASE}{type_}",
        "differential": {"element": elements},
    }


def slicing(kind: str, path: str, rules: str = "open", **more: Any) -> dict[str, Any]:
    return {"discriminator": [{"type": kind, "path": path}], "rules": rules, **more}


PROFILES = [
    profile(
        "patient",
        "Patient",
        [
            {"id": "Patient", "constraint": [{"key": "own-1", "severity": "error", "human": "A name or a number.",
                                              "expression": "name.exists() or identifier.exists()"}]},
            {"id": "Patient.identifier", "slicing": slicing("value", "system", "closed"), "min": 1},
            {"id": "Patient.identifier:mrn", "sliceName": "mrn", "min": 1, "max": "1"},
            {"id": "Patient.identifier:mrn.system", "min": 1, "fixedUri": "urn:mrn"},
            {"id": "Patient.identifier:mrn.value", "min": 1},
            {"id": "Patient.identifier:ssn", "sliceName": "ssn", "max": "1"},
            {"id": "Patient.identifier:ssn.system", "fixedUri": "urn:ssn"},
            {"id": "Patient.gender", "min": 1},
            {"id": "Patient.deceased[x]", "type": [{"code": "boolean"}]},
            {"id": "Patient.extension:shoe", "sliceName": "shoe", "min": 1,
             "type": [{"code": "Extension", "profile": [f"{OWN}shoe"]}]},
        ],
    ),
    profile("patient-child", "Patient", [{"id": "Patient.identifier:mrn.value", "max": "0"}], f"{OWN}patient"),
    profile(
        "shoe",
        "Extension",
        [
            {"id": "Extension", "max": "1"},
            {"id": "Extension.extension", "max": "0"},
            {"id": "Extension.url", "fixedUri": f"{OWN}shoe"},
            {"id": "Extension.value[x]", "min": 1, "type": [{"code": "integer"}]},
        ],
    ),
    profile(
        "observation",
        "Observation",
        [
            {"id": "Observation.code", "patternCodeableConcept": {"coding": [{"system": "urn:c", "code": "a"}]}},
            {"id": "Observation.category", "slicing": slicing("pattern", "$this", ordered=True)},
            {"id": "Observation.category:lab", "sliceName": "lab", "min": 1,
             "patternCodeableConcept": {"coding": [{"code": "lab"}]}},
            {"id": "Observation.value[x]", "slicing": slicing("type", "$this", "closed")},
            {"id": "Observation.value[x]:valueQuantity", "sliceName": "valueQuantity", "type": [{"code": "Quantity"}]},
            {"id": "Observation.value[x]:valueQuantity.unit", "min": 1},
            {"id": "Observation.component", "slicing": slicing("exists", "dataAbsentReason")},
            {"id": "Observation.component:absent", "sliceName": "absent", "max": "1"},
            {"id": "Observation.component:absent.dataAbsentReason", "min": 1},
            {"id": "Observation.performer", "slicing": slicing("type", "resolve()")},
            {"id": "Observation.performer:who", "sliceName": "who", "min": 1, "max": "1",
             "type": [{"code": "Reference", "targetProfile": [f"{BASE}Practitioner"]}]},
            {"id": "Observation.hasMember", "slicing": slicing("profile", "resolve()")},
            {"id": "Observation.hasMember:part", "sliceName": "part", "max": "1",
             "type": [{"code": "Reference", "targetProfile": [f"{OWN}part"]}]},
            {"id": "Observation.method", "binding": {"strength": "required",
                                                     "valueSet": "http://hl7.org/fhir/ValueSet/administrative-gender"}},
        ],
    ),
    profile(
        "coverage",
        "Patient",
        [
            {"id": "Patient.identifier", "slicing": slicing("value", "system")},
            {"id": "Patient.identifier:payer", "sliceName": "payer", "max": "2"},
            {"id": "Patient.identifier:payer.system", "fixedUri": "urn:payer"},
            {"id": "Patient.maritalStatus", "binding": {
                "strength": "preferred", "valueSet": "http://hl7.org/fhir/ValueSet/marital-status",
                "extension": [{"url": f"{BASE}elementdefinition-maxValueSet",
                               "valueCanonical": "http://hl7.org/fhir/ValueSet/administrative-gender"}]}},
        ],
    ),
    profile(
        "coverage-child",
        "Patient",
        [
            {"id": "Patient.identifier:payer", "slicing": slicing("value", "use", "closed")},
            {"id": "Patient.identifier:payer/old", "sliceName": "payer/old", "max": "1"},
            {"id": "Patient.identifier:payer/old.use", "fixedCode": "old"},
            {"id": "Patient.identifier:payer/now", "sliceName": "payer/now", "min": 1},
            {"id": "Patient.identifier:payer/now.use", "fixedCode": "official"},
            {"id": "Patient.identifier:payer/now.value", "min": 1},
        ],
        f"{OWN}coverage",
    ),
    profile("part", "Observation", [{"id": "Observation.status", "fixedCode": "final"}]),
]  # fmt: skip
SHOE = {"url": f"{OWN}shoe", "valueInteger": 38}
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "extension": [SHOE],
    "identifier": [{"system": "urn:mrn", "value": "1"}, {"system": "urn:ssn", "value": "2"}],
    "gender": "female",
}
OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "status": "final",
    "category": [{"coding": [{"code": "lab"}]}],
    "code": {"coding": [{"system": "urn:c", "code": "a"}]},
    "performer": [{"reference": "Practitioner/1"}, {"reference": "Organization/1"}],
    "valueQuantity": {"value": 1, "unit": "mg"},
}
PART = {"resourceType": "Observation", "id": "p", "status": "final", "code": {"text": "x"}}


@pytest.fixture(scope="module")
def own() -> Validator:
    return a_validator(PROFILES)


def places(own: Validator, resource: dict[str, Any], name: str) -> set[tuple[str, str | None]]:
    issues = own.validate(resource, [f"{OWN}{name}"])
    assert all(issue.severity == "error" and issue.profile for issue in issues)
    return {(issue.code, issue.expression) for issue in issues}


def test_what_meets_the_profiles(own: Validator) -> None:
    assert places(own, PATIENT, "patient") == set()
    assert places(own, OBSERVATION, "observation") == set()


PATIENTS: list[tuple[str, dict[str, Any], set[tuple[str, str]]]] = [
    ("missing element", {"gender": None}, {("required", "Patient")}),
    ("missing slice", {"identifier": [{"system": "urn:ssn"}]}, {("required", "Patient")}),
    (
        "twice in a slice of one",
        {"identifier": [{"system": "urn:mrn", "value": "1"}] * 2},
        {("business-rule", "Patient")},
    ),
    (
        "closed slicing",
        {"identifier": [{"system": "urn:mrn", "value": "1"}, {"system": "urn:x"}]},
        {("value", "Patient.identifier[1]")},
    ),
    ("child of a slice", {"identifier": [{"system": "urn:mrn"}]}, {("required", "Patient.identifier[0]")}),
    ("type of a choice", {"deceasedDateTime": "2026"}, {("value", "Patient.deceased")}),
    ("missing extension", {"extension": None}, {("required", "Patient")}),
    (
        "value of an extension",
        {"extension": [{"url": f"{OWN}shoe", "valueString": "x"}]},
        {("value", "Patient.extension[0].value")},
    ),
]


@pytest.mark.spec("R4 profiling.html")
@pytest.mark.parametrize(("changes", "expected"), [case[1:] for case in PATIENTS], ids=[case[0] for case in PATIENTS])
def test_a_broken_profile_of_patients(own: Validator, changes: dict[str, Any], expected: set[tuple[str, str]]) -> None:
    patient = {key: value for key, value in (PATIENT | changes).items() if value is not None}
    assert places(own, patient, "patient") == expected


@pytest.mark.spec("R4 profiling.html#slicing")
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"code": {"coding": [{"system": "urn:c", "code": "b"}]}}, {("value", "Observation.code")}),
        ({"category": [{"coding": [{"code": "x"}]}]}, {("required", "Observation")}),
        ({"valueQuantity": {"value": 1}}, {("required", "Observation.value")}),
        ({"valueQuantity": None, "valueString": "x"}, {("value", "Observation.value")}),
        ({"performer": [{"reference": "Organization/1"}]}, {("required", "Observation")}),
        (
            {"component": [{"code": {"text": "x"}, "dataAbsentReason": {"text": "y"}}] * 2},
            {("business-rule", "Observation")},
        ),
        ({"method": {"coding": [{"system": "urn:x", "code": "x"}]}}, {("code-invalid", "Observation.method")}),
        (
            {"contained": [PART, PART | {"id": "q"}], "hasMember": [{"reference": "#p"}, {"reference": "#q"}]},
            {("business-rule", "Observation")},
        ),
        ({"contained": [PART, PART | {"id": "q", "status": "amended"}],
          "hasMember": [{"reference": "#p"}, {"reference": "#q"}]}, set()),
    ],
)  # fmt: skip
def test_discriminators(own: Validator, changes: dict[str, Any], expected: set[tuple[str, str]]) -> None:
    observation = {key: value for key, value in (OBSERVATION | changes).items() if value is not None}
    assert places(own, observation, "observation") == expected


def test_a_profile_adds_to_that_which_it_derives_from(own: Validator) -> None:
    assert places(own, PATIENT, "patient-child") == {("business-rule", "Patient.identifier[0]")}


NOW, OLD = {"system": "urn:payer", "use": "official", "value": "1"}, {"system": "urn:payer", "use": "old"}


@pytest.mark.spec("R4 profiling.html#reslicing")
@pytest.mark.parametrize(
    ("identifiers", "expected"),
    [
        ([NOW, OLD, {"system": "urn:other", "use": "temp"}], set()),
        ([NOW], set()),
        ([OLD], {("required", "Patient")}),
        ([NOW, OLD, OLD], {("business-rule", "Patient")}),
        ([{"system": "urn:payer", "use": "official"}], {("required", "Patient.identifier[0]")}),
        ([NOW, {"system": "urn:payer", "use": "temp"}], {("value", "Patient.identifier[1]")}),
    ],
)
def test_slices_of_slices(own: Validator, identifiers: list[dict[str, str]], expected: set[tuple[str, str]]) -> None:
    patient = {"resourceType": "Patient", "identifier": identifiers}
    assert expected <= places(own, patient, "coverage-child")
    assert bool(expected) == bool(places(own, patient, "coverage-child"))


@pytest.mark.spec("R4 extension-elementdefinition-maxvalueset.html")
def test_a_preferred_binding_ends_at_its_widest_value_set(own: Validator) -> None:
    def wed(code: str) -> dict[str, Any]:
        coding = {"system": "http://hl7.org/fhir/administrative-gender", "code": code}
        return {"resourceType": "Patient", "maritalStatus": {"coding": [coding]}}

    assert places(own, wed("male"), "coverage") == set()
    assert places(own, wed("loud"), "coverage") == {("code-invalid", "Patient.maritalStatus")}


def test_a_profile_for_another_type(own: Validator) -> None:
    assert places(own, OBSERVATION, "patient") == {("value", "Observation")}


def test_an_unknown_profile_is_a_warning(own: Validator) -> None:
    claimed = PATIENT | {"meta": {"profile": ["urn:unknown"]}}
    assert own.validate(claimed) == []
    assert [issue.severity for issue in own.validate(claimed, thorough=True) if issue.code == "not-found"] == [
        "warning"
    ]


def test_a_profile_of_r4_by_its_snapshot(own: Validator) -> None:
    weight = {
        "resourceType": "Observation",
        "meta": {"profile": [VITALS]},
        "status": "final",
        "category": [{"coding": [{"system": CATEGORY, "code": "vital-signs"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
        "subject": {"reference": "Patient/1"},
        "effectiveDateTime": "2026-11-22",
        "valueQuantity": {"value": 70, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"},
    }
    assert own.validate(weight) == []
    del weight["subject"]
    weight["category"] = [{"text": "vital signs"}]
    assert {(issue.code, issue.expression) for issue in own.validate(weight)} == {("required", "Observation")}
    assert len(own.validate(weight)) == 2


def test_a_changed_definition_counts_at_once() -> None:
    validator = a_validator()
    assert not validator.knows(f"{OWN}part")
    validator.canonicals.replace_stored([], {1: wire.dumps(PROFILES[-1])})
    assert validator.knows(f"{OWN}part")
    assert [issue.code for issue in validator.validate(PART | {"status": "amended"}, [f"{OWN}part"])] == ["value"]
