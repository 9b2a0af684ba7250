"""The browser's cookie, and the checks every request passes: session, launch, origin of writes.

The app lives in the EHR's cross-site iframe, so the cookie is partitioned (CHIPS): it exists once for each embedding
site, comes back there even when third-party cookies are blocked, and is of no use anywhere else.
"""

from starlette.requests import Request

COOKIE = "__Host-konsil-app"


def cookie_header(secret: str, seconds: int) -> str:
    """The Set-Cookie value; written by hand because http.cookies knows no Partitioned before Python 3.14."""
    return f"{COOKIE}={secret}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=None; Partitioned"


def forget_header() -> str:
    """The Set-Cookie value that removes the cookie from this partition."""
    return cookie_header("", 0)


def secret_of(request: Request) -> str:
    """The session's secret as the browser sent it; empty when it sent none."""
    return request.cookies.get(COOKIE, "")
