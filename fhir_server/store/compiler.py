"""SQLAlchemy statement to SQL text and positional parameters, compiled once for each shape of statement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast
from weakref import WeakKeyDictionary

from sqlalchemy import Executable, Table
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql.compiler import SQLCompiler

CACHED_SHAPES = 5000

# The SQL text, and in order each value's name with what the statement itself says.
Prepared = tuple[str, list[tuple[str, Any]]]


class Filled:
    """A compiled statement with the values that it says itself: of hundreds only those left open are put in anew."""

    def __init__(self, sql: str, values: list[tuple[str, Any]]) -> None:
        self.sql = sql
        self._values = [value for _, value in values]
        self._places: dict[str, list[int]] = {}
        for place, (name, _) in enumerate(values):
            self._places.setdefault(name, []).append(place)

    def with_values(self, parameters: Mapping[str, Any]) -> list[Any]:
        """All values in order."""
        values = self._values.copy()
        for name, value in parameters.items():
            for place in self._places.get(name, ()):
                values[place] = value
        return values


class Lookup:
    """A statement composed and compiled once; only what it leaves open by `bindparam` differs from run to run."""

    def __init__(self, statement: Executable) -> None:
        self.statement = statement
        self.prepared: dict[str, Filled] = {}
        """What was compiled of it, by dialect."""


Statement = Executable | Lookup


@dataclass(frozen=True, slots=True)
class Records:
    """Rows to be put into a table: tuples in the order of all of its columns."""

    table: Table
    rows: Sequence[tuple[Any, ...]]


# A statement with the values of each run, or None for its own; or rows to be put in.
Step = tuple[Statement, Sequence[Mapping[str, Any]] | None] | Records


class Compiler:
    """Compiles for one dialect. Two statements that differ in bound values only share one compilation."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.cache: dict[Any, Any] = {}
        self._many: WeakKeyDictionary[Executable, dict[tuple[str, ...], Prepared]] = WeakKeyDictionary()

    def render(self, statement: Statement, parameters: Mapping[str, Any] | None = None) -> tuple[str, Sequence[Any]]:
        """The SQL text and its values in order."""
        if isinstance(statement, Lookup):
            return self._look_up(statement, parameters or {})
        compiled, extracted = self._compile(statement, list(parameters or ()))
        values = compiled.construct_params(
            dict(parameters or {}), extracted_parameters=extracted, escape_names=False, _no_postcompile=True
        )
        if compiled.post_compile_params:
            state = compiled.construct_expanded_state(values, escape_names=False)
            return state.statement, state.positional_parameters
        return compiled.string, [values[name] for name in compiled.positiontup or ()]

    def _look_up(self, lookup: Lookup, parameters: Mapping[str, Any]) -> tuple[str, Sequence[Any]]:
        kept = lookup.prepared.get(self.dialect.name)
        if kept is None:
            made = self._prepared(lookup, parameters)
            made = _each_once(*made, parameters) if self.dialect.name == "sqlite" else made
            kept = lookup.prepared[self.dialect.name] = Filled(*made)
        return kept.sql, kept.with_values(parameters)

    def _prepared(self, lookup: Lookup, parameters: Mapping[str, Any]) -> Prepared:
        """The SQL text, and in order each value's name with what the statement itself says."""
        compiled, extracted = self._compile(lookup.statement, [])
        values = compiled.construct_params(
            dict(parameters), extracted_parameters=extracted, escape_names=False, _no_postcompile=True
        )
        state = compiled.construct_expanded_state(values, escape_names=False)
        return state.statement, [(name, state.parameters[name]) for name in state.positiontup or ()]

    def render_many(
        self, statement: Executable, parameters: Sequence[Mapping[str, Any]]
    ) -> tuple[str, list[Sequence[Any]]]:
        """The SQL text and, for each parameter set, its values in order."""
        sql, fixed = self._for_many(statement, parameters[0])
        if not any(name not in parameters[0] for name, _ in fixed):
            return sql, [[row[name] for name, _ in fixed] for row in parameters]
        return sql, [[row.get(name, value) for name, value in fixed] for row in parameters]

    def _for_many(self, statement: Executable, first: Mapping[str, Any]) -> Prepared:
        """Kept for as long as the statement lives: those that are composed once are compiled once."""
        kept = self._many.setdefault(statement, {})
        names = tuple(first)
        if names not in kept:
            compiled, extracted = self._compile(statement, list(names))
            fixed = compiled.construct_params(
                dict(first), extracted_parameters=extracted, escape_names=False, _no_postcompile=True
            )
            kept[names] = compiled.string, [(name, fixed[name]) for name in compiled.positiontup or ()]
        return kept[names]

    def render_step(self, step: Step) -> tuple[str, Sequence[Sequence[Any]]]:
        """The SQL text and its parameter sets: one, of the statement's own values, when none are given."""
        if isinstance(step, Records):
            return _put_in(step.table), step.rows
        statement, parameters = step
        if isinstance(statement, Lookup):
            sql, values = self.render(statement, parameters[0] if parameters else None)
            return sql, [values]
        if parameters is not None:
            return self.render_many(statement, parameters)
        sql, values = self.render(statement)
        return sql, [values]

    def _compile(self, statement: Executable, names: list[str]) -> tuple[SQLCompiler, Any]:
        if len(self.cache) > CACHED_SHAPES:
            self.cache.clear()
        compiled, extracted, _, _ = statement._compile_w_cache(
            self.dialect, compiled_cache=self.cache, column_keys=names
        )
        return cast(SQLCompiler, compiled), extracted


def _each_once(sql: str, values: list[tuple[str, Any]], left_open: Mapping[str, Any]) -> Prepared:
    """The same with numbered places (`?3`), each value bound once however often the statement says it: a consultant's
    statement names the own cases nine times over.  https://www.sqlite.org/lang_expr.html#varparam
    """
    parts = sql.split("?")
    if len(parts) != len(values) + 1:
        return sql, values
    numbers: dict[tuple[Any, ...], int] = {}
    kept: list[tuple[str, Any]] = []
    text = [parts[0]]
    for (name, value), part in zip(values, parts[1:], strict=True):
        key = (name,) if name in left_open else (type(value), value)
        if key not in numbers:
            kept.append((name, value))
            numbers[key] = len(kept)
        text.append(f"?{numbers[key]}{part}")
    return "".join(text), kept


@lru_cache(maxsize=100)
def _put_in(table: Table) -> str:
    """An INSERT of all columns, as SQLite writes it."""
    names = [column.name for column in table.columns]
    return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608 - ours
