"""The index of whole texts in each database's own means: FTS5 of SQLite, tsvector with GIN of PostgreSQL.

https://www.sqlite.org/fts5.html#external_content_tables, https://www.postgresql.org/docs/15/textsearch.html. The words
lie in one table on both; what finds them is kept by triggers on SQLite, by indexes of an expression on PostgreSQL.
"""

from typing import Any

from sqlalchemy import Boolean, ColumnElement, FromClause, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement

COLUMNS = ("narrative", "content")
INDEX = {
    "sqlite": (
        "CREATE VIRTUAL TABLE IF NOT EXISTS index_words_fts USING fts5(narrative, content, content='index_words', "
        "content_rowid='row_id', tokenize='unicode61 remove_diacritics 0')",
        "CREATE TRIGGER IF NOT EXISTS index_words_added AFTER INSERT ON index_words BEGIN INSERT INTO "
        "index_words_fts(rowid, narrative, content) VALUES (new.row_id, new.narrative, new.content); END",
        "CREATE TRIGGER IF NOT EXISTS index_words_removed AFTER DELETE ON index_words BEGIN INSERT INTO "
        "index_words_fts(index_words_fts, rowid, narrative, content) "
        "VALUES ('delete', old.row_id, old.narrative, old.content); END",
    ),
    # What is replaced goes and comes in one statement, which no unique key would let pass (`bulk_sql.py`).
    "postgresql": (
        "ALTER TABLE index_words DROP CONSTRAINT IF EXISTS index_words_pkey",
        "CREATE INDEX IF NOT EXISTS index_words_row ON index_words (row_id)",
        *(
            f"CREATE INDEX IF NOT EXISTS index_words_{column} ON index_words "
            f"USING gin (to_tsvector('simple'::regconfig, {column}))"
            for column in COLUMNS
        ),
    ),
}


class _Has(FunctionElement[bool]):
    """A column of the row holds these words one after the other; the last one may be the beginning of one."""

    type = Boolean()
    name = "has_words"
    inherit_cache = True


class _HasBeginning(_Has):
    inherit_cache = True


def has_words(table: FromClause, column: str, words: str, *, begins: bool) -> ColumnElement[bool]:
    """The test of a row."""
    return (_HasBeginning if begins else _Has)(table.c[column], table.c.row_id, literal(words))


@compiles(_Has, "postgresql")
def _on_postgresql(element: _Has, compiler: Any, **more: Any) -> str:
    column, _, words = (compiler.process(one, **more) for one in element.clauses)
    return f"(to_tsvector('simple'::regconfig, {column}) @@ phraseto_tsquery('simple'::regconfig, {words}))"


@compiles(_HasBeginning, "postgresql")
def _beginning_on_postgresql(element: _Has, compiler: Any, **more: Any) -> str:
    column, _, words = (compiler.process(one, **more) for one in element.clauses)
    query = f"to_tsquery('simple'::regconfig, replace({words}, ' ', ' <-> ') || ':*')"
    return f"(to_tsvector('simple'::regconfig, {column}) @@ {query})"


@compiles(_Has, "sqlite")
def _on_sqlite(element: _Has, compiler: Any, **more: Any) -> str:
    _, row_id, words = (compiler.process(one, **more) for one in element.clauses)
    column = next(iter(element.clauses)).name
    star = " || '*'" if isinstance(element, _HasBeginning) else ""
    query = f"'{column} : \"' || {words} || '\"'{star}"
    return f"({row_id} IN (SELECT rowid FROM index_words_fts WHERE index_words_fts MATCH {query}))"  # noqa: S608
