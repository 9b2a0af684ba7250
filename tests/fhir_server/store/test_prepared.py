"""A search filled into the statement of its shape asks for the same as one composed for itself."""

import itertools
import re
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy.dialects import postgresql, sqlite

from fhir_server.caller import Caller
from fhir_server.definitions import load
from fhir_server.errors import Forbidden, Invalid
from fhir_server.search.parse import QueryParser
from fhir_server.search.registry import Parameter, Registry
from fhir_server.search.shape import NoShape, Shaped
from fhir_server.search.ucum import load_units
from fhir_server.settings import Settings
from fhir_server.store.compiler import Compiler, Lookup
from fhir_server.store.database import Database
from fhir_server.store.grants import Everything, Grants
from fhir_server.store.prepared import prepared
from fhir_server.store.repository import Repository

CALLERS = {
    "administrator": Caller("a", "t", None, frozenset({"administrator"}), None, ("system/*.cruds",)),
    "requester": Caller("r", "t", "Practitioner/r", frozenset({"requester"}), "Organization/here", ("user/*.cruds",)),
    "consultant": Caller("c", "t", "Practitioner/c", frozenset({"consultant"}), "Organization/x", ("user/*.cruds",)),
}
TYPES = ("Patient", "Observation", "ServiceRequest", "Task", "ImagingStudy", "Encounter", "ValueSet")
VALUES = {
    "token": (("a|b", "C|d e"), ("b", "Zeta"), ("|b", "|x"), ("a|", "urn:q|")),
    "string": (("Anna", "ŁUKASZ"), ("a", "O'Neill")),
    "date": (("2020", "1999-12-31"), ("ge2020-02-03", "ge0001-01-01"), ("lt2020", "lt2021-01-01T10:00:00+02:00")),
    "number": (("5", "-2.50"), ("gt5", "gt1e3"), ("ap5", "ap0.1")),
    "quantity": (
        ("5.4||mg", "7||g"),
        ("5|http://unitsofmeasure.org|mg", "1.0|http://unitsofmeasure.org|kg"),
        ("3", "4"),
    ),
    "reference": (("Patient/1", "Patient/2-b"), ("7", "x"), ("http://a.example/b", "urn:uuid:0")),
    "uri": (("http://a.example", "urn:oid:1.2"),),
}
DIALECTS = (sqlite.dialect(paramstyle="qmark"), postgresql.dialect(paramstyle="numeric_dollar"))
MODIFIERS = {"string": ("exact",), "token": ("not",), "reference": ("Patient", "identifier")}
SPECIAL = (
    ("Observation", (("patient", "{}"), ("code", "x|{}"), ("_sort", "-date"), ("_count", "10")), "1", "2"),
    ("Observation", (("date", "ge{}"), ("date", "lt{}-06-01"), ("category", "{}")), "2020", "1998"),
    ("Observation", (("patient.name", "{}"), ("code", "{}")), "Anna", "Otto"),
    ("Observation", (("subject:Patient.organization.name", "{}"),), "Anna", "Otto"),
    ("Patient", (("_has:Observation:patient:code", "a|{}"), ("name", "{}")), "anna", "otto"),
    ("Observation", (("code-value-quantity", "a|b${}||mg"),), "5", "6.0"),
    ("Observation", (("patient", "{}"), ("value-quantity", "gt5||mg")), "1", "2"),
    ("Encounter", (("date", "ge{}-03"), ("date", "lt{}-05"), ("status", "finished")), "2020", "1998"),
    ("Patient", (("_lastUpdated", "gt{}"), ("_sort", "family,-birthdate")), "2020-01-01", "2024-02-29"),
    ("Observation", (("value-quantity:missing", "true"), ("code", "{}")), "a", "b"),
)
Pair = tuple[str, list[tuple[str, str]], list[tuple[str, str]]]


@pytest.fixture(scope="module")
def registry() -> Registry:
    settings = Settings(database_url="sqlite:///unused")
    return Registry(load(settings.definitions, settings.profiles), load_units(settings.units))


@pytest.fixture
def number(registry: Registry) -> Any:
    numbers: dict[tuple[str, str], int] = {}
    return lambda type_, code: numbers.setdefault((type_, code), len(numbers))


def plain_searches(registry: Registry, types: Sequence[str]) -> Iterator[Pair]:
    for type_ in types:
        for code, parameter in registry.of(type_).items():
            for modifier in ("", *MODIFIERS.get(parameter.type, ())):
                name = f"{code}:{modifier}" if modifier else code
                yield from ((type_, [(name, one)], [(name, other)]) for one, other in _values(parameter, modifier))


def _values(parameter: Parameter, modifier: str) -> tuple[tuple[str, str], ...]:
    return VALUES.get("token" if modifier == "identifier" else parameter.type, ())


def special_searches() -> Iterator[Pair]:
    for type_, pairs, one, other in SPECIAL:
        yield (
            type_,
            [(name, text.format(one)) for name, text in pairs],
            [(name, text.format(other)) for name, text in pairs],
        )


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("who", "types"),
    [
        ("administrator", ("Patient", "ImagingStudy")),
        ("requester", ()),
        ("consultant", ()),
        *(pytest.param(who, TYPES, marks=pytest.mark.full) for who in CALLERS),
    ],
)
def test_what_is_filled_in_is_what_would_be_composed(
    registry: Registry, number: Any, who: str, types: Sequence[str], dialect: Any
) -> None:
    compiler, parser = Compiler(dialect), QueryParser(registry, "http://fhir.test")
    grants = Grants(CALLERS[who], number)
    source = cast(Database, SimpleNamespace(dialect=dialect.name))
    repository = Repository(source, grants, registry, number)
    shared = 0
    for type_, one, other in itertools.chain(plain_searches(registry, types), special_searches()):
        try:
            first, second = parser.parse(type_, one), parser.parse(type_, other)
            grants.restriction("search", type_)
        except (Invalid, Forbidden):  # what cannot be asked is tested elsewhere
            continue
        prepared(grants, number, "page", first, repository.page_of)
        lookup, values = prepared(grants, number, "page", second, repository.page_of)
        if not isinstance(lookup, Lookup):
            continue
        shared += 1
        by_itself = compiler.render(repository.page_of(second))
        assert written_out(*compiler.render(lookup, values)) == written_out(*by_itself), (type_, other)
    assert shared > 20 * len(types) + 5


def written_out(sql: str, values: Sequence[Any]) -> str:
    """The statement with its values in it; brackets and types left out."""
    ordered = iter(values)
    bare = re.sub(r"::[A-Z]+|[()]", "", sql)
    return re.sub(r"[?$](\d+)|\?", lambda found: repr(values[int(found[1]) - 1] if found[1] else next(ordered)), bare)


def test_what_has_several_values_is_composed_for_itself(registry: Registry) -> None:
    parser = QueryParser(registry, "http://fhir.test")
    for type_, name, text in (
        ("Observation", "code", "a,b"),
        ("Patient", "name:contains", "x"),
        ("Provenance", "target", "1"),
    ):
        with pytest.raises(NoShape):
            Shaped(parser.parse(type_, [(name, text)]))


def test_what_the_servers_rules_read_is_bound_to_nobody() -> None:
    own = [Everything(caller, number_of_one).read("Patient") for caller in CALLERS.values()]
    assert len({id(each) for each in own}) == 1
    assert Grants(CALLERS["requester"], number_of_one).read("Patient") is not own[0]


def number_of_one(resource_type: str, code: str) -> int:
    return 1
