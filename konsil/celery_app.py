"""Celery as a doorbell: one empty `drain` message says that the outbox has work; every worker also sweeps by itself.

The broker may lose everything, every row still runs: hence no result backend, ETA, `.retry()`, acks_late or beat.
"""

import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Event, Lock, RLock, Thread, current_thread, main_thread
from typing import Any

from celery import Celery, signals
from kombu import Exchange, Queue
from kombu.exceptions import OperationalError

from konsil.file_broker import SCHEME
from konsil.outbox import Runner
from konsil.sweep import Sweep
from konsil.telemetry import logger

_log = logger(__name__)
_DRAIN = "konsil.drain"
_MESSAGE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """Where the broker is, `filesystem://` and a folder or `redis://...`, and how often a worker looks by itself."""

    url: str
    directory: Path | None = None
    sweep_seconds: float = 5.0


class OutboxCelery(Celery):
    """A program's Celery application; made by `create_celery`."""

    def __init__(self, program: str, settings: BrokerSettings, runner: Callable[[], Runner]) -> None:
        """Configure; nothing is connected, and `runner` not called, before it is needed."""
        super().__init__(program, broker=_broker_url(settings), set_as_current=False)
        self.doorbell = _Doorbell(self)
        self._sweep_seconds = settings.sweep_seconds
        self._make_runner = runner
        self._lock = RLock()
        self.conf.update(_configuration(program, settings))

    @property
    def runner(self) -> Runner:
        """This process's runner, made at the first call."""
        with self._lock:
            return self._made_runner

    @property
    def sweep(self) -> Sweep:
        """This process's sweep, made at the first call; `run_worker` starts it."""
        with self._lock:
            return self._made_sweep

    @cached_property
    def _made_runner(self) -> Runner:
        return self._make_runner()

    @cached_property
    def _made_sweep(self) -> Sweep:
        return Sweep(self._made_runner, self._sweep_seconds)


def create_celery(program: str, settings: BrokerSettings, runner: Callable[[], Runner]) -> Celery:
    """Make the application with its one task.  Raises ValueError for an unknown kind of broker or a missing folder."""
    celery = OutboxCelery(program, settings, runner)

    def drain() -> None:
        while celery.runner.run_due():
            pass
        celery.sweep.wake()  # rows may have got another time

    celery.task(name=_DRAIN)(drain)
    return celery


def notify(celery: Celery) -> None:
    """Ring the doorbell after a commit that enqueued.  Returns at once, never raises; several rings may become one."""
    if isinstance(celery, OutboxCelery):
        celery.doorbell.ring()


def run_worker(celery: Celery, concurrency: int = 2) -> None:
    """Run a worker in this process, one process with `concurrency` threads and a sweep, until SIGTERM or SIGINT.

    The sweep works from the start and even when the broker cannot be reached.
    """
    if not isinstance(celery, OutboxCelery):
        raise TypeError("run_worker runs what create_celery made")
    sweep = celery.sweep
    _stop_on_sigterm()
    signals.worker_shutting_down.connect(_stopper(sweep), weak=False)
    signals.setup_logging.connect(_keep_logging)
    sweep.start()
    try:
        worker_class: Any = celery.Worker
        worker_class(pool="threads", concurrency=concurrency, quiet=True, **_LONELY).start()
    finally:
        sweep.stop()
        sweep.join()
        celery.runner.close()


_LONELY = {"without_gossip": True, "without_mingle": True, "without_heartbeat": True, "optimization": "fair"}


def _keep_logging(**_: object) -> None:
    """Connected to `setup_logging`, so that Celery leaves the program's logging as it is."""


def _stopper(sweep: Sweep) -> Callable[..., None]:
    def stop(**_: object) -> None:
        sweep.stop()

    return stop


def _stop_on_sigterm() -> None:
    """Let SIGTERM end the process in good order also before Celery has set its own handler."""
    if current_thread() is main_thread():
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


class _Doorbell:
    """Sends the drain message from a thread of its own: a broker that does not answer delays nobody."""

    def __init__(self, celery: Celery) -> None:
        self._celery = celery
        self._rung = Event()
        self._lock = Lock()
        self._thread: Thread | None = None

    def ring(self) -> None:
        self._rung.set()
        with self._lock:
            if self._thread is None:
                self._thread = Thread(target=self._send_rings, name="outbox-doorbell", daemon=True)
                self._thread.start()

    def _send_rings(self) -> None:
        while True:
            self._rung.wait()
            self._rung.clear()
            try:
                self._celery.send_task(_DRAIN, expires=_MESSAGE_SECONDS, retry=False, ignore_result=True)
            except (OperationalError, OSError) as error:
                _log.info("doorbell not heard; the sweep will find the work", extra={"error": type(error).__name__})


def _broker_url(settings: BrokerSettings) -> str:
    scheme = settings.url.partition("://")[0]
    if scheme == "filesystem":
        return f"{SCHEME}://"
    if scheme in {"redis", "rediss"}:
        return settings.url
    raise ValueError(f"no support for the broker kind {scheme!r}: use filesystem:// or redis://")


def _configuration(program: str, settings: BrokerSettings) -> dict[str, Any]:
    queue = f"konsil-{program}"
    return {
        "broker_transport_options": _transport_options(settings),
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_connection_timeout": 1,
        # the default exchange delivers by queue name: no bindings to keep, on any transport
        "task_queues": [Queue(queue, Exchange(""), routing_key=queue)],
        "task_default_queue": queue,
        "task_default_exchange": "",
        "task_default_routing_key": queue,
        "task_ignore_result": True,
        "worker_enable_remote_control": False,
        "worker_hijack_root_logger": False,
        "worker_prefetch_multiplier": 1,
        "worker_redirect_stdouts": False,
        "worker_send_task_events": False,
    }


def _transport_options(settings: BrokerSettings) -> dict[str, Any]:
    if settings.url.startswith("redis"):
        return {"socket_connect_timeout": 1}
    if settings.directory is None:
        raise ValueError("filesystem:// needs a folder for its messages")
    folder = settings.directory.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return {
        "data_folder_in": str(folder),
        "data_folder_out": str(folder),
        "control_folder": str(folder / "control"),
        "polling_interval": 0.2,
    }
