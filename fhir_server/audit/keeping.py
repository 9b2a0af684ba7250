"""The one who seals each second, and lists a little, for as long as the server runs."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic

from fhir_server.audit.chain import Sealer
from fhir_server.audit.journal import Journal
from fhir_server.audit.listing import QUIET_SHARE, SHARE, Lister
from fhir_server.errors import Unavailable
from fhir_server.store.database import Contention
from konsil.telemetry import logger

SECONDS = 1.0
CATCH_UP_SECONDS, CATCH_UP_AT_ONCE = 2.0, 50


@dataclass
class Keeper:
    """Seals what the journal holds, and makes resources of it."""

    journal: Journal
    sealer: Sealer
    lister: Lister
    _problems: dict[str, str] = field(default_factory=dict, init=False)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def run(self) -> None:
        """Keep the journal: both at once, each in its own time."""
        if not self.journal.enabled:
            return
        await asyncio.gather(self._again("sealed", self._seal), self._again("listed", self._list))

    async def catch_up(self, names: Sequence[str] = ()) -> bool:
        """List what has happened until now (with `names` what holds one of them), as far as two seconds go: who asks
        for events pays, not who reads. Gives whether that was all.
        """
        if not self.journal.enabled:
            return True
        async with self._turn:
            await self.journal.flush()
            await self.sealer.seal()
            end = monotonic() + CATCH_UP_SECONDS
            if names:
                return await self.lister.holding(names, end)
            while monotonic() < end:
                if not await self.lister.some(CATCH_UP_AT_ONCE):
                    return True
            return False

    async def _list(self) -> float | None:
        return await self.lister.run(QUIET_SHARE if self.journal.is_quiet else SHARE)

    async def _seal(self) -> None:
        await self.sealer.seal()
        await self.sealer.sign()

    async def _again(self, done: str, work: Callable[[], Awaitable[float | None]]) -> None:
        """Do it, and again after as many seconds as it says, else after one."""
        while True:
            pause = await self._tried(done, work)
            await asyncio.sleep(SECONDS if pause is None else pause)

    async def _tried(self, done: str, work: Callable[[], Awaitable[float | None]]) -> float | None:
        """What fails is tried again, and said once."""
        problem = ""
        try:
            return await work()
        except (Unavailable, Contention):
            return None
        except Exception as error:  # whatever it is: a keeper that ends would seal nothing more
            problem = f"{type(error).__name__}: {error}"
            if problem != self._problems.get(done):
                logger("fhir_server").error("the audit journal is not %s", done, exc_info=error)
            return None
        finally:
            self._problems[done] = problem
