"""Logs and metrics: JSON lines without personal data, and Prometheus counters.

What never gets into a log: query strings, bodies, headers, and the text of an exception, which may quote any of them.
"""

import json
import logging
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

REQUESTS = Counter("konsil_http_requests", "HTTP requests answered", ["program", "method", "status"])
REQUEST_SECONDS = Histogram("konsil_http_request_seconds", "Time to the end of the answer", ["program", "method"])
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
        counter, histogram = _metrics_of(self._program, method, status)
        counter.inc()
        histogram.observe(seconds)
        if self._log.isEnabledFor(logging.INFO):
            spent = round(seconds * 1000, 1)
            extra = {"method": method, "path": scope["path"], "status": status, "milliseconds": spent}
            self._log.info("request", extra=extra)


@lru_cache(maxsize=500)
def _metrics_of(program: str, method: str, status: int) -> tuple[Counter, Histogram]:
    """Finding them by their labels takes longer than counting."""
    return REQUESTS.labels(program, method, str(status)), REQUEST_SECONDS.labels(program, method)
