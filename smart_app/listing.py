"""Lists that search, filter, sort and page, with their whole state in the address.  Pure.

`?q=` words, `?sort=` a column's key (`-` before it: descending), `?page=`, and one parameter for each choice.
"""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

T = TypeVar("T")
LETTERS = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ð": "d", "æ": "ae", "œ": "oe", "ı": "i", "þ": "th"})


@dataclass(frozen=True)
class Column(Generic[T]):
    """A column; without `value` it cannot be sorted by."""

    key: str
    title: str
    value: Callable[[T], Any] | None = None
    numeric: bool = False


@dataclass(frozen=True)
class Choice(Generic[T]):
    """A filter; its options are the values that the rows have, with how many rows each would leave."""

    key: str
    title: str
    value: Callable[[T], str]


@dataclass(frozen=True)
class Plan(Generic[T]):
    """What a list offers.  `sort` is the order without a wish; rows that tie stay in the order they came in."""

    columns: Sequence[Column[T]]
    choices: Sequence[Choice[T]]
    text: Callable[[T], str]
    sort: str = ""
    per_page: int = 25


@dataclass(frozen=True, slots=True)
class Option:
    """One value of a choice."""

    value: str
    count: int
    chosen: bool
    url: str


@dataclass(frozen=True, slots=True)
class Filter:
    """A choice as it stands; `url` leaves it open."""

    key: str
    title: str
    chosen: str
    options: Sequence[Option]
    url: str


@dataclass(frozen=True, slots=True)
class Head:
    """A column as its heading shows it; `order` is what aria-sort says, empty where it cannot be sorted by."""

    key: str
    title: str
    order: str
    url: str
    numeric: bool


@dataclass(frozen=True)
class Listing(Generic[T]):
    """The rows of this page, and everything around them."""

    plan: Plan[T]
    rows: Sequence[T]
    total: int
    matching: int
    page: int
    pages: int
    q: str
    sort: str
    query: Mapping[str, str] = field(repr=False)
    choices: Sequence[Filter] = ()

    def url(self, **changes: Any) -> str:
        """The address of this list with other wishes; all but a change of the page goes back to the first page."""
        return _address(self.query, changes)

    @property
    def narrowed(self) -> bool:
        """Whether a search or a filter hides rows."""
        return bool(self.q) or any(each.chosen for each in self.choices)

    @property
    def clear(self) -> str:
        """The address without search and filters."""
        return self.url(q="", **{each.key: "" for each in self.choices})

    @property
    def first(self) -> int:
        """Number of the first row shown, counted from one; 0 when there is none."""
        return (self.page - 1) * self.plan.per_page + 1 if self.rows else 0

    @property
    def last(self) -> int:
        """Number of the last row shown."""
        return self.first + len(self.rows) - 1 if self.rows else 0

    @property
    def heads(self) -> list[Head]:
        """The headings; following one sorts by it, once more turns the order round."""
        return [self._head(column) for column in self.plan.columns]

    def kept(self) -> dict[str, str]:
        """What the search form must send along: the order, and parameters of the page that are not the list's."""
        own = {"q", "page", *(each.key for each in self.choices)}
        return {name: value for name, value in self.query.items() if name not in own and value}

    def _head(self, column: Column[T]) -> Head:
        if column.value is None:
            return Head(column.key, column.title, "", "", column.numeric)
        now = self.sort.removeprefix("-") == column.key
        down = self.sort.startswith("-")
        order = ("descending" if down else "ascending") if now else "none"
        wish = f"-{column.key}" if now and not down else column.key
        return Head(column.key, column.title, order, self.url(sort=wish), column.numeric)


def listing(plan: Plan[T], rows: Iterable[T], query: Mapping[str, str]) -> Listing[T]:
    """The list that a query asks for; wishes that do not exist are left out, a page too far is the last."""
    everything, asked = list(rows), dict(query)
    q = " ".join(asked.get("q", "").split())[:200]
    found = _matching(plan, everything, q)
    wishes = {choice.key: asked.get(choice.key, "") for choice in plan.choices}
    shown = [row for row in found if _fits(plan, row, wishes)]
    sort = _known_order(plan, asked.get("sort", ""))
    ordered = _ordered(plan, shown, sort)
    pages = max(1, -(-len(ordered) // plan.per_page))
    page = min(pages, int(asked["page"])) if asked.get("page", "").isdecimal() and int(asked["page"]) > 0 else 1
    begin = (page - 1) * plan.per_page
    return Listing(
        plan=plan,
        rows=ordered[begin : begin + plan.per_page],
        total=len(everything),
        matching=len(ordered),
        page=page,
        pages=pages,
        q=q,
        sort=sort,
        query=asked,
        choices=[_filter(plan, choice, (everything, found), wishes, asked) for choice in plan.choices],
    )


def fold(text: str) -> str:
    """Text as it is searched and sorted: without case and accents, so that `garcia` finds `García`."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(each for each in plain if not unicodedata.combining(each)).translate(LETTERS)


def _matching(plan: Plan[T], rows: Sequence[T], q: str) -> list[T]:
    words = fold(q).split()
    return [row for row in rows if all(word in text for word in words for text in (fold(plan.text(row)),))]


def _fits(plan: Plan[T], row: T, wishes: Mapping[str, str], but: str = "") -> bool:
    return all(
        choice.value(row) == wishes[choice.key] for choice in plan.choices if choice.key != but and wishes[choice.key]
    )


def _known_order(plan: Plan[T], wish: str) -> str:
    keys = {column.key for column in plan.columns if column.value is not None}
    return wish if wish.removeprefix("-") in keys else plan.sort


def _ordered(plan: Plan[T], rows: Sequence[T], sort: str) -> list[T]:
    """Sorted by one column; rows without a value come last in either direction."""
    value = next((column.value for column in plan.columns if column.key == sort.removeprefix("-")), None)
    if value is None:
        return list(rows)
    keyed = [(value(row), row) for row in rows]
    there = [each for each in keyed if each[0] not in (None, "")]
    there.sort(key=lambda each: fold(each[0]) if isinstance(each[0], str) else each[0], reverse=sort.startswith("-"))
    return [row for _, row in there] + [row for key, row in keyed if key in (None, "")]


def _filter(
    plan: Plan[T],
    choice: Choice[T],
    rows: tuple[Sequence[T], Sequence[T]],
    wishes: Mapping[str, str],
    asked: Mapping[str, str],
) -> Filter:
    everything, found = rows
    counts = Counter(choice.value(row) for row in found if _fits(plan, row, wishes, choice.key))
    chosen = wishes[choice.key]
    values = dict.fromkeys(choice.value(row) for row in everything)
    options = [
        Option(value, counts[value], value == chosen, _address(asked, {choice.key: value}))
        for value in dict.fromkeys([*values, chosen])
        if value
    ]
    return Filter(choice.key, choice.title, chosen, options, _address(asked, {choice.key: ""}))


def _address(query: Mapping[str, str], changes: Mapping[str, Any]) -> str:
    asked = {**query, **({} if "page" in changes else {"page": ""}), **changes}
    wanted = {name: value for name, value in asked.items() if value not in ("", None) and (name, value) != ("page", 1)}
    return f"?{urlencode(wanted)}"
