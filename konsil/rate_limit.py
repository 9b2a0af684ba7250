"""How often somebody may ask: the generic cell rate algorithm (ITU-T I.371), a number for each key, in this process.

A limit counts in each process by itself: with several workers it is so many times as wide.  That is enough against
guessing and flooding; what must hold exactly (lock-out after wrong passwords, single use) is in the database.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

MOST_KEYS = 50_000


@dataclass
class RateLimit:
    """`count` at once, then one each `seconds / count`; a count of 0 is no limit."""

    count: int
    seconds: float = 60.0
    clock: Callable[[], float] = time.monotonic
    _due: dict[str, float] = field(default_factory=dict)

    def wait(self, key: str) -> float:
        """Count one for a key: 0 if it is within the limit, else (it is not counted) the seconds until it would be."""
        seconds = self.closed(key)
        if not seconds and self.count > 0:
            self._make_room()
            self._due[key] = max(self._due.get(key, 0.0), self.clock()) + self.seconds / self.count
        return seconds

    def closed(self, key: str) -> float:
        """How long the next one would have to wait, without counting it."""
        if self.count <= 0:
            return 0.0
        ahead = self._due.get(key, 0.0) - self.clock()
        return max(0.0, ahead - self.seconds + self.seconds / self.count)

    def _make_room(self) -> None:
        """Forget keys that are at rest; where all are busy, all of them: memory has a limit too."""
        if len(self._due) < MOST_KEYS:
            return
        now = self.clock()
        self._due = {key: due for key, due in self._due.items() if due > now}
        if len(self._due) >= MOST_KEYS:
            self._due.clear()
