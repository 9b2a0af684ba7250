"""JSON in and out: https://hl7.org/fhir/R4/json.html"""

import copy
import pickle
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server import wire
from fhir_server.errors import Invalid

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=20,
)


@given(JSON)
def test_what_is_written_is_read_again(value: Any) -> None:
    assert wire.loads(wire.dumps(value)) == value
    assert wire.loads(wire.dumps_pretty(value)) == value


@given(st.decimals(allow_nan=False, allow_infinity=False).map(str))
def test_numbers_keep_their_text(text: str) -> None:
    assert wire.dumps(wire.loads(text)) == text.encode()
    assert Decimal(str(wire.loads(text))) == Decimal(text)


@pytest.mark.parametrize("text", ["1.50", "-0.0", "1e3", "1E-2", "12345678901234567890123", "100", "0"])
def test_how_numbers_are_written_matters(text: str) -> None:
    value = wire.loads(f'{{"value":{text}}}')
    assert wire.dumps(value) == f'{{"value":{text}}}'.encode()
    assert wire.dumps(copy.deepcopy(value)) == wire.dumps(value) == wire.dumps(pickle.loads(pickle.dumps(value)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"a":1,"a":2}',
        "[NaN]",
        "[Infinity]",
        '["\\ud800"]',
        '["\\u0000"]',
        '{"\\ud800":1}',
        "[01]",
        "[1.]",
        "'a'",
    ],
)
def test_what_others_could_not_read_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        wire.loads(text)


def test_escapes_that_only_look_dangerous_pass() -> None:
    assert wire.loads(r'["\\u0000", "\ud83d\ude00", "\\ud800"]') == [r"\u0000", "😀", r"\ud800"]


def test_depth_counts_objects_and_arrays() -> None:
    assert wire.loads('[{"a":[1]}]', max_depth=3)
    with pytest.raises(Invalid):
        wire.loads('[{"a":[[1]]}]', max_depth=3)


def test_the_canonical_form_has_sorted_keys_and_no_meta() -> None:
    resource = wire.loads('{"resourceType":"Basic","meta":{"versionId":"1"},"b":{"d":1.10,"c":"ü"},"a":[2,1]}')
    assert wire.canonical(resource) == '{"a":[2,1],"b":{"c":"ü","d":1.10},"resourceType":"Basic"}'.encode()
