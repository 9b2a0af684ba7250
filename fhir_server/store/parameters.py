"""Numbers of search parameters and other values that belong to one database."""

import secrets
from collections.abc import Mapping

from sqlalchemy import func, select

from fhir_server.search.registry import Registry
from fhir_server.store.database import Contention, Database
from fhir_server.store.models import database_value, search_parameter

CURSOR_KEY = "cursor-key"
ATTEMPTS = 5


class Numbers:
    """The number of (resource type, code) in the index tables."""

    def __init__(self, numbers: Mapping[tuple[str, str], int]) -> None:
        self._numbers = numbers

    def __call__(self, resource_type: str, code: str) -> int:
        """The number; KeyError for a parameter that this server does not index."""
        return self._numbers[resource_type, code]


async def load_numbers(database: Database, registry: Registry) -> Numbers:
    """Give every parameter of the registry its number, new ones after those that the database knows."""
    wanted = {(resource_type, code): expression for resource_type, code, expression in registry.codes()}
    for _ in range(ATTEMPTS):
        known = await _known(database)
        missing = [key for key in wanted if key not in known]
        if not missing:
            return Numbers(known)
        try:
            await _add(database, missing, wanted)
        except Contention:
            continue
    raise Contention("Search parameters could not be numbered.")


async def _known(database: Database) -> dict[tuple[str, str], int]:
    rows = await database.fetch(select(search_parameter))
    return {(row["resource_type"], row["code"]): row["parameter"] for row in rows}


async def _add(database: Database, keys: list[tuple[str, str]], expressions: Mapping[tuple[str, str], str]) -> None:
    async with database.transaction() as transaction:
        rows = await transaction.fetch(select(func.max(search_parameter.c.parameter).label("last")))
        first = (rows[0]["last"] or 0) + 1
        await transaction.execute_many(
            search_parameter.insert(),
            [
                {"parameter": first + place, "resource_type": key[0], "code": key[1], "expression": expressions[key]}
                for place, key in enumerate(keys)
            ],
        )


async def load_cursor_key(database: Database) -> bytes:
    """The key that signs paging cursors: made once a database, shared by all its servers."""
    statement = select(database_value.c.value).where(database_value.c.name == CURSOR_KEY)
    for _ in range(ATTEMPTS):
        rows = await database.fetch(statement)
        if rows:
            return bytes(rows[0]["value"])
        try:
            async with database.transaction() as transaction:
                await transaction.execute(
                    database_value.insert(), {"name": CURSOR_KEY, "value": secrets.token_bytes(32)}
                )
        except Contention:
            continue
    raise Contention("The cursor key could not be made.")
