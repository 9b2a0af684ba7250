"""Operators and functions of FHIRPath N1, in words of our own."""

from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.definitions import Definitions
from fhir_server.fhirpath import ExpressionError, compile_expression
from tests.fhir_server.fhirpath.conftest import Evaluate

D = Decimal
LITERALS = [
    ("'it\\'s \\u0041\\n'", ["it's A\n"]),
    ("true", [True]),
    ("{}", []),
    ("7", [7]),
    ("7.50", [D("7.50")]),
    ("@2014-01", ["2014-01"]),
    ("@2014-01-25T14:30", ["2014-01-25T14:30"]),
    ("@T14:30", ["14:30"]),
    ("4 days", [{"value": 4, "code": "days"}]),
    ("10.1 'mg'", [{"value": D("10.1"), "code": "mg"}]),
    ("1 /* so */ + 2 // and so on", [3]),
    ("%ucum", ["http://unitsofmeasure.org"]),
    ("%`vs-administrative-gender`", ["http://hl7.org/fhir/ValueSet/administrative-gender"]),
    ('%"ext-patient-birthTime"', ["http://hl7.org/fhir/StructureDefinition/patient-birthTime"]),
]
LOGIC = [
    ("true and {}", []),
    ("false and {}", [False]),
    ("{} and false", [False]),
    ("true or {}", [True]),
    ("false or {}", []),
    ("true xor true", [False]),
    ("true xor {}", []),
    ("false implies {}", [True]),
    ("{} implies true", [True]),
    ("{} implies false", []),
    ("true implies false", [False]),
    ("true implies {}", []),
    ("(true and false) or true", [True]),
    ("true or true and false", [True]),
    ("true.not()", [False]),
    ("{}.not()", []),
    ("5.not()", [False]),
]
EQUALITY = [
    ("1 = 1.0", [True]),
    ("'a' = 'A'", [False]),
    ("'a  B' ~ 'A b'", [True]),
    ("{} = 1", []),
    ("{} ~ {}", [True]),
    ("(1 | 2) = (1 | 2)", [True]),
    ("(1 | 2) = (2 | 1)", [False]),
    ("(1 | 2) ~ (2 | 1)", [True]),
    ("1 != 2", [True]),
    ("0.67 ~ 0.671", [True]),
    ("0.67 ~ 0.68", [False]),
    ("'a' !~ 'b'", [True]),
    ("true = 1", [False]),
    ("@2012 = @2012-01", []),
    ("@2012 = @2013-01", [False]),
    ("@2012-04-15T15:00:00Z = @2012-04-15T10:00:00-05:00", [True]),
    ("@2012-01 ~ @2012", [False]),
    ("@T10:30 = @T10:30:00", []),
    ("4 'mg' = 4.0 'mg'", [True]),
    ("1 hour = 60 minutes", [True]),
    ("4 'mg' = 4 'kg'", []),
]
ORDER = [
    ("1 < 2.5", [True]),
    ("'abc' >= 'abb'", [True]),
    ("{} < 1", []),
    ("@2018-03 < @2018-04-01", [True]),
    ("@2018-03 < @2018-03-01", []),
    ("@T10 <= @T11:00", [True]),
    ("3 'mg' > 2 'mg'", [True]),
    ("1 day > 5 hours", [True]),
]
ARITHMETIC = [
    ("1 + 2 * 3", [7]),
    ("-(2) + 1", [-1]),
    ("7 / 2", [D("3.5")]),
    ("7 div 2", [3]),
    ("-7 div 2", [-3]),
    ("7 mod 3", [1]),
    ("1 / 0", []),
    ("1 mod 0", []),
    ("'a' + 'b'", ["ab"]),
    ("'a' & {}", ["a"]),
    ("'a' + {}", []),
    ("@2014-01-31 + 1 month", ["2014-02-28"]),
    ("@2016-02-29 - 1 year", ["2015-02-28"]),
    ("@2014-12-31T23:30:00+01:00 + 1 hour", ["2015-01-01T00:30:00+01:00"]),
    ("@2014-01-01 + 25 hours", ["2014-01-02"]),
    ("@2014 + 24 months", ["2016"]),
    ("@T23:30 + 45 minutes", ["00:15"]),
    ("3 'mg' + 2 'mg'", [{"value": 5, "code": "mg"}]),
    ("3 'mg' * 2", [{"value": 6, "code": "mg"}]),
    ("(-5).abs()", [5]),
    ("1.1.ceiling()", [2]),
    ("(-1.1).floor()", [-2]),
    ("1.9.truncate()", [1]),
    ("2.power(10)", [1024]),
    ("2.power(0.5).round(3)", [D("1.414")]),
    ("(-1).sqrt()", []),
    ("16.log(2).round(0)", [4]),
    ("3.14159.round(2)", [D("3.14")]),
    ("(1 | 2 | 3).sum()", [6]),
    ("(1 | 2 | 3).aggregate($this + $total, 0)", [6]),
    ("(1 | 5 | 3).max()", [5]),
    ("(4 | 2).avg()", [3]),
]
STRINGS = [
    ("'abcdef'.indexOf('cd')", [2]),
    ("'abc'.indexOf('x')", [-1]),
    ("'abc'.substring(1)", ["bc"]),
    ("'abc'.substring(1, 1)", ["b"]),
    ("'abc'.substring(3)", []),
    ("'abc'.startsWith('ab')", [True]),
    ("'abc'.endsWith('')", [True]),
    ("'abc'.contains('b')", [True]),
    ("'aBc'.upper()", ["ABC"]),
    ("'aBc'.lower()", ["abc"]),
    ("'abcabc'.replace('b', 'x')", ["axcaxc"]),
    ("'abc'.replace('', 'x')", ["xaxbxcx"]),
    ("'abc'.matches('^[a-c]+$')", [True]),
    ("'11/30/1972'.replaceMatches('(\\\\d+)/(\\\\d+)/(\\\\d+)', '$2-$1-$3')", ["30-11-1972"]),
    ("'abc'.length()", [3]),
    ("'ab'.toChars()", ["a", "b"]),
    ("' a '.trim()", ["a"]),
    ("'a,b'.split(',')", ["a", "b"]),
    ("('a' | 'b').join('-')", ["a-b"]),
    ("{}.startsWith('a')", []),
]
COLLECTIONS = [
    ("(1 | 1 | 2).count()", [2]),
    ("(1 | 2).combine(2).count()", [3]),
    ("(1 | 2 | 3).where($this > 1)", [2, 3]),
    ("(1 | 2 | 3).where($index = 1)", [2]),
    ("(1 | 2).select($this * 10)", [10, 20]),
    ("(1 | 2 | 3).first()", [1]),
    ("(1 | 2 | 3).last()", [3]),
    ("(1 | 2 | 3).tail()", [2, 3]),
    ("(1 | 2 | 3).skip(1).take(1)", [2]),
    ("(1 | 2 | 3)[1]", [2]),
    ("(1 | 2)[0 + 1]", [2]),
    ("(1 | 2).intersect(2 | 3)", [2]),
    ("(1 | 2).exclude(2)", [1]),
    ("(1 | 2).subsetOf(1 | 2 | 3)", [True]),
    ("(1 | 2).supersetOf(3)", [False]),
    ("2 in (1 | 2)", [True]),
    ("(1 | 2) contains 3", [False]),
    ("{} in (1 | 2)", []),
    ("(1 | 2).exists($this = 2)", [True]),
    ("(1 | 2).all($this > 0)", [True]),
    ("{}.all($this > 0)", [True]),
    ("(true | false).allTrue()", [False]),
    ("(true | false).anyTrue()", [True]),
    ("(true | false).anyFalse()", [True]),
    ("{}.empty()", [True]),
    ("(1).combine(1).isDistinct()", [False]),
    ("(1).combine(1).distinct()", [1]),
    ("iif(1 = 1, 'yes', 'no')", ["yes"]),
    ("iif({}, 'yes')", []),
    ("1.is(Integer)", [True]),
    ("'a' is System.String", [True]),
    ("('a' | 1).ofType(System.String)", ["a"]),
    ("1.trace('here') + 1", [2]),
]
CONVERSION = [
    ("'17'.toInteger()", [17]),
    ("'x'.toInteger()", []),
    ("'1.50'.toDecimal()", [D("1.50")]),
    ("1.50.toString()", ["1.50"]),
    ("true.toString()", ["true"]),
    ("'yes'.toBoolean()", [True]),
    ("'no'.convertsToBoolean()", [True]),
    ("'2014-02-30'.toDate()", []),
    ("'2014-02-28T10'.toDate()", ["2014-02-28"]),
    ("'2014'.convertsToDateTime()", [True]),
    ("'10:30'.toTime()", ["10:30"]),
    ("'4 days'.toQuantity()", [{"value": 4, "code": "days"}]),
    ("'5 \\'mg\\''.toQuantity() = 5 'mg'", [True]),
    ("now() > @2020-01-01T00:00:00Z", [True]),
    ("today() >= @2020", [True]),
]
ALL = [*LITERALS, *LOGIC, *EQUALITY, *ORDER, *ARITHMETIC, *STRINGS, *COLLECTIONS, *CONVERSION]


