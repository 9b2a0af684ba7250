"""Sealed events become AuditEvents that can be searched: soon when there is little else to do, a few at a time else."""

from dataclasses import dataclass, field
from time import perf_counter, time_ns
from typing import Any

from fhir_server import wire
from fhir_server.caller import Caller
from fhir_server.search.extract import Extractor
from fhir_server.store import audit
from fhir_server.store.database import Database
from fhir_server.store.grants import Everything
from fhir_server.store.models import SEALED
from fhir_server.store.parameters import Numbers
from fhir_server.store.rows import Write
from fhir_server.store.writer import Writer

AT_ONCE = 20
RECORDER = Caller("audit", "fhir_server", roles=frozenset({"administrator"}), scopes=("system/*.cruds",))
BUSY_SHARE = 0.1
"""While requests come, listing takes no more than this part of the time."""


@dataclass
class Lister:
    """Makes resources of what is sealed."""

    database: Database
    extractor: Extractor
    numbers: Numbers
    _seen: int = field(default=0, init=False)

    async def run(self, requests: int) -> float | None:
        """List a few; gives for how many seconds to leave the server alone now, None when there is nothing to list.

        `requests`: how many the server has had, so that it is known whether more came since.
        """
        started = perf_counter()
        count = await self.some()
        spent, busy = perf_counter() - started, requests != self._seen
        self._seen = requests
        return None if not count else spent / BUSY_SHARE if busy else 0.0

    async def some(self) -> int:
        """List at most some; gives how many."""
        if not await audit.waiting(self.database, SEALED, 1):
            return 0
        async with self.database.transaction() as transaction:
            await audit.alone(transaction, audit.LISTER)
            rows = await audit.waiting(transaction, SEALED, AT_ONCE)
            known = await audit.known(transaction, [row["event_id"] for row in rows])
            writes = [_write(bytes(row["content"])) for row in rows if row["event_id"] not in known]
            writer = Writer(transaction, Everything(RECORDER, self.numbers), self.extractor, self.numbers)
            if writes:
                await writer.write(writes, time_ns() // 1000)
            await audit.listed(transaction, [row["position"] for row in rows])
        return len(rows)


def _write(content: bytes) -> Write:
    event: dict[str, Any] = wire.loads(content)
    return Write("create", "AuditEvent", event["id"], event)
