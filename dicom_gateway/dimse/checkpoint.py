"""Where pynetdicom's reactor thread waits while a request of ours is under way.

pynetdicom 3.0.4 takes `_is_paused` for a sign that its reactor waits, but sets it before it looks whether it has to: a
reactor on its way through then takes the first answer of our request for a request of the peer and drops it ("Received
unexpected C-FIND service message"), and a query finds one study less than there is.
"""

from threading import Condition, Event

LONGEST_SECONDS = 1.0


class Checkpoint(Event):
    """In place of the association's threading.Event: `clear` returns only when the reactor really waits."""

    def __init__(self) -> None:
        """Begin open."""
        super().__init__()
        self._changed = Condition()
        self._open = True
        self._waiting = False

    def is_set(self) -> bool:
        """Whether the reactor may go on."""
        with self._changed:
            return self._open

    def set(self) -> None:
        """Let the reactor go on."""
        with self._changed:
            self._open = True
            self._changed.notify_all()

    def clear(self) -> None:
        """Stop the reactor; back when it has stopped, or after a second because its association has ended."""
        with self._changed:
            self._open = False
            self._changed.wait_for(lambda: self._waiting, LONGEST_SECONDS)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait, as the reactor, until it may go on."""
        with self._changed:
            self._waiting = not self._open
            self._changed.notify_all()
            passed = self._changed.wait_for(lambda: self._open, timeout)
            self._waiting = False
            return passed
