"""Quantities in base units are exact: the same amount is the same number, whatever its unit."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.definitions import load
from fhir_server.search.query import QuantityValue
from fhir_server.search.readers import ROW_COLUMNS, reader
from fhir_server.search.registry import Registry
from fhir_server.search.ucum import SYSTEM, load_units
from fhir_server.search.values import parse_value
from fhir_server.settings import default_definitions, default_units

UNITS = load_units(default_units())
VALUE = Registry(load(default_definitions()), UNITS).of("Observation")["value-quantity"]
POWERS = {"kg": 3, "g": 0, "mg": -3, "ug": -6, "ng": -9}
DECIMALS = st.decimals(min_value=0, max_value=10**9, places=3, allow_nan=False)


@pytest.mark.parametrize(
    ("code", "base", "factor"),
    [
        ("mg/dL", "g.m-3", "10"),
        ("10*9/L", "m-3", "1e12"),
        ("mm[Hg]", "g.m-1.s-2", "133322"),
        ("%", "1", "0.01"),
        ("m[IU]/mL", "[iU].m-3", "1000"),
        ("mL/min/{1.73_m2}", "m3.s-1", "1/60000000"),
        ("U/(10.g){feces}", "g-1.s-1", "1003690126666666.6"),
        ("{score}", "1", "1"),
    ],
)
def test_units_in_base_units(code: str, base: str, factor: str) -> None:
    measure = UNITS.canonical(code)
    assert measure is not None
    assert measure.code == base
    assert float(measure.factor) == pytest.approx(float(Fraction(factor)))


NO_UNITS = ["", "pounds", "mg/", "(mg", "mg)", "[pH]", "B[V]", "Cel/m", "m" * 65, "((((", "{", "1/0", "mg//L"]


@pytest.mark.parametrize("code", NO_UNITS)
def test_what_is_no_unit_stands_for_itself(code: str) -> None:
    assert UNITS.canonical(code) is None


def test_temperatures_are_moved_to_kelvin() -> None:
    celsius, fahrenheit = UNITS.canonical("Cel"), UNITS.canonical("[degF]")
    assert celsius is not None
    assert fahrenheit is not None
    assert celsius.of("37") == fahrenheit.of("98.6") == 310.15


@given(st.text(max_size=30) | st.text(alphabet="mgL/.(){}[]1*^-+ U", max_size=30))
def test_any_text_is_a_unit_or_none(code: str) -> None:
    UNITS.canonical(code)


@given(DECIMALS, st.sampled_from(sorted(POWERS)), st.sampled_from(sorted(POWERS)))
def test_a_quantity_is_found_in_every_unit(value: Decimal, stored: str, asked: str) -> None:
    quantity = {"value": value, "system": SYSTEM, "code": stored}
    (read,) = reader(VALUE, "Quantity")(quantity)
    row = dict(zip(ROW_COLUMNS["quantity"], read, strict=True))
    same = value.scaleb(POWERS[stored] - POWERS[asked])
    query = parse_value(VALUE, None, f"{same:f}|{SYSTEM}|{asked}", "http://x.test")
    assert isinstance(query, QuantityValue)
    assert query.canonical is not None
    assert row["code_hash"] in query.keys
    assert query.canonical.exact == row["canonical_low"] == row["canonical_high"]
    assert query.canonical.low <= row["canonical_low"] < query.canonical.high
