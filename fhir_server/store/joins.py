"""Joins and tests whose order is decided here, since SQLite plans without statistics."""

from typing import Any, cast

from sqlalchemy import BinaryExpression, ColumnElement, CompoundSelect, FromClause, Join, Select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import Grouping


class Ordered(Join):
    """An inner join that SQLite runs from left to right; PostgreSQL decides by itself.

    https://www.sqlite.org/optoverview.html#crossjoin
    """

    inherit_cache = True


@compiles(Ordered, "sqlite")
def _cross_join(join: Ordered, compiler: SQLCompiler, **arguments: Any) -> str:
    arguments["asfrom"] = True
    sides = (compiler.process(side, **arguments) for side in (join.left, join.right))
    condition = (
        compiler.process(join.onclause, from_linter=arguments.get("from_linter")) if join.onclause is not None else "1"
    )
    return f"{' CROSS JOIN '.join(sides)} ON {condition}"


def ordered(left: FromClause, right: FromClause, on: ColumnElement[bool]) -> Ordered:
    """Find rows on the left first, then those on the right that belong to them."""
    return Ordered(left, right, on)


class Among(Grouping[bool]):
    """A test of rows that are listed before anything else, and then read in their order.

    PostgreSQL sees a join in `IN`, and takes a walk through everything in the order of the page for the cheaper one,
    or else sorts whole resources; an array it reads through the index of row ids, which gives them in order.
    """

    inherit_cache = True


@compiles(Among, "postgresql")
def _in_an_array(among: Among, compiler: SQLCompiler, **arguments: Any) -> str:
    test = cast("BinaryExpression[bool]", among.element)
    row_id, rows = (compiler.process(side, **arguments) for side in (test.left, test.right))
    return f"{row_id} = ANY (ARRAY{rows})"


def among(row_id: ColumnElement[int], rows: Select[Any] | CompoundSelect[Any]) -> ColumnElement[bool]:
    """Whether it is one of these rows, found first."""
    return Among(row_id.in_(rows))
