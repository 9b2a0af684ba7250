"""Whether every index row agrees with its resource: extracted anew and compared, page by page, while the server runs.

What seems wrong is looked at once more with the resource locked, so a write in between is no fault; repaired there too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Table, delete, func, select

from fhir_server import wire
from fhir_server.search.extract import Extractor
from fhir_server.search.hashing import hash64
from fhir_server.store.compiler import Records, Step
from fhir_server.store.conditions import Numbering
from fhir_server.store.database import Database, Row, Transaction
from fhir_server.store.models import INDEX_TABLES, resource
from fhir_server.store.rows import index_rows, labels_of
from fhir_server.store.sensitive import relabelled

PAGE = 500
COLUMNS = ("row_id", "resource_type", "resource_id", "patient", "moment", "last_updated", "labels", "content")
# Every index row of some resources: (row id, table) to its columns' values.
Rows = dict[tuple[int, str], set[tuple[Any, ...]]]
# What is done, what there is.
Progress = Callable[[int, int], None]


@dataclass(slots=True)
class Verified:
    """How many resources agree, which do not (`Type/id`), and how many index rows belong to no resource."""

    agree: int = 0
    disagree: list[str] = field(default_factory=list)
    orphans: int = 0


class Verifier:
    """Verifies one database with the parameters of one server."""

    def __init__(self, database: Database, extractor: Extractor, number: Numbering) -> None:
        self.database = database
        self.extractor = extractor
        self.number = number

    async def run(self, progress: Progress, *, repair: bool = False) -> Verified:
        """Look at every resource; with `repair` make the index rows anew that do not agree."""
        verified, position = Verified(), 0
        total = sum((await counts(self.database)).values())
        statement = select(*(resource.c[name] for name in COLUMNS)).order_by(resource.c.row_id).limit(PAGE)
        while page := await self.database.fetch(statement.where(resource.c.row_id > position)):
            suspects = await self._differing(self.database, page)
            wrong = await self._again(suspects, repair) if suspects else []
            verified.disagree += wrong
            verified.agree += len(page) - len(wrong)
            position = page[-1]["row_id"]
            progress(verified.agree + len(verified.disagree), total)
        verified.orphans = await self._orphans(repair)
        return verified

    async def _differing(self, source: Database | Transaction, page: Sequence[Row]) -> list[int]:
        stored: Rows = {}
        ids = [row["row_id"] for row in page]
        for name, table in INDEX_TABLES.items():
            for row in await source.fetch(select(table).where(table.c.row_id.in_(ids))):
                stored.setdefault((row["row_id"], name), set()).add(_values(table, row))
        wanted: Rows = {}
        for row in page:
            labels, rows = self._made(row)
            stored[row["row_id"], "labels"], wanted[row["row_id"], "labels"] = {(row["labels"],)}, {(labels,)}
            for name, made in rows.items():
                wanted[row["row_id"], name] = set(made)
        differing = {key[0] for key in stored.keys() | wanted.keys() if stored.get(key) != wanted.get(key)}
        return sorted(differing)

    def _made(self, row: Row) -> tuple[int, dict[str, list[tuple[Any, ...]]]]:
        """The labels and the index rows that a resource should have."""
        extracted = self.extractor.extract(wire.loads(row["content"]))
        key = None if row["patient"] is None else hash64("Patient", row["patient"])
        moment = row["last_updated"] if extracted.moment is None else extracted.moment
        place, number = (row["row_id"], key, moment), partial(self.number, row["resource_type"])
        return labels_of(row["resource_type"], extracted), dict(index_rows(extracted, place, number))

    async def _again(self, suspects: Sequence[int], repair: bool) -> list[str]:
        statement = select(*(resource.c[name] for name in COLUMNS)).where(resource.c.row_id.in_(suspects))
        async with self.database.transaction() as transaction:
            page = await transaction.fetch(statement.order_by(resource.c.row_id).with_for_update())
            differing = set(await self._differing(transaction, page))
            wrong = [row for row in page if row["row_id"] in differing]
            if repair and wrong:
                await self._repair(transaction, wrong)
        return [f"{row['resource_type']}/{row['resource_id']}" for row in wrong]

    async def _repair(self, transaction: Transaction, wrong: Sequence[Row]) -> None:
        ids = [row["row_id"] for row in wrong]
        made: dict[str, list[tuple[Any, ...]]] = {}
        for row in wrong:
            for name, rows in self._made(row)[1].items():
                made.setdefault(name, []).extend(rows)
        steps: list[Step] = [(delete(table).where(table.c.row_id.in_(ids)), None) for table in INDEX_TABLES.values()]
        await transaction.run([*steps, *(Records(INDEX_TABLES[name], rows) for name, rows in made.items())])
        await transaction.execute(relabelled(resource.c.row_id.in_(ids)))

    async def _orphans(self, repair: bool) -> int:
        """Index rows of nothing, counted and perhaps deleted."""
        found = 0
        for table in INDEX_TABLES.values():
            rows = await self.database.fetch(select(func.count().label("count")).where(_alone(table)))
            found += rows[0]["count"]
            if repair and rows[0]["count"]:
                async with self.database.transaction() as transaction:
                    await transaction.execute(delete(table).where(_alone(table)))
        return found


async def counts(database: Database) -> Mapping[str, int]:
    """How many living resources there are of each type."""
    statement = select(resource.c.resource_type, func.count().label("count")).group_by(resource.c.resource_type)
    rows = await database.fetch(statement.order_by(resource.c.resource_type))
    return {row["resource_type"]: row["count"] for row in rows}


def _alone(table: Table) -> ColumnElement[bool]:
    return table.c.row_id.not_in(select(resource.c.row_id))


def _values(table: Table, row: Row) -> tuple[Any, ...]:
    return tuple(row[column.name] for column in table.columns)
