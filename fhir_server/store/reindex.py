"""Making index rows anew, type by type, while the server runs; stopped anywhere, it goes on where it was.

A step is one transaction: the next resources are locked, their rows of the pending parameters replaced, the place kept.
Parameters become searchable at the end, when those resources are looked at once more that were written since the
beginning: a server that had not heard of the parameters yet may have written them.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, update

from fhir_server import wire
from fhir_server.search.extract import Extracted, Extractor
from fhir_server.search.hashing import hash64
from fhir_server.store.compiler import Records, Step
from fhir_server.store.database import Contention, Database, Row, Transaction
from fhir_server.store.models import INDEX_TABLES, reindex, resource, search_parameter
from fhir_server.store.parameters import FOLLOW_SECONDS, Loaded, Numbers, announce, load_parameters
from fhir_server.store.rows import index_rows
from fhir_server.store.sensitive import relabelled

STEP = 200
ATTEMPTS = 8
SECOND = 1_000_000

# What is done, what there is: resource type, resources done, resources altogether.
Progress = Callable[[str, int, int], None]


class Reindexer:
    """Reindexes one database with the parameters of one server."""

    def __init__(self, database: Database, extractor: Extractor, numbers: Numbers) -> None:
        self.database = database
        self.extractor = extractor
        self.registry = extractor.registry
        self.numbers = numbers

    async def run(self, progress: Progress, types: Sequence[str] = (), *, alone: bool = False) -> Loaded:
        """Do what is pending, and all of `types` whether it is pending or not. `alone`: no other server runs.

        Gives what was pending, with what could not be taken up.
        """
        loaded = await load_parameters(self.database, self.registry, self.numbers)
        for resource_type in types:
            loaded.pending[resource_type] = {
                code: number for (type_, code), number in loaded.numbers.items() if type_ == resource_type
            }
        if loaded.pending or loaded.dropped:
            await announce(self.database)
            await self._all(loaded, progress, alone)
        return loaded

    async def _all(self, loaded: Loaded, progress: Progress, alone: bool) -> None:
        began = time.time_ns() // 1000
        for resource_type, pending in sorted(loaded.pending.items()):
            began = min(began, await self._type(resource_type, pending, progress))
        if not alone:
            heard = began + 2 * FOLLOW_SECONDS * SECOND
            await asyncio.sleep(max(0, heard - time.time_ns() // 1000) / SECOND)
            for resource_type, pending in sorted(loaded.pending.items()):
                await self._again(resource_type, pending, began)
        await self._finish(loaded)
        await announce(self.database)

    async def _type(self, resource_type: str, pending: Mapping[str, int], progress: Progress) -> int:
        """Go through a type from where the last run stopped; gives when the first one began."""
        place = await self._place(resource_type, pending)
        of_type = resource.c.resource_type == resource_type
        counted = await self.database.fetch(select(func.count().label("count")).select_from(resource).where(of_type))
        position, done, total = place["position"], place["done"], int(counted[0]["count"])
        while True:
            progress(resource_type, done, max(done, total))
            rows = await self._step(resource_type, pending, [resource.c.row_id > position], done)
            if not rows:
                return int(place["started"])
            position, done = rows[-1]["row_id"], done + len(rows)

    async def _again(self, resource_type: str, pending: Mapping[str, int], began: int) -> None:
        position = 0
        since = resource.c.last_updated >= began - SECOND
        while rows := await self._step(resource_type, pending, [resource.c.row_id > position, since], None):
            position = rows[-1]["row_id"]

    async def _place(self, resource_type: str, pending: Mapping[str, int]) -> Row:
        """Where the last run stopped, if it was about the same parameters."""
        parameters = ",".join(f"{code}={number}" for code, number in sorted(pending.items()))
        mine = reindex.c.resource_type == resource_type
        async with self.database.transaction() as transaction:
            await transaction.execute(delete(reindex).where(mine, reindex.c.parameters != parameters))
            if not await transaction.fetch(select(reindex.c.position).where(mine)):
                values = {"resource_type": resource_type, "parameters": parameters, "position": 0, "done": 0}
                await transaction.execute(reindex.insert(), values | {"started": time.time_ns() // 1000})
            rows = await transaction.fetch(select(reindex).where(mine))
        return rows[0]

    async def _step(
        self, resource_type: str, pending: Mapping[str, int], tests: Sequence[ColumnElement[bool]], done: int | None
    ) -> Sequence[Row]:
        """Replace the rows of the next resources; `done` is what is kept with the place, None for none."""
        for attempt in range(ATTEMPTS):
            try:
                async with self.database.transaction() as transaction:
                    return await self._replace(transaction, resource_type, pending, (tests, done))
            except Contention:
                await asyncio.sleep(0.02 * 2**attempt)
        raise Contention(f"Others kept changing the {resource_type} resources; run it again.")

    async def _replace(
        self,
        transaction: Transaction,
        resource_type: str,
        pending: Mapping[str, int],
        which: tuple[Sequence[ColumnElement[bool]], int | None],
    ) -> Sequence[Row]:
        tests, done = which
        columns = (resource.c[name] for name in ("row_id", "patient", "moment", "content"))
        statement = select(*columns).where(resource.c.resource_type == resource_type, *tests)
        rows = await transaction.fetch(statement.order_by(resource.c.row_id).limit(STEP).with_for_update())
        if not rows:
            return rows
        kinds = {*self.registry.kinds(resource_type), "composite"}
        tables = [table for name, table in INDEX_TABLES.items() if name in kinds]
        ids, numbers = [row["row_id"] for row in rows], sorted(pending.values())
        steps: list[Step] = [
            (delete(table).where(table.c.row_id.in_(ids), table.c.parameter.in_(numbers)), None) for table in tables
        ]
        made = self._made(rows, pending)
        labels: list[Step] = [(relabelled(resource.c.row_id.in_(ids)), None)] if "token" in kinds else []
        await transaction.run([*steps, *(Records(INDEX_TABLES[name], made[name]) for name in sorted(made)), *labels])
        if done is not None:
            place = {"position": ids[-1], "done": done + len(ids)}
            await transaction.execute(update(reindex).where(reindex.c.resource_type == resource_type).values(**place))
        return rows

    def _made(self, rows: Sequence[Row], pending: Mapping[str, int]) -> dict[str, list[tuple[Any, ...]]]:
        made: dict[str, list[tuple[Any, ...]]] = {}
        only = frozenset(code.partition(":")[0] for code in pending)
        for row in rows:
            key = None if row["patient"] is None else hash64("Patient", row["patient"])
            extracted = self.extractor.extract(wire.loads(row["content"]), only)
            wanted = {name: [one for one in rows if one[0] in pending] for name, rows in extracted.rows.items()}
            place = row["row_id"], key, row["moment"]
            for name, fresh in index_rows(Extracted(wanted), place, pending.__getitem__):
                made.setdefault(name, []).extend(fresh)
        return {name: found for name, found in made.items() if found}

    async def _finish(self, loaded: Loaded) -> None:
        """Offer what was pending; forget the rows of what is no longer there."""
        wanted = {(type_, code): made_from for type_, code, made_from in self.registry.codes()}
        ready = [
            {"number": number, "made_from": wanted[type_, code]}
            for type_, pending in loaded.pending.items()
            for code, number in pending.items()
            if (type_, code) in wanted
        ]
        ready += [{"number": number, "made_from": ""} for number in loaded.dropped]
        at = search_parameter.c.parameter
        async with self.database.transaction() as transaction:
            for number in loaded.dropped:
                await transaction.run(
                    [(delete(table).where(table.c.parameter == number), None) for table in INDEX_TABLES.values()]
                )
            for each in ready:
                values = {"expression": each["made_from"], "ready": bool(each["made_from"])}
                await transaction.execute(update(search_parameter).where(at == each["number"]).values(**values))
            await transaction.execute(delete(reindex).where(reindex.c.resource_type.in_(sorted(loaded.pending))))
        await load_parameters(self.database, self.registry, self.numbers)
