"""Back up and restore the embedded database: whole, checked, while the server runs (backup) or does not (restore).

https://www.sqlite.org/backup.html  PostgreSQL has its own tools: pg_dump, base backups, WAL archiving.
"""

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from fhir_server.audit.event import EXPORT, IMPORT, Happening, Kind, Origin
from fhir_server.audit.trail import event_row
from fhir_server.context import Node
from fhir_server.store.audit import append

PAGES_AT_ONCE = 2000
VERSION_TABLE = "alembic_version_fhir"
# Pages done, pages altogether.
Progress = Callable[[int, int], None]


DATABASE = "the whole database"


class CannotBackUp(Exception):
    """There is no embedded database here, it is in use, or a file is not a whole backup of one."""


def backup(database_url: str, file: Path, progress: Progress) -> None:
    """Copy the database into a new file, page by page, and check the copy. Raises CannotBackUp."""
    source = embedded(database_url)
    if file.exists():
        raise CannotBackUp(f"{file} exists already.")
    if not source.exists():
        raise CannotBackUp(f"There is no database at {source}.")
    _copy(source, file, progress)


def restore(database_url: str, file: Path, progress: Progress) -> Path | None:
    """Put a backup in the place of the database, checked before; gives where the former database is kept now.

    Raises CannotBackUp for a database that a server has open.
    """
    place = embedded(database_url)
    check(file)
    place.parent.mkdir(parents=True, exist_ok=True)
    fresh = place.with_name(place.name + ".restored")
    fresh.unlink(missing_ok=True)
    _copy(file, fresh, progress)
    former = None
    if place.exists():
        _alone(place)
        former = place.with_name(place.name + ".before-restore")
        place.replace(former)
    fresh.replace(place)
    _sync(place.parent)
    return former


async def exported(node: Node, origin: Origin, file: Path) -> None:
    """Put down that everything leaves, before it does.  DICOM PS3.15 A.5.3.8"""
    await _put_down(node, origin, EXPORT, file)


async def imported(node: Node, origin: Origin, file: Path) -> None:
    """Put down that everything came from a backup.  DICOM PS3.15 A.5.3.9"""
    await _put_down(node, origin, IMPORT, file)


async def _put_down(node: Node, origin: Origin, kind: Kind, file: Path) -> None:
    details = (("file", str(file.absolute())),)
    happened = Happening(kind.code, time.time_ns() // 1000, kind=kind, thing=DATABASE, details=details)
    async with node.database.transaction() as transaction:
        await append(transaction, [event_row(origin, happened, None)])


def embedded(database_url: str) -> Path:
    """The file of the embedded database. Raises CannotBackUp."""
    if not database_url.startswith("sqlite:///"):
        raise CannotBackUp("This is for the embedded database; for PostgreSQL use pg_dump and pg_restore.")
    return Path(database_url.removeprefix("sqlite:///"))


def check(file: Path) -> None:
    """Raise CannotBackUp unless the file is a whole database of this server."""
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            problems = connection.execute("PRAGMA integrity_check").fetchall()
            versions = connection.execute(f"SELECT count(*) FROM {VERSION_TABLE}").fetchone()[0]  # noqa: S608
    except sqlite3.DatabaseError as error:
        raise CannotBackUp(f"{file} is no database of this server: {error}.") from None
    if problems != [("ok",)] or not versions:
        raise CannotBackUp(f"{file} is damaged.")


def _copy(source: Path, target: Path, progress: Progress) -> None:
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(part)) as new:
        old.backup(new, pages=PAGES_AT_ONCE, progress=lambda _, left, total: progress(total - left, total))
        new.execute("PRAGMA journal_mode=DELETE")
    check(part)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(target)
    _sync(target.parent)


def _alone(database: Path) -> None:
    """Leave WAL mode, which SQLite does only when nobody else has the file open, and so empty the log into it."""
    with closing(sqlite3.connect(database, timeout=0)) as connection:
        try:
            mode = connection.execute("PRAGMA journal_mode=DELETE").fetchone()[0]
        except sqlite3.OperationalError:
            mode = "in use"
    if mode != "delete":
        raise CannotBackUp(f"{database} is open: stop the server first.")


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
