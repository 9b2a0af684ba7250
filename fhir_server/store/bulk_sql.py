"""Many statements as one for PostgreSQL: what a transaction writes costs one round trip, whatever the tables.

Data-modifying WITH queries all look at the same snapshot (https://www.postgresql.org/docs/15/queries-with.html): what
is superseded goes to history as it was, and index rows are deleted as they were, whatever is put in beside them.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Delete, Insert, Table, Update
from sqlalchemy.engine.interfaces import Dialect

Statement = tuple[str, Sequence[Any]]
PLACE = re.compile(r"\$(\d+)")


def unnested(insert: Insert, rows: Sequence[Mapping[str, Any]], dialect: Dialect) -> Statement:
    """An INSERT of many rows with an array for each column, so that its text is the same for any number of rows."""
    names = tuple(rows[0])
    table = insert.table
    assert isinstance(table, Table)  # noqa: S101 - nobody inserts into a join
    return _insert(table, names, dialect), [[row[name] for row in rows] for name in names]


def unnested_records(table: Table, rows: Sequence[tuple[Any, ...]], dialect: Dialect) -> Statement:
    """The same of rows that have every column of the table, in order."""
    return _insert(table, tuple(table.columns.keys()), dialect), list(zip(*rows, strict=True))


def unnested_update(update: Update, rows: Sequence[Mapping[str, Any]], dialect: Dialect) -> Statement:
    """An UPDATE of many rows, found by what is bound as `at_...`, to what is bound as `new_...`."""
    names = tuple(rows[0])
    table = update.table
    assert isinstance(table, Table)  # noqa: S101 - nobody updates a join
    return _update(table, names, dialect), [[row[name] for row in rows] for name in names]


def unnested_delete(statement: Delete, rows: Sequence[Mapping[str, Any]]) -> Statement:
    """A DELETE of what has one of the values that are bound as `at_...`."""
    (name,) = rows[0]
    table = statement.table
    return f"DELETE FROM {table} WHERE {name.removeprefix('at_')} = ANY($1)", [[row[name] for row in rows]]  # noqa: S608


@lru_cache(maxsize=200)
def _update(table: Table, names: tuple[str, ...], dialect: Dialect) -> str:
    columns = [name.partition("_")[2] for name in names]
    key = next(column for name, column in zip(names, columns, strict=True) if name.startswith("at_"))
    changed = ", ".join(f"{column} = new.{column}" for column in columns if column != key)
    rows = f"unnest({_arrays(table, columns, dialect)}) AS new({', '.join(columns)})"
    return f"UPDATE {table.name} SET {changed} FROM {rows} WHERE {table.name}.{key} = new.{key}"  # noqa: S608 - as below


@lru_cache(maxsize=200)
def _insert(table: Table, names: tuple[str, ...], dialect: Dialect) -> str:
    arrays = _arrays(table, names, dialect)
    return f"INSERT INTO {table.name} ({', '.join(names)}) SELECT * FROM unnest({arrays})"  # noqa: S608 - names of ours


def _arrays(table: Table, names: Sequence[str], dialect: Dialect) -> str:
    types = (table.c[name].type.compile(dialect).partition(" COLLATE")[0] for name in names)
    return ", ".join(f"${place}::{type_}[]" for place, type_ in enumerate(types, 1))


def together(statements: Sequence[Statement]) -> Statement:
    """All of them in one, their parameters numbered through. They may not touch the same row of the same table."""
    parts: list[str] = []
    values: list[Any] = []
    for sql, own in statements:
        parts.append(_renumbered(sql, len(values)))
        values.extend(own)
    if len(parts) == 1:
        return parts[0], values
    return f"WITH {', '.join(f's{n} AS ({part})' for n, part in enumerate(parts))} SELECT", values


@lru_cache(maxsize=2000)
def _renumbered(sql: str, before: int) -> str:
    return PLACE.sub(lambda place: f"${int(place[1]) + before}", sql) if before else sql
