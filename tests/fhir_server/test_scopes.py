import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.scopes import INTERACTIONS, Scope, grant, intersect, parse, parse_all, split

LEVELS = st.sampled_from(["patient", "user", "system"])
LETTERS = st.sets(st.sampled_from(INTERACTIONS), min_size=1).map(lambda s: "".join(x for x in INTERACTIONS if x in s))
TYPES = st.sampled_from(["*", "Patient", "Observation", "Task"])
QUERIES = st.lists(st.tuples(st.sampled_from(["category", "code"]), st.text("ab|&=%/ +é", max_size=5)), max_size=2)
SCOPES = st.builds(Scope, LEVELS, TYPES, LETTERS, QUERIES.map(tuple))


@pytest.mark.spec("SMART scopes-and-launch-context.html#scopes-for-requesting-fhir-resources")
@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("patient/*.rs", Scope("patient", "*", "rs")),
        ("user/Observation.cruds", Scope("user", "Observation", "cruds")),
        ("system/Task.u", Scope("system", "Task", "u")),
        ("patient/Patient.read", Scope("patient", "Patient", "rs")),
        ("user/*.write", Scope("user", "*", "cud")),
        ("user/*.*", Scope("user", "*", "cruds")),
        (
            "patient/Condition.rs?category=http://terminology.hl7.org/CodeSystem/condition-category|problem-list-item",
            Scope(
                "patient",
                "Condition",
                "rs",
                (("category", "http://terminology.hl7.org/CodeSystem/condition-category|problem-list-item"),),
            ),
        ),
        ("user/Observation.rs?a=1&b=2%26", Scope("user", "Observation", "rs", (("a", "1"), ("b", "2&")))),
    ],
)
def test_scope_is_read(text: str, scope: Scope) -> None:
    assert parse(text) == scope


@pytest.mark.parametrize(
    "text",
    ["openid", "patient/*.", "patient/*.sr", "patient/*.rr", "patient/observation.r", "patient/*.r ", "", "/*.r"],
)
def test_what_is_no_resource_scope_is_none(text: str) -> None:
    assert parse(text) is None


@given(SCOPES)
def test_what_is_written_is_read_again(scope: Scope) -> None:
    assert parse(str(scope)) == scope


@given(SCOPES, SCOPES)
def test_an_intersection_permits_no_more_than_either(one: Scope, other: Scope) -> None:
    both = intersect(one, other)
    if both is None:
        return
    for kind in ("Patient", "Task", "Device"):
        for letter in INTERACTIONS:
            assert not both.covers(kind, letter) or (one.covers(kind, letter) and other.covers(kind, letter))
    assert set(one.query) | set(other.query) == set(both.query)


@given(st.lists(SCOPES), st.lists(SCOPES))
def test_a_grant_never_widens(asked: list[Scope], allowed: list[Scope]) -> None:
    granted = parse_all(grant([str(s) for s in asked], [str(s) for s in allowed]))
    for one in granted:
        assert any(intersect(one, limit) == one or set(limit.query) <= set(one.query) for limit in allowed)
        for kind in ("Patient", "Task", "Device"):
            for letter in INTERACTIONS:
                if one.covers(kind, letter):
                    assert any(s.level == one.level and s.covers(kind, letter) for s in asked)
                    assert any(s.level == one.level and s.covers(kind, letter) for s in allowed)


def test_a_scope_that_passes_whole_keeps_its_spelling() -> None:
    assert grant(["patient/*.read", "openid", "launch"], ["patient/*.cruds", "openid"]) == ("patient/*.read", "openid")


def test_a_wildcard_becomes_the_types_that_are_allowed() -> None:
    assert grant(["user/*.cruds"], ["user/Task.rs", "user/Patient.r"]) == ("user/Task.rs", "user/Patient.r")


def test_a_query_of_the_registration_stays() -> None:
    assert grant(["user/Observation.rs"], ["user/Observation.r?code=a"]) == ("user/Observation.r?code=a",)


def test_levels_never_mix() -> None:
    assert grant(["system/*.rs"], ["user/*.cruds", "patient/*.cruds"]) == ()


def test_split_keeps_order_and_drops_repeats() -> None:
    assert split(" openid  launch openid ") == ("openid", "launch")
