"""What every request passes: a strict Content-Security-Policy, frame-ancestors by tenant, the Origin check."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

from smart_app.settings import Settings, origin_of

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Security:
    """ASGI middleware around the whole app."""

    def __init__(self, app: App, settings: Settings) -> None:
        self._app = app
        self._origin = origin_of(settings.base_url)
        self._policy = policy(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse writes from other origins (a write without Origin is one), and put the headers on every answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._add(MutableHeaders(scope=message), scope)
            await send(message)

        if scope["method"] not in SAFE_METHODS and Headers(scope=scope).get("origin") != self._origin:
            refused = PlainTextResponse("This write did not come from a page of the app.", 403)
            await refused(scope, receive, with_headers)
            return
        await self._app(scope, receive, with_headers)

    def _add(self, headers: MutableHeaders, scope: Scope) -> None:
        ancestors = " ".join(scope.get("konsil.frame_ancestors") or ())
        headers["content-security-policy"] = f"{self._policy}; frame-ancestors 'self' {ancestors}".rstrip()
        headers["x-content-type-options"] = "nosniff"
        headers["referrer-policy"] = (
            "strict-origin"  # not no-referrer: browsers would then send `Origin: null` with our forms
        )
        if "cache-control" not in headers:
            headers["cache-control"] = "no-store"


def policy(settings: Settings) -> str:
    """The Content-Security-Policy without frame-ancestors: our own files, and the viewer's origin in a frame."""
    viewer = origin_of(settings.gateway_url)
    rules = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",  # Tabler's style sheet draws its controls with data: images
        "font-src": "'self'",
        "connect-src": "'self'",
        "form-action": f"'self' {viewer}",
        "frame-src": f"'self' {viewer}",
        "object-src": "'none'",
        "base-uri": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())
