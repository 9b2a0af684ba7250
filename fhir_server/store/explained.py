"""A statement's plan instead of its rows: what the database will do, and how many rows PostgreSQL expects."""

from typing import Any

from sqlalchemy import ClauseElement, Executable, Select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler


class Explained(Executable, ClauseElement):
    """EXPLAIN of a SELECT. PostgreSQL: one row, its column `QUERY PLAN` JSON; SQLite: a row a step, `detail`."""

    inherit_cache = False

    def __init__(self, statement: Select[Any]) -> None:
        self.statement = statement


@compiles(Explained)
def _explain(explained: Explained, compiler: SQLCompiler, **arguments: Any) -> str:
    return f"EXPLAIN (FORMAT JSON) {compiler.process(explained.statement, **arguments)}"


@compiles(Explained, "sqlite")
def _explain_query_plan(explained: Explained, compiler: SQLCompiler, **arguments: Any) -> str:
    return f"EXPLAIN QUERY PLAN {compiler.process(explained.statement, **arguments)}"
