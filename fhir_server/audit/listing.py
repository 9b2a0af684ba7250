"""Sealed events become AuditEvents that can be searched: a few at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic, perf_counter, time_ns

from fhir_server import wire
from fhir_server.audit.batch import events_of, is_batch
from fhir_server.audit.event import Document
from fhir_server.caller import Caller
from fhir_server.search.extract import Extractor
from fhir_server.store import audit
from fhir_server.store.database import Database, Row, Transaction
from fhir_server.store.grants import Everything
from fhir_server.store.models import SEALED
from fhir_server.store.parameters import Numbers
from fhir_server.store.rows import Write
from fhir_server.store.writer import Writer

AT_ONCE = 8  # a moment in which the server answers nobody
ROWS_AT_ONCE, MANY = 50, 50
RECORDER = Caller("audit", "fhir_server", roles=frozenset({"administrator"}), scopes=("system/*.cruds",))
SHARE, QUIET_SHARE = 0.02, 0.5
"""The part of the time that listing takes: requests hardly notice; and when nobody asks for anything."""


@dataclass(frozen=True, slots=True)
class Lister:
    """Makes resources of what is sealed."""

    database: Database
    extractor: Extractor
    numbers: Numbers

    async def run(self, share: float) -> float | None:
        """List a few; gives for how many seconds to leave the server alone now, None when there is nothing to list."""
        started = perf_counter()
        if not await self.some(AT_ONCE):
            return None
        return (perf_counter() - started) * (1 / share - 1)

    async def some(self, at_once: int) -> int:
        """List at most so many; gives how many rows and events were done, none when there is nothing to list."""
        async with self.database.transaction() as transaction:
            await audit.alone(transaction, audit.LISTER)
            rows = await audit.waiting(transaction, SEALED, at_once)
            fresh, finished = await _fresh(transaction, rows, at_once)
            await self._write(transaction, fresh)
            for batches in (False, True):
                positions = [row["position"] for row in rows if is_batch(bytes(row["content"])) is batches]
                done = [position for position in positions if position in finished]
                await audit.listed(transaction, done, batches=batches)
        return len(fresh) + len(finished)

    async def holding(self, names: Sequence[str], until: float) -> bool:
        """List what holds one of these names, as far as it goes until this time; gives whether that was all."""
        parts, after = [name.encode() for name in names], 0
        while rows := await audit.holding(self.database, parts, after, ROWS_AT_ONCE):
            found = [event for row in rows for event in events_of(row["event_id"], bytes(row["content"])).items()]
            wanted = {event_id: event for event_id, event in found if _holds(event, parts)}
            for start in range(0, len(wanted), MANY):
                if monotonic() > until:
                    return False
                await self._list(dict(list(wanted.items())[start : start + MANY]))
            after = rows[-1]["position"]
        return True

    async def _list(self, events: Mapping[str, Document]) -> None:
        async with self.database.transaction() as transaction:
            await audit.alone(transaction, audit.LISTER)
            known = await audit.kept(transaction, list(events))
            await self._write(transaction, [event for event_id, event in events.items() if event_id not in known])

    async def _write(self, transaction: Transaction, events: Sequence[Document]) -> None:
        writer = Writer(transaction, Everything(RECORDER, self.numbers), self.extractor, self.numbers)
        if events:
            writes = [Write("create", "AuditEvent", event["id"], event) for event in events]
            await writer.write(writes, time_ns() // 1000)


def _holds(event: Document, parts: Sequence[bytes]) -> bool:
    content = wire.dumps(event)
    return any(part in content for part in parts)


async def _fresh(transaction: Transaction, rows: Sequence[Row], at_once: int) -> tuple[list[Document], set[int]]:
    """The first events that are no resources yet, and the rows of which all are, or will be with these."""
    fresh: list[Document] = []
    finished: set[int] = set()
    for row in rows:
        events = events_of(row["event_id"], bytes(row["content"]))
        known = await audit.kept(transaction, list(events))
        new = [event for event_id, event in events.items() if event_id not in known]
        room = at_once - len(fresh)
        fresh += new[:room]
        if len(new) > room:
            break
        finished.add(row["position"])
    return fresh, finished
