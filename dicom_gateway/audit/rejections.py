"""Associations that were refused: an alert a minute for each address and reason; every one stands in `association`."""

import threading
import time
from collections.abc import Callable

from sqlalchemy import Connection

from dicom_gateway.audit.happened import ALERT, MINOR, NODE_AUTHENTICATION, Agent, Happened, note, ourselves
from dicom_gateway.audit.received import is_told
from dicom_gateway.settings import Settings

SAME_SECONDS = 60.0
MOST_KNOWN = 1000


class Rejections:
    """Whoever calls again and again makes one event a minute, not a full disk."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._last: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def note(self, connection: Connection, titles: tuple[str, str, str], outcome: str) -> None:
        """Put a refusal down, in the transaction of its row.  DICOM PS3.15 A.5.3.11 (110113, 110126)"""
        calling, called, address = titles
        if not is_told(self._settings) or not self._is_new((address, outcome)):
            return
        caller = Agent(calling, ae_title=calling, address=address, roles=("system",), part="source", asked=True)
        agents = (caller, ourselves(self._settings, "destination"))
        problem = f"association refused: {outcome}, called {called}"
        note(connection, Happened(ALERT, "E", agents, subtype=NODE_AUTHENTICATION, outcome=MINOR, problem=problem))

    def _is_new(self, key: tuple[str, str]) -> bool:
        now = self._clock()
        with self._lock:
            if now - self._last.get(key, -SAME_SECONDS) < SAME_SECONDS:
                return False
            if len(self._last) >= MOST_KNOWN:
                self._last.clear()
            self._last[key] = now
        return True
