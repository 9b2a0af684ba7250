"""The sweep: a thread that runs an outbox's due rows by itself, whoever else does or does not."""

from threading import Event, Thread

from konsil.outbox import Runner
from konsil.telemetry import logger

_log = logger(__name__)
_SHORTEST_SECONDS = 0.2


class Sweep:
    """Runs what is due every `seconds`, and earlier when a row's time comes; outlives a database that is away."""

    def __init__(self, runner: Runner, seconds: float = 5.0) -> None:
        """Keep the means; nothing runs before `start`."""
        self._runner = runner
        self._seconds = seconds
        self._awake = Event()
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="outbox-sweep", daemon=True)

    def start(self) -> None:
        """Begin, in a thread of its own."""
        self._thread.start()

    def wake(self) -> None:
        """Look again at once: something was enqueued, or a row got another time."""
        self._awake.set()

    def stop(self) -> None:
        """Let the row at hand end, and no other begin; `runner` is stopped for good."""
        self._stopping.set()
        self._runner.stop()
        self._awake.set()

    def join(self) -> None:
        """Wait for the end after `stop`."""
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._awake.wait(self._pause())
            self._awake.clear()

    def _pause(self) -> float:
        """Run what is due; how long to wait then."""
        try:
            self._runner.run_due()
            due = self._runner.next_due()
        except Exception:  # the sweep is the last to find work: nothing may end it but `stop`
            _log.exception("outbox not swept")
            return self._seconds
        if due is None:
            return self._seconds
        return min(self._seconds, max(_SHORTEST_SECONDS, due - self._runner.clock()))
