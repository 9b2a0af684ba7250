"""Numbers of search parameters and other values that belong to one database."""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import delete, func, select

from fhir_server import wire
from fhir_server.errors import Unavailable
from fhir_server.search.custom import accepted
from fhir_server.search.registry import Registry
from fhir_server.store.database import Contention, Database, Transaction
from fhir_server.store.models import database_value, resource, search_parameter

CURSOR_KEY = "cursor-key"
GENERATION = "search-parameters"
FOLLOW_SECONDS = 2.0
ATTEMPTS = 5

Code = tuple[str, str]


class Numbers:
    """The number of (resource type, code) in the index tables."""

    def __init__(self, numbers: Mapping[Code, int]) -> None:
        self._numbers = dict(numbers)

    def __call__(self, resource_type: str, code: str) -> int:
        """The number; KeyError for a parameter that this server does not index."""
        return self._numbers[resource_type, code]

    def renew(self, numbers: Mapping[Code, int]) -> None:
        """Know those that have been given since."""
        self._numbers.update(numbers)


@dataclass(slots=True)
class Loaded:
    """What the database knows of the parameters: numbers, what has to be indexed by type, what could not be taken up.

    `dropped` are numbers whose parameter is no longer there.
    """

    numbers: dict[Code, int]
    pending: dict[str, dict[str, int]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    dropped: list[int] = field(default_factory=list)


async def load_numbers(database: Database, registry: Registry) -> Numbers:
    """Give every parameter of the registry its number, and offer those that have been added at run time."""
    numbers = Numbers({})
    await load_parameters(database, registry, numbers)
    return numbers


async def load_parameters(database: Database, registry: Registry, numbers: Numbers) -> Loaded:
    """Read the stored SearchParameters and the state of every index; number what is new.

    A parameter that is new to a database with resources waits for a reindex: it is written and not searched.
    """
    statement = select(resource.c.content).where(resource.c.resource_type == "SearchParameter")
    stored = await database.fetch(statement.order_by(resource.c.row_id))
    custom, refused = accepted([wire.loads(row["content"]) for row in stored], registry)
    next_registry = Registry(registry.definitions, registry.units, full_text=registry.full_text)
    next_registry.renew(custom, ())
    wanted = {(resource_type, code): made_from for resource_type, code, made_from in next_registry.codes()}
    rows = await _numbered(database, wanted)
    loaded = Loaded({key: number for key, (number, _, _) in rows.items()}, refused=refused)
    waiting = []
    for key, (number, made_from, ready) in rows.items():
        if key in wanted and not (ready and made_from == wanted[key]):
            loaded.pending.setdefault(key[0], {})[key[1]] = number
        if key in wanted and not ready:
            waiting.append(key)
        elif key not in wanted and made_from:
            loaded.dropped.append(number)
    numbers.renew(loaded.numbers)
    registry.renew(custom, waiting)
    return loaded


Numbered = dict[Code, tuple[int, str, bool]]


async def _numbered(database: Database, wanted: Mapping[Code, str]) -> Numbered:
    for _ in range(ATTEMPTS):
        known = await _known(database)
        missing = [key for key in wanted if key not in known]
        if not missing:
            return known
        try:
            async with database.transaction() as transaction:
                await _add(transaction, missing, wanted)
        except Contention:
            continue
    raise Contention("Search parameters could not be numbered.")


async def _known(database: Database) -> Numbered:
    rows = await database.fetch(select(search_parameter))
    return {
        (row["resource_type"], row["code"]): (row["parameter"], row["expression"] or "", bool(row["ready"]))
        for row in rows
    }


async def _add(transaction: Transaction, keys: Sequence[Code], made_from: Mapping[Code, str]) -> None:
    rows = await transaction.fetch(select(func.max(search_parameter.c.parameter).label("last")))
    first = (rows[0]["last"] or 0) + 1
    empty = not await transaction.fetch(select(resource.c.row_id).limit(1))
    await transaction.execute_many(
        search_parameter.insert(),
        [
            {
                "parameter": first + place,
                "resource_type": key[0],
                "code": key[1],
                "expression": made_from[key],
                "ready": empty,
            }
            for place, key in enumerate(keys)
        ],
    )


async def announce(database: Database) -> None:
    """Tell every server of this database that the parameters are others now."""
    async with database.transaction() as transaction:
        await transaction.execute(delete(database_value).where(database_value.c.name == GENERATION))
        await transaction.execute(database_value.insert(), {"name": GENERATION, "value": secrets.token_bytes(16)})


async def follow(database: Database, registry: Registry, numbers: Numbers) -> None:
    """Take up parameters that another process has announced, for as long as the server runs."""
    statement = select(database_value.c.value).where(database_value.c.name == GENERATION)
    seen = [bytes(row["value"]) for row in await database.fetch(statement)]
    while True:
        await asyncio.sleep(FOLLOW_SECONDS)
        try:
            now = [bytes(row["value"]) for row in await database.fetch(statement)]
            if now != seen:
                await load_parameters(database, registry, numbers)
                seen = now
        except (Unavailable, Contention):
            continue


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
