"""Logs and metrics: JSON lines without personal data, and Prometheus counters.

What never gets into a log: query strings, bodies, headers, and the text of an exception, which may quote any of them.
"""

import json
import logging
import sys
import time
import traceback
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path
from threading import Lock
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OUTBOX_RUNS = Counter("konsil_outbox_runs", "Outbox rows run", ["kind", "outcome"])

# These write addresses with query strings, or keys, at their lower levels.
_QUIET = ("httpx", "httpcore", "authlib", "urllib3", "uvicorn.access", "asyncio", "alembic", "kombu", "pynetdicom")
_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def logger(name: str) -> logging.Logger:
    """The logger of a module."""
    return logging.getLogger(name)


def configure_logging(program: str, level: int = logging.INFO) -> None:
    """Send this process's logs to standard error as JSON lines under the program's name."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter(program))
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(level)
    logging.captureWarnings(True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


class _JsonFormatter(logging.Formatter):
    def __init__(self, program: str) -> None:
        super().__init__()
        self._program = program

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "program": self._program,
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry |= {key: value for key, value in vars(record).items() if key not in _PLAIN}
        if record.exc_info and record.exc_info[1] is not None:
            entry["error"] = _frames(record.exc_info[1])
        return json.dumps(entry, default=str, ensure_ascii=False)


def _frames(error: BaseException) -> list[str]:
    """The exception's type and where it came from, its causes after it; never its text."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [type(error).__qualname__]
    lines += [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(frames)]
    cause = error.__cause__ or error.__context__
    return lines + _frames(cause) if cause is not None else lines


class _Answered(Collector):
    """Requests and their times, added up here: the library's own counters cost a read a twentieth of its time."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: dict[tuple[str, str, str], int] = {}
        self._times: dict[tuple[str, str], _Times] = {}

    def add(self, program: str, method: str, status: int, seconds: float) -> None:
        with self._lock:
            counted = program, method, str(status)
            self._counts[counted] = self._counts.get(counted, 0) + 1
            times = self._times.get((program, method))
            if times is None:
                times = self._times[program, method] = _Times([0] * len(BOUNDS))
            times.numbers[bisect_left(BOUNDS, seconds)] += 1
            times.seconds += seconds

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            counts = dict(self._counts)
            times = {labels: (list(accumulate(each.numbers)), each.seconds) for labels, each in self._times.items()}
        labels = ["program", "method", "status"]
        requests = CounterMetricFamily("konsil_http_requests", "HTTP requests answered", labels=labels)
        for counted, number in counts.items():
            requests.add_metric(counted, number)
        yield requests
        took = HistogramMetricFamily("konsil_http_request_seconds", "Time to the end of the answer", labels=labels[:2])
        for measured, (numbers, seconds) in times.items():
            buckets = [(bound, number) for bound, number in zip(BOUND_NAMES, numbers, strict=True)]
            took.add_metric(measured, buckets, seconds)
        yield took


@dataclass(slots=True)
class _Times:
    """How many requests took up to each of the bounds, each counted once, and all their seconds."""

    numbers: list[int]
    seconds: float = 0.0


BOUNDS = Histogram.DEFAULT_BUCKETS
BOUND_NAMES = [*map(str, BOUNDS[:-1]), "+Inf"]
_answered = _Answered()
REGISTRY.register(_answered)


class Metrics:
    """The ASGI application for GET /metrics, in Prometheus' text format: `Route("/metrics", metrics_app)`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer every HTTP request with all metrics of this process."""
        if scope["type"] != "http":
            return
        headers = [(b"content-type", CONTENT_TYPE_LATEST.encode()), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": generate_latest()})


metrics_app = Metrics()


class RequestMetrics:
    """ASGI middleware that counts and times requests and logs each: method, path, status, milliseconds."""

    def __init__(self, app: App, program: str) -> None:
        """Wrap `app`."""
        self._app = app
        self._program = program
        self._log = logger(f"{program}.access")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything through; only HTTP is measured."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        started = time.perf_counter()

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, observed)
        finally:
            self._record(scope, status, time.perf_counter() - started)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"]
        _answered.add(self._program, method, status, seconds)
        if self._log.isEnabledFor(logging.INFO):
            spent = round(seconds * 1000, 1)
            extra = {"method": method, "path": scope["path"], "status": status, "milliseconds": spent}
            self._log.info("request", extra=extra)
