"""Alembic migrations shipped inside the packages and run without an env.py or an ini file."""

import importlib.util
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from konsil.database import lock_transaction, reader, sync_engine

_PLACES = ("store.migrations", "index.migrations")


class MigrationsMissing(LookupError):
    """The package ships no migrations."""


def upgrade(url: str, package: str, version_table: str) -> None:
    """Bring a program's database to the newest schema, in one transaction, under a lock: all may call it at start.

    `package` is the program's name; its scripts lie in `{package}.store.migrations` or `{package}.index.migrations`,
    folder `versions`.  Raises MigrationsMissing, and what SQLAlchemy and Alembic raise; then nothing has changed.
    """
    script = _scripts(package)
    engine = sync_engine(url)
    try:
        with engine.begin() as connection:
            lock_transaction(connection, f"migrate {version_table}")
            context = _context(connection, version_table, partial(_steps, script))
            with Operations.context(context):
                context.run_migrations()
    finally:
        engine.dispose()


def behind(url: str, package: str, version_table: str) -> bool:
    """Tell whether the database lacks migrations that the package has: production then refuses to start."""
    script = _scripts(package)
    engine = sync_engine(url)
    try:
        with reader(engine).connect() as connection:
            context = _context(connection, version_table, lambda _revision, _context: iter(()))
            return set(context.get_current_heads()) != set(script.get_heads())
    finally:
        engine.dispose()


def _steps(script: ScriptDirectory, revision: Any, _context: MigrationContext) -> Any:
    return script._upgrade_revs("head", revision)


def _context(connection: Connection, version_table: str, work: Any) -> MigrationContext:
    batch = connection.dialect.name == "sqlite"
    options: dict[str, Any] = {"version_table": version_table, "render_as_batch": batch, "fn": work}
    return MigrationContext.configure(connection=connection, opts=options)


def _scripts(package: str) -> ScriptDirectory:
    for folder in _folders(package):
        return ScriptDirectory(folder)
    raise MigrationsMissing(f"{package} has neither of {', '.join(_PLACES)}")


def _folders(package: str) -> Iterator[Path]:
    root = importlib.util.find_spec(package)
    for place in _PLACES if root else ():
        for location in root.submodule_search_locations or () if root else ():
            folder = Path(location, *place.split("."))
            if (folder / "versions").is_dir():
                yield folder
