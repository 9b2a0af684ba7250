"""Alembic migrations shipped inside the packages and run without an env.py or an ini file.

Alembic itself is imported only when there is something to do: mostly there is not, and it takes a tenth of a start.
"""

import importlib.util
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, column, select, table
from sqlalchemy.exc import DBAPIError

from konsil.database import lock_transaction, reader, sync_engine

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

_PLACES = ("store.migrations", "index.migrations")
_REVISION = re.compile(r"^revision\b[^=\n]*=\s*[\"']([^\"']+)[\"']", re.MULTILINE)
_DOWN_REVISION = re.compile(r"^down_revision\b[^=\n]*=(.*)$", re.MULTILINE)
_QUOTED = re.compile(r"[\"']([^\"']+)[\"']")


class MigrationsMissing(LookupError):
    """The package ships no migrations."""


def upgrade(url: str, package: str, version_table: str) -> None:
    """Bring a program's database to the newest schema, in one transaction, under a lock: all may call it at start.

    `package` is the program's name; its scripts lie in `{package}.store.migrations` or `{package}.index.migrations`,
    folder `versions`.  Raises MigrationsMissing, and what SQLAlchemy and Alembic raise; then nothing has changed.
    """
    folder = _folder(package)
    engine = sync_engine(url)
    try:
        if _applied(engine, version_table) != heads(folder):
            _upgrade(engine, folder, version_table)
    finally:
        engine.dispose()


def behind(url: str, package: str, version_table: str) -> bool:
    """Tell whether the database lacks migrations that the package has: production then refuses to start."""
    folder = _folder(package)
    engine = sync_engine(url)
    try:
        return _applied(engine, version_table) != heads(folder)
    finally:
        engine.dispose()


def heads(folder: Path) -> set[str]:
    """The newest revisions of a folder of migrations: those that no other comes after."""
    texts = [path.read_text(encoding="utf-8") for path in (folder / "versions").glob("*.py")]
    revisions = {found[1] for text in texts if (found := _REVISION.search(text))}
    former = [found[1] for text in texts if (found := _DOWN_REVISION.search(text))]
    return revisions - {name for line in former for name in _QUOTED.findall(line)}


def _applied(engine: Engine, version_table: str) -> set[str]:
    with reader(engine).connect() as connection:
        try:
            return set(connection.execute(select(column("version_num")).select_from(table(version_table))).scalars())
        except DBAPIError:
            return set()  # no such table yet


def _upgrade(engine: Engine, folder: Path, version_table: str) -> None:
    from alembic.operations import Operations
    from alembic.script import ScriptDirectory

    script = ScriptDirectory(folder)
    with engine.begin() as connection:
        lock_transaction(connection, f"migrate {version_table}")
        context = _context(connection, version_table, partial(_steps, script))
        with Operations.context(context):
            context.run_migrations()


def _steps(script: "ScriptDirectory", revision: Any, _context: "MigrationContext") -> Any:
    return script._upgrade_revs("head", revision)


def _context(connection: Connection, version_table: str, work: Any) -> "MigrationContext":
    from alembic.runtime.migration import MigrationContext

    batch = connection.dialect.name == "sqlite"
    options: dict[str, Any] = {"version_table": version_table, "render_as_batch": batch, "fn": work}
    return MigrationContext.configure(connection=connection, opts=options)


def _folder(package: str) -> Path:
    for folder in _folders(package):
        return folder
    raise MigrationsMissing(f"{package} has neither of {', '.join(_PLACES)}")


def _folders(package: str) -> Iterator[Path]:
    root = importlib.util.find_spec(package)
    for location in root.submodule_search_locations or () if root else ():
        for place in _PLACES:
            folder = Path(location, *place.split("."))
            if (folder / "versions").is_dir():
                yield folder
