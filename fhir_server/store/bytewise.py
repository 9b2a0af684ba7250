"""Whether stored bytes hold others: what SQLite and PostgreSQL call by different names."""

from typing import Any

from sqlalchemy import Boolean, ColumnElement, LargeBinary, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction


class Holds(GenericFunction[bool]):
    """Bytes that hold these bytes; none hold any."""

    type = Boolean()
    inherit_cache = True
    name = "holds"


def holds(content: ColumnElement[Any], part: bytes) -> ColumnElement[bool]:
    """Whether the column's bytes hold these; a deletion, which has none, counts as if it did."""
    return content.is_(None) | Holds(content, literal(part, LargeBinary))


@compiles(Holds, "sqlite")
def _in_sqlite(element: Holds, compiler: SQLCompiler, **words: Any) -> str:
    return f"(instr({compiler.process(element.clauses, **words)}) > 0)"


@compiles(Holds, "postgresql")
def _in_postgresql(element: Holds, compiler: SQLCompiler, **words: Any) -> str:
    content, part = element.clauses
    return f"(position({compiler.process(part, **words)} in {compiler.process(content, **words)}) > 0)"
