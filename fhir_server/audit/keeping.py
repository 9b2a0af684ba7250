"""The one who seals and lists, each second, for as long as the server runs."""

import asyncio
from dataclasses import dataclass, field

from fhir_server.audit.chain import Sealer
from fhir_server.audit.journal import Journal
from fhir_server.audit.listing import Lister
from fhir_server.errors import Unavailable
from fhir_server.store.database import Contention
from konsil.telemetry import logger

SECONDS = 1.0


@dataclass
class Keeper:
    """Seals what the journal holds, and makes resources of it."""

    sealer: Sealer
    lister: Lister
    journal: Journal
    _problem: str | None = field(default=None, init=False)

    async def run(self) -> None:
        """Keep the journal."""
        while True:
            await asyncio.sleep(await self._round())

    async def _round(self) -> float:
        """Seal, sign, list a few; gives for how many seconds to rest. What fails is tried again and said once."""
        problem, pause = None, None
        try:
            await self.sealer.seal()
            pause = await self.lister.run(self.journal.requests)
            await self.sealer.sign()
        except (Unavailable, Contention):
            pass
        except (
            Exception
        ) as error:  # whatever it is: the events are kept, and a keeper that ends would seal nothing more
            problem = f"{type(error).__name__}: {error}"
            if problem != self._problem:
                logger("fhir_server").error("the audit journal is not sealed or signed", exc_info=error)
        self._problem = problem
        return SECONDS if pause is None else pause