@pytest.mark.spec("FHIRPath N1")
@pytest.mark.parametrize(("expression", "expected"), ALL, ids=[case[0] for case in ALL])
def test_expression(values: Evaluate, expression: str, expected: list[Any]) -> None:
    found = values(expression)
    assert found == expected
    assert [type(value) is bool for value in found] == [type(value) is bool for value in expected]


@pytest.mark.spec("FHIRPath N1 #grammar")
@pytest.mark.parametrize(
    "expression",
    ["1 +", "a.b(", "a..b", "", "'open", "1 2", "a.unheardOf()", "x[", "(1", "#", "a is", "where()", "%", "@20", "}"],
)
def test_no_fhirpath(definitions: Definitions, expression: str) -> None:
    with pytest.raises(ExpressionError):
        compile_expression(expression, definitions)


@pytest.mark.parametrize(
    "expression", ["(1 | 2) + 1", "'a' < 1", "(1 | 2).single()", "'a' * 2", "%unheardOf", "1.upper()"]
)
def test_what_makes_no_sense_is_an_error(values: Evaluate, expression: str) -> None:
    with pytest.raises(ExpressionError):
        values(expression)


@pytest.mark.parametrize("expression", ["(" * 500 + "1" + ")" * 500, "a" + ".b" * 60_000, "-" * 50_000 + "1"])
def test_absurd_depth_is_refused_and_nothing_breaks(definitions: Definitions, expression: str) -> None:
    with pytest.raises(ExpressionError):
        compile_expression(expression, definitions)


