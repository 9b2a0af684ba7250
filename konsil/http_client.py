"""Outgoing HTTP that goes only where it is allowed to: a token must never reach an origin that nobody configured."""

import os
import ssl
from collections.abc import Collection
from functools import cache

import httpx

_DEFAULT_PORTS = {"http": 80, "https": 443}


class OriginRefused(ValueError):
    """The request's origin is not among the client's; nothing was sent."""


def guarded_client(origins: Collection[str], timeout_seconds: float = 10) -> httpx.Client:
    """Make a client that reaches only `origins` (scheme, host, port), follows no redirect and reads no proxy settings.

    A request to elsewhere, also by a redirect that the caller wants followed, raises OriginRefused and is not sent.
    """
    guard = _Guard(origins)
    return httpx.Client(transport=_Transport(guard), timeout=timeout_seconds, trust_env=False)


def guarded_async_client(origins: Collection[str], timeout_seconds: float = 10) -> httpx.AsyncClient:
    """Make the async client with the same limits as `guarded_client`."""
    guard = _Guard(origins)
    return httpx.AsyncClient(transport=_AsyncTransport(guard), timeout=timeout_seconds, trust_env=False)


def origin(url: str | httpx.URL) -> str:
    """The origin of an address, `scheme://host:port`, the port always named.  Raises OriginRefused when not HTTP."""
    parsed = httpx.URL(url) if isinstance(url, str) else url
    port = parsed.port or _DEFAULT_PORTS.get(parsed.scheme)
    if not parsed.host or port is None:
        raise OriginRefused("not an http or https address")
    return f"{parsed.scheme}://{parsed.host}:{port}"


class _Guard:
    def __init__(self, origins: Collection[str]) -> None:
        self._origins = frozenset(origin(url) for url in origins)

    def check(self, url: httpx.URL) -> None:
        if origin(url) not in self._origins:
            raise OriginRefused(f"{origin(url)} is not among the configured origins")


class _Transport(httpx.HTTPTransport):
    def __init__(self, guard: _Guard) -> None:
        super().__init__(verify=_tls(), trust_env=False)
        self._guard = guard

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._guard.check(request.url)
        return super().handle_request(request)


class _AsyncTransport(httpx.AsyncHTTPTransport):
    def __init__(self, guard: _Guard) -> None:
        super().__init__(verify=_tls(), trust_env=False)
        self._guard = guard

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._guard.check(request.url)
        return await super().handle_async_request(request)


@cache
def _tls() -> ssl.SSLContext:
    """The platform's trust store, or SSL_CERT_FILE's; made once, it takes tens of milliseconds."""
    return ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE"))
