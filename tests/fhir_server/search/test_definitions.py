"""R4 as data, and every search parameter compiled."""

import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from fhir_server.definitions import Definitions, load
from fhir_server.fhirpath import ExpressionError, compile_path
from fhir_server.search.extract import Extractor
from fhir_server.search.folding import normalized
from fhir_server.search.registry import Registry
from fhir_server.settings import default_definitions


@pytest.fixture(scope="module")
def definitions() -> Definitions:
    return load(default_definitions())


def test_a_start_reads_the_compiled_cache_quickly(tmp_path: Path) -> None:
    package = Path(shutil.copy(default_definitions(), tmp_path))
    load(package)
    started = time.process_time()
    load(package)
    assert time.process_time() - started < 1


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="KONSIL_FHIR_DEFINITIONS"):
        load(tmp_path / "absent.tgz")


def test_all_types_and_their_elements_are_there(definitions: Definitions) -> None:
    assert len(definitions.resource_types) == 146
    assert definitions.keys("Patient")["deceasedBoolean"].type == "boolean"
    assert definitions.names("Questionnaire.item")["item"][0].type == "Questionnaire.item"
    assert {e.key for e in definitions.names("Observation")["value"]} >= {"valueQuantity", "valueString"}


def test_every_expression_of_r4_and_of_ours_compiles(definitions: Definitions) -> None:
    registry = Registry(definitions)
    count = 0
    for resource_type in definitions.resource_types:
        for parameter in registry.of(resource_type).values():
            parameter.evaluate((resource_type, {"resourceType": resource_type}))
            count += 1
    assert count > 2500
    assert {"task-input", "due"} <= registry.of("Task").keys()


PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "1",
    "active": True,
    "name": [{"family": "A", "given": ["b", "c"]}, {"text": "d"}],
    "telecom": [{"system": "phone", "value": "1"}, {"system": "email", "value": "2"}, {"value": "3"}],
    "deceasedBoolean": False,
    "extension": [{"url": "urn:e", "valueString": "x"}],
    "contained": [{"resourceType": "Practitioner", "id": "p", "gender": "male"}],
    "generalPractitioner": [{"reference": "Practitioner/1"}, {"reference": "#p"}, {"type": "Organization"}],
}


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        ("Patient.name.given", ["b", "c"]),
        ("Patient.name.given | Patient.name.family", ["b", "c", "A"]),
        ("Patient.name[1].text", ["d"]),
        ("Practitioner.name", []),
        ("Patient.telecom.where(system='phone').value", ["1"]),
        ("Patient.deceased.exists() and Patient.deceased != false", [False]),
        ("(Patient.deceased as boolean)", [False]),
        ("Patient.deceased.as(dateTime)", []),
        ("Patient.deceased.ofType(boolean)", [False]),
        ("Patient.extension('urn:e').value", ["x"]),
        ("Patient.where(hasExtension('urn:e')).active", [True]),
        (
            "Patient.generalPractitioner.where(resolve() is Practitioner)",
            [{"reference": "Practitioner/1"}, {"reference": "#p"}],
        ),
        ("Patient.generalPractitioner.where(resolve() is Organization)", [{"type": "Organization"}]),
        ("Patient.contained.gender", ["male"]),
        ("%resource.id", ["1"]),
        ("Resource.id", ["1"]),
    ],
)
def test_fhirpath(definitions: Definitions, expression: str, values: list[Any]) -> None:
    found = compile_path(expression, "Patient", definitions)(("Patient", PATIENT), None)
    assert [value for _, value in found] == values


@pytest.mark.parametrize("expression", ["Patient.name.first(", "Patient.name.unheardOf()", "Patient..name", "1 + ", ""])
def test_what_is_no_fhirpath_is_refused(definitions: Definitions, expression: str) -> None:
    with pytest.raises(ExpressionError):
        compile_path(expression, "Patient", definitions)


def test_malformed_values_give_no_rows(definitions: Definitions) -> None:
    extractor = Extractor(Registry(definitions), "http://x.test/fhir")
    resource = {
        "resourceType": "Observation",
        "id": "1",
        "effectiveDateTime": "yesterday",
        "subject": {"reference": "#contained"},
        "code": {"coding": [{}]},
    }
    extracted = extractor.extract(resource)
    assert extracted.rows == {}
    assert extracted.patient is None


@pytest.mark.parametrize(
    ("text", "plain"),
    [("  Éric   ØST ", "eric ost"), ("Straße", "strasse"), ("ﬁne", "fine"), ("हिन्दी", "हिन्दी"), ("Å", "a")],
)
def test_strings_are_compared_without_case_and_accents(text: str, plain: str) -> None:
    assert normalized(text) == plain
