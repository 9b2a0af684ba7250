"""Lists: search, filter, order, pages, all in the address."""

from dataclasses import dataclass
from urllib.parse import parse_qs

import pytest

from smart_app.listing import Choice, Column, Listing, Plan, fold, listing


@dataclass(frozen=True)
class Row:
    name: str
    state: str
    promised: str | None
    images: int = 0


ROWS = [
    Row("María José García-Ibáñez", "Ready", "2026-11-20", 4),
    Row("Zofia Kowalczyk-Ćwik", "Records", "2026-11-18", 212),
    Row("Björn Åke Andersson", "Ready", None, 30),
    Row("王秀英 Wang Xiuying", "Offered", "2026-11-19", 9),
]
PLAN: Plan[Row] = Plan(
    columns=[
        Column("name", "Patient", lambda row: row.name),
        Column("promised", "Promised", lambda row: row.promised),
        Column("images", "Images", lambda row: row.images, numeric=True),
        Column("act", "Act"),
    ],
    choices=[Choice("state", "Stage", lambda row: row.state)],
    text=lambda row: f"{row.name} {row.state}",
    sort="promised",
    per_page=2,
)


def shown(**query: str) -> Listing[Row]:
    return listing(PLAN, ROWS, query)


def names(found: Listing[Row]) -> list[str]:
    return [row.name.split()[0] for row in found.rows]


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("garcia", 1),
        ("GARCÍA", 1),
        ("cwik", 1),
        ("ake", 1),
        ("王", 1),
        ("maria ready", 1),
        ("maria records", 0),
        ("", 4),
    ],
)
def test_search_finds_every_word_without_regard_to_case_and_accents(q: str, found: int) -> None:
    assert shown(q=q).matching == found


def test_letters_without_decomposition_are_folded() -> None:
    assert fold("Łódź Ørsted Æsir") == "lodz orsted aesir"


def test_the_order_without_a_wish_and_rows_without_a_value_last() -> None:
    assert names(shown()) == ["Zofia", "王秀英"]
    assert names(shown(page="2")) == ["María", "Björn"]
    assert names(shown(sort="-promised")) == ["María", "王秀英"]
    assert names(shown(sort="-promised", page="2"))[-1] == "Björn"
    assert names(shown(sort="-images")) == ["Zofia", "Björn"]


def test_a_wish_that_does_not_exist_is_left_out() -> None:
    for sort in ("act", "-act", "nothing", "--name"):
        assert shown(sort=sort).sort == "promised"
    for page, is_page in (("0", 1), ("-1", 1), ("99", 2), ("x", 1), ("²", 1)):
        assert shown(page=page).page == is_page


def test_headings_turn_the_order_round() -> None:
    heads = {head.key: head for head in shown(sort="name").heads}
    assert (heads["name"].order, heads["name"].url) == ("ascending", "?sort=-name")
    assert (heads["promised"].order, heads["act"].order) == ("none", "")
    assert {head.key: head.order for head in shown(sort="-name").heads}["name"] == "descending"


def test_options_count_what_they_would_leave() -> None:
    choice = shown(q="a").choices[0]
    assert {option.value: option.count for option in choice.options} == {"Ready": 2, "Records": 1, "Offered": 1}
    chosen = shown(state="Ready", q="garcia")
    assert chosen.matching == 1
    assert {option.value: option.count for option in chosen.choices[0].options}["Records"] == 0
    assert [option.value for option in chosen.choices[0].options if option.chosen] == ["Ready"]


def test_an_option_that_no_row_has_shows_itself_and_a_way_back() -> None:
    found = shown(state="Gone")
    assert (found.matching, found.narrowed) == (0, True)
    assert found.choices[0].options[-1].chosen
    assert (found.first, found.last, found.page) == (0, 0, 1)


def test_the_address_keeps_everything_and_goes_back_to_the_first_page() -> None:
    found = shown(q="a b&c", state="Ready", page="2", view="table")
    assert parse_qs(found.url(sort="name")[1:]) == {
        "q": ["a b&c"],
        "state": ["Ready"],
        "view": ["table"],
        "sort": ["name"],
    }
    assert parse_qs(found.url(page=2)[1:])["page"] == ["2"]
    assert parse_qs(found.clear[1:]) == {"view": ["table"]}
    assert found.kept() == {"view": "table"}


def test_rows_are_numbered() -> None:
    assert [(each.first, each.last) for each in (shown(), shown(page="2"))] == [(1, 2), (3, 4)]
