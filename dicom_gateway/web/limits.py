"""How often one caller may ask: by the token, or by the cookie of a viewer session.  RFC 6585 4"""

import hashlib
import math

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from dicom_gateway.web.http import problem
from dicom_gateway.web.sessions import COOKIE
from konsil.rate_limit import RateLimit


class PerCaller:
    """ASGI middleware: 429 with Retry-After.  Whoever shows neither token nor cookie is counted by address alone."""

    def __init__(self, app: ASGIApp, limit: RateLimit) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""
        key = _key(Headers(scope=scope)) if scope["type"] == "http" else ""
        seconds = self._limit.wait(key) if key else 0.0
        if seconds:
            refusal = problem(429, "Too many requests; please wait.", {"Retry-After": str(math.ceil(seconds))})
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _key(headers: Headers) -> str:
    """What stands for the caller in memory: never the secret itself."""
    shown = headers.get("authorization") or _cookie(headers.get("cookie", ""))
    return hashlib.sha256(shown.encode()).hexdigest() if shown else ""


def _cookie(header: str) -> str:
    found = (each.strip().partition("=") for each in header.split(";"))
    return next((value for name, _, value in found if name == COOKIE), "")
