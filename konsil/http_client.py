"""Outgoing HTTP that goes only where it is allowed to: a token must never reach an origin that nobody configured.

Hospitals' servers have private addresses, so these are allowed where an administrator named the origin.  Addresses that
are no server of anybody's (link-local, where clouds hand out credentials, multicast, unspecified) are refused after the
name was resolved and before a byte is sent: what a name resolves to is not the administrator's word.
"""

import os
import ssl
from collections.abc import Collection, Iterable
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import httpcore
import httpx

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=2)
"""A kept connection is given up before servers commonly do (uvicorn, Node: 5 s), so that the two seldom cross."""
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_BROKEN_OFF = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)


class OriginRefused(ValueError):
    """The request's origin is not among the client's; nothing was sent."""


def guarded_client(
    origins: Collection[str], timeout_seconds: float = 10, tls: ssl.SSLContext | None = None
) -> httpx.Client:
    """Make a client that reaches only `origins` (scheme, host, port), follows no redirect and reads no proxy settings.

    A request to elsewhere, also by a redirect that the caller wants followed, raises OriginRefused and is not sent.
    A read whose connection ends without an answer, as when a server gives a kept connection up at the moment it is used
    again, is asked once more; nothing else is (RFC 9110 9.2.2).  `tls`: other than the platform's trust.
    """
    guard = _Guard(origins)
    return httpx.Client(transport=_Transport(guard, tls), timeout=timeout_seconds, trust_env=False)


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


CLOUD_METADATA = ip_network("fd00:ec2::/32")


def is_no_server(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is no server's."""
    return address.is_link_local or address.is_multicast or address.is_unspecified or address in CLOUD_METADATA


def check_address(address: str) -> None:
    """Refuse the address of a peer that no configuration can mean.  Raises OriginRefused."""
    parsed = ip_address(address.partition("%")[0])
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    if is_no_server(parsed):
        raise OriginRefused("the name leads to an address that is no server's")


class _Network(httpcore.SyncBackend):
    """Connects as httpcore does, then looks where it has got to."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect.  Raises OriginRefused."""
        stream = super().connect_tcp(host, port, timeout, local_address, socket_options)
        try:
            check_address(stream.get_extra_info("server_addr")[0])
        except OriginRefused:
            stream.close()
            raise
        return stream


class _AsyncNetwork(httpcore.AnyIOBackend):
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect.  Raises OriginRefused."""
        stream = await super().connect_tcp(host, port, timeout, local_address, socket_options)
        try:
            check_address(stream.get_extra_info("server_addr")[0])
        except OriginRefused:
            await stream.aclose()
            raise
        return stream


class _Guard:
    def __init__(self, origins: Collection[str]) -> None:
        self._origins = frozenset(origin(url) for url in origins)

    def check(self, url: httpx.URL) -> None:
        if origin(url) not in self._origins:
            raise OriginRefused(f"{origin(url)} is not among the configured origins")


class _Transport(httpx.HTTPTransport):
    def __init__(self, guard: _Guard, tls: ssl.SSLContext | None) -> None:
        super().__init__(verify=tls or _tls(), trust_env=False, limits=_LIMITS)
        self._pool._network_backend = _Network()
        self._guard = guard

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._guard.check(request.url)
        try:
            return super().handle_request(request)
        except _BROKEN_OFF:
            if request.method not in _SAFE:
                raise
            return super().handle_request(request)


class _AsyncTransport(httpx.AsyncHTTPTransport):
    def __init__(self, guard: _Guard) -> None:
        super().__init__(verify=_tls(), trust_env=False, limits=_LIMITS)
        self._pool._network_backend = _AsyncNetwork()
        self._guard = guard

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._guard.check(request.url)
        try:
            return await super().handle_async_request(request)
        except _BROKEN_OFF:
            if request.method not in _SAFE:
                raise
            return await super().handle_async_request(request)


@cache
def _tls() -> ssl.SSLContext:
    """The platform's trust store, or SSL_CERT_FILE's; made once, it takes tens of milliseconds."""
    return ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE"))
