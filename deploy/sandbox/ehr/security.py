"""What every screen passes: headers, and the Origin check of what changes something."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deploy.sandbox.settings import Settings

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; frame-src 'self' {app}"
)
KEPT = ("/static/", "/fonts/", "/inter/")
OWN_PARTS = (
    "sign-in",
    "sign-out",
    "become",
    "in-basket",
    "patients",
    "static",
    "fonts",
    "inter",
    "programs",
    "sandbox",
)


class Guard:
    """Adds the screens' headers and refuses POSTs to them from elsewhere; the FHIR servers have their own rules."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.origin = settings.base_url
        self.policy = POLICY.format(app=settings.app_url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, headers added to the answer."""
        if scope["type"] != "http" or not is_screen(scope["path"]):
            await self.app(scope, receive, send)
            return
        if scope["method"] not in {"GET", "HEAD"} and not self.is_own(Headers(scope=scope), scope["path"]):
            await PlainTextResponse("This form was not sent from the EHR itself.", 403)(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.protect(MutableHeaders(scope=message), scope["path"])
            await send(message)

        await self.app(scope, receive, with_headers)

    def is_own(self, headers: Headers, path: str) -> bool:
        """Whether a form is the EHR's own; a script, which names no origin, may make trouble."""
        origin = headers.get("origin")
        return origin == self.origin or (origin is None and path.startswith("/sandbox/"))

    def protect(self, headers: MutableHeaders, path: str) -> None:
        """Set what the page did not set itself."""
        headers.setdefault("content-security-policy", self.policy)
        headers["x-content-type-options"] = "nosniff"
        headers["referrer-policy"] = "same-origin"
        headers.setdefault("cache-control", "max-age=600" if path.startswith(KEPT) else "no-store")


def is_screen(path: str) -> bool:
    """Whether a path belongs to the EHR's screens and not to a tenant's FHIR or authorization server."""
    parts = path.strip("/").split("/")
    return len(parts) == 1 or parts[0] in OWN_PARTS or (len(parts) > 1 and parts[1] in OWN_PARTS)
