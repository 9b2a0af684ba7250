"""What was read, put down many events at a time: within 50 ms, or before the answer where it is sensitive.

A request only leaves behind what happened; JSON and digest are made when it is put down, of many events at once. A
write's event needs none of this: it is a row of the write's own transaction. When more events wait than the journal
holds, who reads next waits until they are down; when they cannot be put down, nothing more is shown (503).
"""

import asyncio
from time import monotonic

from fhir_server.audit.batch import Noted, batch_rows
from fhir_server.errors import Unavailable
from fhir_server.store import audit
from fhir_server.store.audit import JournalRow
from fhir_server.store.database import Contention, Database
from konsil.telemetry import logger

PAUSE_SECONDS = 0.05
QUIET_SECONDS, RETRY_SECONDS = 0.25, 1.0
MOST_WAITING = 10_000


class Journal:
    """The events that wait. `enabled` False: nothing is put down (measurements)."""

    def __init__(self, database: Database, *, enabled: bool = True) -> None:
        self.database = database
        self.enabled = enabled
        self._waiting: list[Noted] = []
        self._rows: list[JournalRow] = []
        self._doubtful = False
        self._some = asyncio.Event()
        self._turn = asyncio.Lock()
        self._composed = 0
        self._busy_until = 0.0

    async def add(self, noted: Noted, *, at_once: bool = False) -> None:
        """Put it down soon, or (`at_once`, and when too many wait) before this returns. Raises Unavailable."""
        if not self.enabled:
            return
        self._waiting.append(noted)
        self._some.set()
        if at_once or self._count > MOST_WAITING:
            await self.flush()

    @property
    def _count(self) -> int:
        return len(self._waiting) + self._composed

    def asked(self) -> None:
        """Note that somebody is being answered."""
        self._busy_until = monotonic() + QUIET_SECONDS

    @property
    def is_quiet(self) -> bool:
        """Whether nobody has asked for anything just now."""
        return monotonic() > self._busy_until

    async def flush(self) -> None:
        """Put down what waits. Raises Unavailable; it waits on then."""
        async with self._turn:
            self._rows += batch_rows(self._waiting)
            self._composed += len(self._waiting)
            self._waiting.clear()
            if not self._rows:
                return
            doubtful, self._doubtful = self._doubtful, True
            try:
                async with self.database.transaction() as transaction:
                    there = await audit.there(transaction, self._rows) if doubtful else set()
                    await audit.append(transaction, [row for row in self._rows if row["position"] not in there])
            except (Unavailable, Contention) as error:
                # Whether the commit was lost or only its answer is not known.
                raise Unavailable("The audit journal cannot be written; try again.") from error
            self._rows, self._composed, self._doubtful = [], 0, False

    async def run(self) -> None:
        """Put down what comes, for as long as the server runs."""
        while True:
            await self._some.wait()
            await asyncio.sleep(PAUSE_SECONDS)
            self._some.clear()
            try:
                await asyncio.shield(self.flush())
            except Exception as error:  # a full disk too: a journal that ends would put nothing more down
                log = logger("fhir_server")
                log.warning("the audit journal cannot be written; %d wait", self._count, exc_info=error)
                await asyncio.sleep(RETRY_SECONDS)
                self._some.set()
