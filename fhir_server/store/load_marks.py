"""Which pieces of a bulk load are in the database: noted in the transaction that wrote them."""

from sqlalchemy import delete, select, text

from fhir_server.store.database import Database, Transaction
from fhir_server.store.models import database_value

PREFIX = "bulk-load "


async def marks(database: Database) -> frozenset[str]:
    """Every piece that has been loaded by a run that did not come to its end."""
    statement = select(database_value.c.name).where(database_value.c.name.startswith(PREFIX))
    return frozenset(row["name"].removeprefix(PREFIX) for row in await database.fetch(statement))


async def set_mark(transaction: Transaction, mark: str) -> bool:
    """Note a piece; False when it has been loaded already."""
    name = PREFIX + mark
    if await transaction.fetch(select(database_value.c.name).where(database_value.c.name == name)):
        return False
    await transaction.execute_many(database_value.insert(), [{"name": name, "value": b""}])
    return True


async def forget_marks(database: Database, done: list[str]) -> None:
    """Forget these pieces: their load is complete."""
    async with database.transaction() as transaction:
        for start in range(0, len(done), 500):
            names = [PREFIX + mark for mark in done[start : start + 500]]
            await transaction.execute(delete(database_value).where(database_value.c.name.in_(names)))


async def gather_statistics(database: Database) -> None:
    """Let PostgreSQL know what it holds now: it would plan for an empty database until its autovacuum comes by.

    SQLite stays without: its joins are put in order here (`joins.py`).
    """
    async with database.transaction() as transaction:
        if transaction.dialect == "postgresql":
            await transaction.execute(text("ANALYZE"))
