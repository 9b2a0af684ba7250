"""What every web server of ours has in common: TLS, HSTS, patience with slow clients, a limit for each address."""

import asyncio
import math
import ssl
from asyncio import TimerHandle
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from time import monotonic
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from konsil.rate_limit import RateLimit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2 those that NIST SP 800-52r2 prefers; those of 1.3 are all good.  Older versions are not offered."""
HSTS = b"max-age=31536000"
HEADER_SECONDS = 20.0
BODY_SECONDS = 30.0
BODY_BYTES_PER_SECOND = 2_000.0


def tls_options(certificate: Path | None, key: Path | None) -> dict[str, Any]:
    """Give uvicorn's options: TLS 1.2 and 1.3 where a certificate is set, else none.  A key file may be part of it."""
    if certificate is None:
        return {}
    return {
        "ssl_certfile": str(certificate),
        "ssl_keyfile": str(key) if key is not None else None,
        "ssl_version": ssl.PROTOCOL_TLS_SERVER,
        "ssl_ciphers": CIPHERS,
    }


class PatientProtocol(HttpToolsProtocol):
    """HTTP/1.1 that closes a connection whose request line and headers do not come within 20 s (slow loris)."""

    _headers_due: TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait."""
        super().connection_made(transport)
        self._wait()

    def on_message_begin(self) -> None:
        """Begin to wait for the rest of the next request."""
        super().on_message_begin()
        self._wait()

    def on_headers_complete(self) -> None:
        """Wait no longer."""
        self._stop()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._stop()
        self._headers_due = self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def _stop(self) -> None:
        if self._headers_due is not None:
            self._headers_due.cancel()
            self._headers_due = None


class _TooSlow(Exception):
    """The body did not come in time."""


class Guarded:
    """ASGI middleware: 408 for a body that trickles, 429 for an address that asks too often, HSTS where TLS is used."""

    def __init__(self, app: App, base_url: str, per_address: RateLimit, paths: tuple[str, ...] = ("/",)) -> None:
        self._app = app
        self._secure = base_url.startswith("https:")
        self._per_address = per_address
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send, self._secure)
        seconds = self._per_address.wait(address_of(scope)) if scope["path"].startswith(self._paths) else 0.0
        if seconds:
            await answer.refuse(429, "Too many requests; please wait.", {b"retry-after": b"%d" % math.ceil(seconds)})
            return
        try:
            await self._app(scope, _timed(receive), answer.send)
        except _TooSlow:
            if not answer.begun:
                await answer.refuse(408, "The body came too slowly.", {b"connection": b"close"})


def address_of(scope: Scope) -> str:
    """The address that asks; behind a proxy uvicorn has put in the client's (FORWARDED_ALLOW_IPS)."""
    client = scope.get("client")
    return str(client[0]) if client else "unknown"


class _Answer:
    def __init__(self, send: Send, secure: bool) -> None:
        self._send = send
        self._secure = secure
        self.begun = False

    async def send(self, message: Message) -> None:
        """Pass on; the first message gets the header."""
        if message["type"] == "http.response.start":
            self.begun = True
            if self._secure:
                message["headers"] = [*message.get("headers", ()), (b"strict-transport-security", HSTS)]
        await self._send(message)

    async def refuse(self, status: int, words: str, headers: dict[bytes, bytes]) -> None:
        """Answer in plain words."""
        fixed = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"x-content-type-options", b"nosniff"),
            (b"access-control-allow-origin", b"*"),
        ]
        await self.send({"type": "http.response.start", "status": status, "headers": [*fixed, *headers.items()]})
        await self.send({"type": "http.response.body", "body": words.encode()})


def _timed(receive: Receive) -> Receive:
    """Give a body 30 s for each piece, and for the whole 30 s and as long as its bytes take at 2 kB/s."""
    started, size, complete = monotonic(), 0, False

    async def timed() -> Message:
        nonlocal size, complete
        if complete:
            return await receive()
        allowed = min(BODY_SECONDS, started + BODY_SECONDS + size / BODY_BYTES_PER_SECOND - monotonic())
        try:
            async with asyncio.timeout(max(allowed, 0.0)):
                message = await receive()
        except TimeoutError:
            raise _TooSlow from None
        size += len(message.get("body", b""))
        complete = not message.get("more_body", False)
        return message

    return timed
