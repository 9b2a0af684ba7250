"""Invariants that ask for presence alone hold of the same objects as by the FHIRPath engine."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.definitions import load
from fhir_server.fhirpath import compile_expression
from fhir_server.fhirpath.syntax import parse
from fhir_server.settings import default_definitions
from fhir_server.validation.presence import presence_test

DEFINITIONS = load(default_definitions())
ASKED = (
    "value.exists()",
    "code.empty() or system.exists()",
    "(code.empty() and system.empty()) implies (value.exists() or unit.exists())",
    "unit.exists().not() xor comparator.empty()",
)
PARTS = st.fixed_dictionaries(
    {},
    optional={
        "value": st.just(1),
        "code": st.just("mg"),
        "_code": st.just({"extension": [{"url": "urn:x", "valueCode": "unknown"}]}),
        "system": st.just("http://unitsofmeasure.org"),
        "unit": st.just("mg"),
        "comparator": st.just("<"),
    },
)


@pytest.mark.spec("R4 conformance-rules.html#constraints")
@given(PARTS, st.sampled_from(ASKED))
def test_keys_alone_say_the_same(quantity: dict[str, Any], text: str) -> None:
    held = presence_test(parse(text), "Quantity", DEFINITIONS)
    assert held is not None
    assert held(quantity) is compile_expression(text, DEFINITIONS).test(("Quantity", quantity))


def test_a_choice_is_there_in_any_type() -> None:
    held = presence_test(parse("value.exists()"), "Observation", DEFINITIONS)
    assert held is not None
    assert held({"valueString": "x"})
    assert held({"_valueString": {"id": "a"}})
    assert not held({"values": 1})


@pytest.mark.parametrize("text", ["value > 1", "code.coding.exists()", "value.where(true).exists()", "$this.exists()"])
def test_what_asks_for_more_is_left_to_the_engine(text: str) -> None:
    assert presence_test(parse(text), "Observation", DEFINITIONS) is None
