"""Keeps the definitions in memory as fresh as those in the database."""

import asyncio
import time

from anyio import to_thread
from sqlalchemy import func, select

from fhir_server.conformance.canonicals import CANONICAL_TYPES, Canonicals
from fhir_server.store.database import Database
from fhir_server.store.models import resource

FRESH_SECONDS = 5.0
ROWS_AT_ONCE = 200
Mark = tuple[tuple[str, int, int], ...]


class StoredCanonicals:
    """Reads what has changed: every five seconds at most, at once after `touch`."""

    def __init__(self, database: Database, canonicals: Canonicals) -> None:
        self._database = database
        self._canonicals = canonicals
        self._versions: dict[int, int] = {}
        self._mark: Mark = ()
        self._looked_at = float("-inf")
        self._touches = self._seen_touches = 0
        self._lock = asyncio.Lock()

    def touch(self) -> None:
        """A definition has been written by this process: look again before the next use."""
        self._touches += 1

    async def refresh(self) -> None:
        """Look whether stored definitions have changed, unless that was done just now, and take the changes over."""
        if self._is_fresh():
            return
        async with self._lock:
            if not self._is_fresh():
                await self._look()

    def _is_fresh(self) -> bool:
        return self._touches == self._seen_touches and time.monotonic() - self._looked_at < FRESH_SECONDS

    async def _look(self) -> None:
        looked_at, touches = time.monotonic(), self._touches
        mark = await self._read_mark()
        if mark != self._mark:
            await self._take_over()
            self._mark = mark
        self._looked_at, self._seen_touches = looked_at, touches

    async def _read_mark(self) -> Mark:
        """What differs as soon as a definition is written or deleted."""
        statement = (
            select(
                resource.c.resource_type,
                func.count().label("count"),
                func.max(resource.c.last_updated).label("last"),
            )
            .where(resource.c.resource_type.in_(CANONICAL_TYPES))
            .group_by(resource.c.resource_type)
            .order_by(resource.c.resource_type)
        )
        rows = await self._database.fetch(statement)
        return tuple((row["resource_type"], row["count"], row["last"]) for row in rows)

    async def _take_over(self) -> None:
        statement = select(resource.c.row_id, resource.c.version_id).where(
            resource.c.resource_type.in_(CANONICAL_TYPES), resource.c.quarantined.is_(False)
        )
        versions = {row["row_id"]: row["version_id"] for row in await self._database.fetch(statement)}
        gone = [row_id for row_id in self._versions if row_id not in versions]
        changed = [row_id for row_id, version in versions.items() if self._versions.get(row_id) != version]
        found: dict[int, bytes] = {}
        for start in range(0, len(changed), ROWS_AT_ONCE):
            part = changed[start : start + ROWS_AT_ONCE]
            rows = await self._database.fetch(
                select(resource.c.row_id, resource.c.content).where(resource.c.row_id.in_(part))
            )
            found |= {row["row_id"]: row["content"] for row in rows}
        await to_thread.run_sync(self._canonicals.replace_stored, gone, found)
        self._versions = versions
