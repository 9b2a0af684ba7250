"""SQLAlchemy statement to SQL text and positional parameters, compiled once for each shape of statement."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Executable
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql.compiler import SQLCompiler

Step = tuple[Executable, Sequence[Mapping[str, Any]] | None]
CACHED_SHAPES = 5000


class Compiler:
    """Compiles for one dialect. Two statements that differ in bound values only share one compilation."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.cache: dict[Any, Any] = {}

    def render(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> tuple[str, Sequence[Any]]:
        """The SQL text and its values in order."""
        compiled, extracted = self._compile(statement, list(parameters or ()))
        values = compiled.construct_params(
            dict(parameters or {}), extracted_parameters=extracted, escape_names=False, _no_postcompile=True
        )
        if compiled.post_compile_params:
            state = compiled.construct_expanded_state(values, escape_names=False)
            return state.statement, state.positional_parameters
        return compiled.string, [values[name] for name in compiled.positiontup or ()]

    def render_many(
        self, statement: Executable, parameters: Sequence[Mapping[str, Any]]
    ) -> tuple[str, list[Sequence[Any]]]:
        """The SQL text and, for each parameter set, its values in order."""
        compiled, extracted = self._compile(statement, list(parameters[0]))
        fixed = compiled.construct_params(
            dict(parameters[0]), extracted_parameters=extracted, escape_names=False, _no_postcompile=True
        )
        names = compiled.positiontup or ()
        return compiled.string, [[row[name] if name in row else fixed[name] for name in names] for row in parameters]

    def render_step(self, step: Step) -> tuple[str, Sequence[Sequence[Any]]]:
        """The SQL text and its parameter sets: one, of the statement's own values, when none are given."""
        statement, parameters = step
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
