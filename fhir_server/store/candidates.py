"""Rows of a composite that its value-first index gives by itself: by hashes and numbers, without the texts.

They are all that match and, as long as no two codes share a hash, no others; texts are not in the index, so that a list
of thousands is read from some pages of it, and the texts of those rows only that fill the page.
"""

from collections.abc import Iterable, Iterator

from sqlalchemy import BooleanClauseList, Column, ColumnElement, Select, select
from sqlalchemy.sql import operators, visitors

from fhir_server.search.query import Clause
from fhir_server.store.matches import matching, one_of
from fhir_server.store.models import index_composite

IN_THE_INDEX = frozenset(
    column.name for index in index_composite.indexes if str(index.name).endswith("_value") for column in index.columns
)


def candidates(clause: Clause, numbers: Iterable[int]) -> Select[tuple[int]]:
    """Rows that may meet the clause; `numbers`: those of its parameter."""
    c = index_composite.c
    tests = _answered(matching(clause.parameter, clause.modifier, clause.values, c))
    return select(c.row_id).where(one_of(c.parameter, numbers), *tests).correlate(None)


def _answered(test: ColumnElement[bool]) -> Iterator[ColumnElement[bool]]:
    """The parts of a conjunction that ask for nothing but columns of the index."""
    if isinstance(test, BooleanClauseList) and test.operator is operators.and_:
        for part in test.clauses:
            yield from _answered(part)
    elif all(one.name in IN_THE_INDEX for one in visitors.iterate(test) if isinstance(one, Column)):
        yield test