@given(st.text(alphabet="ab1.'()[]|&=<>-+*/%$@{} ,T:\\`\"#andorisx", max_size=40))
def test_any_text_compiles_or_is_refused(definitions: Definitions, text: str) -> None:
    with suppress(ExpressionError):
        compile_expression(text, definitions)(("Patient", {"resourceType": "Patient"}))


@given(st.integers(-1000, 1000), st.integers(-1000, 1000))
def test_arithmetic_is_that_of_numbers(values: Evaluate, a: int, b: int) -> None:
    assert values(f"({a}) + ({b})") == [a + b]
    assert values(f"({a}) - ({b})") == [a - b]
    assert values(f"({a}) * ({b})") == [a * b]
    assert values(f"({a}) < ({b})") == [a < b]


@given(st.text(max_size=30))
def test_a_string_comes_out_as_it_went_in(values: Evaluate, text: str) -> None:
    written = text.replace("\\", "\\\\").replace("'", "\\'")
    assert values(f"'{written}'") == [text]


@given(st.datetimes(), st.integers(-5000, 5000))
def test_adding_and_taking_away_days(values: Evaluate, moment: Any, days: int) -> None:
    date = moment.date().isoformat()
    there = values(f"@{date} + {days} days" if days >= 0 else f"@{date} - {-days} days")
    if there:
        assert values(f"@{there[0]} - {days} days" if days >= 0 else f"@{there[0]} + {-days} days") == [date]
