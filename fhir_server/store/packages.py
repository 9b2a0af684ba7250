"""Which packages have been loaded into this database."""

from collections.abc import Mapping

from sqlalchemy import delete, select

from fhir_server.store.database import Database
from fhir_server.store.models import database_value

PREFIX = "package "


async def loaded_packages(database: Database) -> Mapping[str, frozenset[str]]:
    """Names of packages with the versions that are loaded."""
    statement = select(database_value.c.name).where(database_value.c.name.startswith(PREFIX))
    found: dict[str, frozenset[str]] = {}
    for row in await database.fetch(statement):
        name, _, version = row["name"].removeprefix(PREFIX).partition("|")
        found[name] = found.get(name, frozenset()) | {version}
    return found


async def note_package(database: Database, name: str, version: str) -> None:
    """Remember that a package is loaded. Raises Contention."""
    key = f"{PREFIX}{name}|{version}"
    async with database.transaction() as transaction:
        await transaction.execute(delete(database_value).where(database_value.c.name == key))
        await transaction.execute(database_value.insert(), {"name": key, "value": b""})
