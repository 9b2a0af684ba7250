"""The patient list: searched, filtered and sorted by its address."""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from deploy.sandbox.charts.catalogue import Resource
from deploy.sandbox.ehr import words


@dataclass(frozen=True)
class Row:
    """A patient as the list shows them."""

    patient: Resource
    problem: str
    seen: str
    unread: int

    @property
    def physician(self) -> str:
        """The patient's own physician."""
        own: list[Resource] = self.patient.get("generalPractitioner", [])
        return str(own[0].get("display", "")) if own else ""

    @property
    def text(self) -> str:
        """Everything that a search looks at, folded."""
        names = [each for name in self.patient.get("name", []) for each in (words.name_text(name),)]
        return folded(" ".join([*names, words.record_number(self.patient), self.problem, self.physician]))


SORTS: dict[str, Callable[[Row], str]] = {
    "name": lambda row: folded(words.full_name(row.patient)),
    "mrn": lambda row: words.record_number(row.patient).zfill(12),
    "born": lambda row: str(row.patient.get("birthDate", "")),
    "sex": lambda row: str(row.patient.get("gender", "")),
    "problem": lambda row: folded(row.problem),
    "physician": lambda row: folded(row.physician),
    "seen": lambda row: row.seen,
}


def folded(text: str) -> str:
    """Without accents and case, so that `garcia` finds García."""
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter)).casefold()


@dataclass(frozen=True)
class Listing:
    """The rows to show and the addresses of other views of them."""

    rows: Sequence[Row]
    total: int
    query: Mapping[str, str]
    physicians: Sequence[str]

    @property
    def sort(self) -> str:
        """The column, with a minus when descending."""
        return self.query.get("sort", "name")

    def url(self, **changes: str) -> str:
        """The same list with something changed."""
        given = {name: value for name, value in {**self.query, **changes}.items() if value}
        return f"?{urlencode(given)}"

    def sorted_by(self, key: str) -> str:
        """The address of the list sorted by a column; the other way round when it is already."""
        return self.url(sort=f"-{key}" if self.sort == key else key)

    def direction(self, key: str) -> str:
        """aria-sort of a column."""
        return {key: "ascending", f"-{key}": "descending"}.get(self.sort, "none")


def listing(rows: Sequence[Row], asked: Mapping[str, str]) -> Listing:
    """Search, filter, sort; what is unknown in the address is left out."""
    query = {name: asked[name] for name in ("q", "physician", "alert", "sort") if asked.get(name)}
    if query.get("sort", "").lstrip("-") not in SORTS:
        query.pop("sort", None)
    wanted = folded(query.get("q", "")).split()
    found = [
        row
        for row in rows
        if all(word in row.text for word in wanted)
        and query.get("physician", row.physician) == row.physician
        and (query.get("alert") != "report" or row.unread)
    ]
    sort = query.get("sort", "name")
    found.sort(key=SORTS[sort.lstrip("-")], reverse=sort.startswith("-"))
    return Listing(found, len(rows), query, sorted({row.physician for row in rows if row.physician}))
