"""Two plans of a page in one statement, for PostgreSQL, which must choose before it knows how many rows a range has.

A page ends after some rows, so walking everything in the page's order until enough have matched looks cheap to the
planner; for a range of few rows it walks the whole table. Up to `FEW` rows are therefore listed first: when that is all
of them, the page is made of the list, otherwise by the other plan. The plan that is not wanted costs nothing, since its
test is made once, before it.  https://www.postgresql.org/docs/15/using-explain.html ("One-Time Filter")
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, CompoundSelect, Select, func, select, union_all

from fhir_server.store.joins import among
from fhir_server.store.sorting import Key

FEW = 1000


class Few:
    """The first rows of a list. `known`: whether they are all of it."""

    def __init__(self, rows: Select[Any] | CompoundSelect[Any]) -> None:
        self._first = select(rows.subquery().c.row_id).limit(FEW + 1).cte().prefix_with("MATERIALIZED")
        self.known: ColumnElement[bool] = select(func.count() <= FEW).select_from(self._first).scalar_subquery()

    def among(self, row_id: ColumnElement[int]) -> ColumnElement[bool]:
        """Whether it is one of them."""
        return among(row_id, select(self._first.c.row_id))


def either(one: Select[Any], other: Select[Any], keys: Sequence[Key]) -> Select[Any]:
    """The page of two statements, of which one has no rows."""
    both = union_all(*(select(part.subquery()) for part in (one, other))).subquery()
    order = (both.c[f"key_{n}"].desc() if key.descending else both.c[f"key_{n}"] for n, key in enumerate(keys))
    return select(both).order_by(*order)
