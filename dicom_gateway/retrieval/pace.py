"""How fast a peer may be fetched from: no more, on average, than its `kilobytes_per_second`."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

LONGEST_HOLD_SECONDS = 5.0
"""How long one answer to the peer is held back; any peer waits longer than that. The rest is waited for afterwards."""
PAUSE_SECONDS = 1.0


@dataclass
class Pace:
    """Counts what came over one call, and waits until that much may have come; 0: never waits."""

    kilobytes_per_second: int
    _began: float = field(default_factory=time.monotonic)
    _taken: int = 0

    def took(self, size: int) -> None:
        """So many bytes have come."""
        self._taken += size

    def begin(self) -> None:
        """A new call: what was waited for before it counts no more."""
        self._began, self._taken = time.monotonic(), 0

    def hold(self) -> None:
        """Keep the peer waiting for its answer, for a moment."""
        if (left := self._left()) > 0:
            time.sleep(min(left, LONGEST_HOLD_SECONDS))

    def settle(self, alive: Callable[[], None]) -> None:
        """Wait for the rest, after the call; `alive` is called each second, and what it raises ends the wait."""
        while (left := self._left()) > 0:
            time.sleep(min(left, PAUSE_SECONDS))
            alive()

    def _left(self) -> float:
        if not self.kilobytes_per_second:
            return 0.0
        return self._began + self._taken / (self.kilobytes_per_second * 1000) - time.monotonic()
