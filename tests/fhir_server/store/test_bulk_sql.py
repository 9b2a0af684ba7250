"""What goes together in one statement does what it would do alone."""

import pytest
from sqlalchemy import bindparam, delete, insert, select, update

from fhir_server.store.bulk_sql import together
from fhir_server.store.database import connect
from fhir_server.store.models import database_value
from fhir_server.store.postgresql import MANY
from konsil.migrate import upgrade

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_parameters_are_numbered_through() -> None:
    sql, values = together([("DELETE FROM a WHERE x = $1", [1]), ("DELETE FROM b WHERE y IN ($1, $2)", [2, 3])])
    assert sql == "WITH s0 AS (DELETE FROM a WHERE x = $1), s1 AS (DELETE FROM b WHERE y IN ($2, $3)) SELECT"
    assert values == [1, 2, 3]


@pytest.mark.parametrize("count", [1, 3, MANY + 1])
async def test_a_run_of_statements_leaves_the_same_on_both_databases(database_url: str, count: int) -> None:
    upgrade(database_url, "fhir_server", "alembic_version_fhir")
    database = await connect(database_url)
    name = database_value.c.name
    try:
        async with database.transaction() as transaction:
            old = [{"name": text, "value": b"old"} for text in ("goes", "changes")]
            await transaction.run([(insert(database_value), old)])
            new = [{"name": f"new {n}", "value": b"\x00\xff"} for n in range(count)]
            await transaction.run(
                [
                    (delete(database_value).where(name == "goes"), None),
                    (update(database_value).where(name == "changes").values(value=b"new"), None),
                    (insert(database_value), new),
                ]
            )
        rows = {row["name"]: bytes(row["value"]) for row in await database.fetch(select(database_value))}
    finally:
        await database.close()
    assert rows == {"changes": b"new"} | {f"new {n}": b"\x00\xff" for n in range(count)}


async def test_rows_are_changed_and_deleted_by_one_statement(database_url: str) -> None:
    upgrade(database_url, "fhir_server", "alembic_version_fhir")
    database = await connect(database_url)
    name = database_value.c.name
    change = update(database_value).where(name == bindparam("at_name")).values(value=bindparam("new_value"))
    try:
        async with database.transaction() as transaction:
            await transaction.run([(insert(database_value), [{"name": text, "value": b"old"} for text in "abcde"])])
            await transaction.run(
                [
                    (change, [{"at_name": text, "new_value": text.upper().encode()} for text in "ab"]),
                    (delete(database_value).where(name == bindparam("at_name")), [{"at_name": text} for text in "de"]),
                ]
            )
        rows = {row["name"]: bytes(row["value"]) for row in await database.fetch(select(database_value))}
    finally:
        await database.close()
    assert rows == {"a": b"A", "b": b"B", "c": b"old"}
