"""Whatever a client sends as a search is understood or refused: never a failure of the server."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.dialects import sqlite

from fhir_server.definitions import load
from fhir_server.errors import Invalid
from fhir_server.search.parse import QueryParser
from fhir_server.search.registry import Registry
from fhir_server.search.values import split, unescape
from fhir_server.settings import default_definitions
from fhir_server.store.compiler import Compiler
from fhir_server.store.conditions import Conditions
from fhir_server.store.models import resource

REGISTRY = Registry(load(default_definitions()))
PARSER = QueryParser(REGISTRY, "http://x.test/fhir")
NUMBERS = {(type_, code): n for n, (type_, code, _) in enumerate(REGISTRY.codes())}
CONDITIONS = Conditions(REGISTRY, lambda type_, code: NUMBERS[type_, code], lambda _type, table: table.c.row_id > 0)
COMPILER = Compiler(sqlite.dialect(paramstyle="qmark"))
NAMES = sorted(REGISTRY.of("Observation")) + ["_sort", "_count", "_include", "_has:Observation:patient:code", "_total"]
MODIFIERS = [
    "",
    ":exact",
    ":contains",
    ":missing",
    ":not",
    ":identifier",
    ":Patient",
    ":below",
    ":text",
    ":of-type",
    ":in",
    ":nonsense",
    ".name",
    ":x.y",
]
VALUES = st.text(max_size=20) | st.sampled_from(
    [
        "1",
        "a|b",
        "|a",
        "a|",
        "2020",
        "ge2020-01",
        "5.4|http://u|mg",
        "Patient/1",
        "true",
        "Observation:subject",
        "a,b",
        "a$b",
        "718-7$gt5|http://unitsofmeasure.org|mg",
        "urn:x|y|z",
        "\\,",
    ]
)


@settings(max_examples=400)
@given(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(MODIFIERS), VALUES), max_size=4))
@example([("value-quantity", "", "1e400")])
@example([("value-quantity", "", "apNaN")])
@example([("date", "", "9999-12-31T23:59:59.999999Z")])
def test_any_search_compiles_or_is_invalid(parts: list[tuple[str, str, str]]) -> None:
    pairs = [(name + modifier, value) for name, modifier, value in parts]
    try:
        query = PARSER.parse("Observation", pairs, lenient=False)
    except Invalid:
        return
    statement = select(resource.c.row_id).where(*CONDITIONS.of(query, resource))
    assert COMPILER.render(statement)[0]


@given(st.text(alphabet="ab\\,|$"))
def test_splitting_and_unescaping_lose_nothing(text: str) -> None:
    assert ",".join(split(text, ",")) == text
    escaped = text.replace("\\", "\\\\").replace(",", "\\,").replace("|", "\\|").replace("$", "\\$")
    assert split(escaped, ",") == [escaped]
    assert unescape(escaped) == text


def test_too_many_values_are_refused() -> None:
    with pytest.raises(Invalid):
        PARSER.parse("Patient", [("identifier", ",".join("x" * 6000))])
    with pytest.raises(Invalid):
        PARSER.parse("Patient", [("identifier", "\0")])


def test_a_chain_may_not_go_on_for_ever() -> None:
    with pytest.raises(Invalid):
        PARSER.parse("Organization", [("partof." * 17 + "name", "x")])
