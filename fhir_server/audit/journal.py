"""What was read, put down many events at a time: within 50 ms, or before the answer where it is sensitive.

A write's event needs none of this: it is a row of the write's own transaction. When more events wait than the journal
holds, who reads next waits until they are down; when they cannot be put down, nothing more is shown (503).
"""

import asyncio
from collections.abc import Sequence

from fhir_server.errors import Unavailable
from fhir_server.store import audit
from fhir_server.store.audit import JournalRow
from fhir_server.store.database import Contention, Database
from konsil.telemetry import logger

PAUSE_SECONDS = 0.05
MOST_WAITING = 10_000


class Journal:
    """The events that wait; `requests` counts what the server was asked. `enabled` False: nothing is put down
    (measurements).
    """

    def __init__(self, database: Database, *, enabled: bool = True) -> None:
        self.database = database
        self.enabled = enabled
        self.requests = 0
        self._waiting: list[JournalRow] = []
        self._doubtful = False
        self._some = asyncio.Event()
        self._turn = asyncio.Lock()

    async def add(self, rows: Sequence[JournalRow], *, at_once: bool = False) -> None:
        """Put events down soon, or (`at_once`, and when too many wait) before this returns. Raises Unavailable."""
        if not self.enabled or not rows:
            return
        self._waiting.extend(rows)
        self._some.set()
        if at_once or len(self._waiting) > MOST_WAITING:
            await self.flush()

    async def flush(self) -> None:
        """Put down what waits. Raises Unavailable; it waits on then."""
        async with self._turn:
            rows, self._waiting = self._waiting, []
            if not rows:
                return
            try:
                async with self.database.transaction() as transaction:
                    there = await audit.there(transaction, rows) if self._doubtful else set()
                    await audit.append(transaction, [row for row in rows if row["position"] not in there])
                self._doubtful = False
            except (Unavailable, Contention) as error:
                # Whether the commit was lost or only its answer is not known.
                self._waiting, self._doubtful = rows + self._waiting, True
                raise Unavailable("The audit journal cannot be written; try again.") from error

    async def run(self) -> None:
        """Put down what comes, for as long as the server runs."""
        while True:
            await self._some.wait()
            await asyncio.sleep(PAUSE_SECONDS)
            self._some.clear()
            try:
                await asyncio.shield(self.flush())
            except Unavailable:
                logger("fhir_server").warning("the audit journal cannot be written; %d events wait", len(self._waiting))
                self._some.set()
