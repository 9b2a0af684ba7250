"""A join whose order is decided here, since SQLite plans without statistics."""

from typing import Any

from sqlalchemy import ColumnElement, FromClause, Join
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler


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
