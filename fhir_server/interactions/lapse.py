"""A case whose release has ended rests, and goes on when it is released again: the server's own steps `lapse`, `renew`.

Every few seconds, and soon after a write that may matter, each case with a consultant is held against what releases
it to that consultant, by the very terms that decide what he is shown. Several processes may do so: a step is taken
by whoever is first, since each writes the version that it has seen.  docs/case.md
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from fhir_server import wire
from fhir_server.caller import Caller
from fhir_server.context import Context, Node
from fhir_server.errors import FhirError
from fhir_server.interactions.update import Target, update
from fhir_server.rules.pair import business_status
from fhir_server.rules.states import BUSINESS_STATUS, table
from fhir_server.rules.steps import owner_of
from fhir_server.search.dates import instant
from fhir_server.store.grants import Everything
from fhir_server.store.repository import HistoryScope
from konsil.telemetry import logger

LAPSED = "consent-lapsed"
CLOCK = Caller("clock", "fhir_server", roles=frozenset({"system"}), scopes=("system/*.cruds",))
AT_ONCE, SHARE = 200, 0.02
SETTLED_SECONDS = 0.5
Case = dict[str, Any]


@dataclass
class Lapses:
    """Looks after the cases of a node; `pause` is how long it leaves the server alone."""

    node: Node
    _refused: dict[str, str] = field(default_factory=dict, init=False)

    async def run(self) -> None:
        """Look again and again, for as long as the server runs."""
        seconds = self.node.settings.case_watch_seconds
        while seconds > 0:
            started = time.perf_counter()
            try:
                await self.look()
            except Exception as error:  # whatever it is: one that ends would let no case rest any more
                logger("fhir_server").warning("cases were not held against their Consents", exc_info=error)
            pause = max(seconds, (time.perf_counter() - started) / SHARE)
            with suppress(TimeoutError):
                await asyncio.wait_for(self.node.consents.changed.wait(), pause)
                await asyncio.sleep(SETTLED_SECONDS)
            self.node.consents.changed.clear()

    async def look(self) -> int:
        """Take the steps that are due; gives how many."""
        now = time.time_ns() // 1000
        by_owner: dict[str, list[Case]] = {}
        for case in await self._watched(now):
            owner = owner_of(case)
            if owner is not None:
                by_owner.setdefault(owner, []).append(case)
        return sum([await self._of_owner(owner, cases, now) for owner, cases in by_owner.items()])

    async def _watched(self, now: int) -> list[Case]:
        """The cases that a step may lead to rest, and those that rest."""
        ctx = Context.of(self.node, CLOCK, now)
        store = ctx.store_in(self.node.database, Everything(CLOCK, self.node.numbers))
        states = {LAPSED}.union(*(step.sources for step in table().steps if step.name == "lapse"))
        codes = ",".join(f"{BUSINESS_STATUS}|{state}" for state in sorted(filter(None, states)))
        query = self.node.parser.parse("Task", [("business-status", codes), ("_sort", "_lastUpdated")])
        query.count = AT_ONCE
        found: list[Case] = []
        after: Sequence[Any] | None = None
        while True:
            page = await store.search(query, after)
            found += [wire.loads(version.content) for version in page.matches if version.content]
            if not page.more or page.last is None:
                return found
            after = page.last

    async def _of_owner(self, owner: str, cases: Sequence[Case], now: int) -> int:
        reader = Caller(owner, "fhir_server", owner, frozenset({"consultant"}))
        terms = await self.node.consents.terms(self.node.database, reader, now)
        covered = {case for agreement in terms.agreements for case in agreement.cases}
        steps = 0
        for case in cases:
            rests = business_status(case) == LAPSED
            if rests == (f"Task/{case['id']}" in covered):
                steps += await self._step(case, await self._former(case, now) if rests else LAPSED, now)
        return steps

    async def _former(self, case: Case, now: int) -> str:
        """Where a case stood before it rested; a second read goes on as reading."""
        store = Context.of(self.node, CLOCK, now).store
        versions = await store.history(HistoryScope("Task", case["id"]), AT_ONCE)
        states = [business_status(wire.loads(version.content)) for version in versions if version.content]
        former = next((state for state in states if state != LAPSED), None)
        return former if former in {"assigned", "info-requested"} else "in-review"

    async def _step(self, case: Case, target: str, now: int) -> int:
        state = table().states[target]
        moved = case | {
            "status": state.task[0],
            "businessStatus": {"coding": [{"system": BUSINESS_STATUS, "code": target, "display": state.title}]},
            "lastModified": instant(now),
        }
        version = int(case["meta"]["versionId"])
        try:
            await update(Context.of(self.node, CLOCK, now), Target("Task", case["id"], if_match=version), moved)
        except FhirError as error:  # somebody else was quicker, or a rule keeps it where it is
            self._say(case["id"], f"{target}: {error.diagnostics}")
            return 0
        return 1

    def _say(self, case: str, problem: str) -> None:
        if self._refused.get(case) != problem:
            self._refused = {**self._refused, case: problem} if len(self._refused) < AT_ONCE else {case: problem}
            logger("fhir_server").info("Task/%s stays where it is: %s", case, problem)
