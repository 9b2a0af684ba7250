"""Server-rendered pages of the authorization server: templates, strict headers, form tokens."""

import hmac
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from fhir_server.auth import opaque
from fhir_server.auth.server import AuthorizationServer
from fhir_server.auth.sessions import ATTRIBUTES
from fhir_server.settings import Settings

STYLE = (Path(__file__).parent.parent / "auth" / "templates" / "pages.css").read_bytes()
LOCKED = "Too many attempts. Please wait a few minutes and try again."
EXPIRED = "This page has expired. Please try again."
ENVIRONMENT = Environment(
    loader=PackageLoader("fhir_server.auth"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


def render(
    server: AuthorizationServer, request: Request, template: str, values: Mapping[str, object], status: int = 200
) -> Response:
    """Render a page.  `return_to` among the values is the client's address that a form's answer may lead to."""
    token = form_token(request, server.settings) or opaque.make()
    fixed = {"form_token": token, "base": server.issuer, "product_name": server.settings.product_name}
    text = ENVIRONMENT.get_template(template).render(fixed | dict(values))
    headers = _headers(str(values.get("return_to", ""))) | ({"Retry-After": "60"} if status == 429 else {})
    answer = HTMLResponse(text, status, headers=headers)
    answer.headers.append("Set-Cookie", f"{_cookie_name(server.settings)}={token}; {ATTRIBUTES}")
    return answer


def form_token(request: Request, settings: Settings) -> str | None:
    """Read the form token of this browser from its cookie."""
    return request.cookies.get(_cookie_name(settings))


def is_own_form(server: AuthorizationServer, request: Request, fields: Mapping[str, str]) -> bool:
    """Whether a form was sent from a page of ours: its token is that of the `__Host-` cookie and Origin is our own."""
    token, origin = form_token(request, server.settings), request.headers.get("origin")
    own = origin is None or origin == _origin(server.issuer)
    return own and token is not None and hmac.compare_digest(token.encode(), fields.get("form_token", "").encode())


async def style(request: Request) -> Response:
    """Answer the style sheet."""
    return Response(STYLE, media_type="text/css", headers={"Cache-Control": "public, max-age=3600"})


def redirect(url: str) -> Response:
    """Redirect by 303: after a POST the browser goes on with GET and sends no form data along."""
    headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return RedirectResponse(url, status_code=303, headers=headers)


def _cookie_name(settings: Settings) -> str:
    return f"__Host-{settings.cookie_name}-form"


def _headers(return_to: str) -> dict[str, str]:
    """Write the headers.  `form-action` also names the client: browsers apply it to where a form's answer redirects."""
    target = f" {_origin(return_to)}" if return_to else ""
    policy = [
        "default-src 'none'",
        "style-src 'self'",
        f"form-action 'self'{target}",
        "frame-ancestors 'self'",
        "base-uri 'none'",
    ]
    return {
        "Content-Security-Policy": "; ".join(policy),
        "Cache-Control": "no-store",
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
    }


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
