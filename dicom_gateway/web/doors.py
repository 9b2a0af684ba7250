"""What every door has at hand, and how it learns who is asking and what they may see."""

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from sqlalchemy import Engine
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from dicom_gateway.access import Access, Grant, TokenRefused
from dicom_gateway.archive import Archive
from dicom_gateway.audit.looking import Looker, Looking
from dicom_gateway.gateway import Gateway
from dicom_gateway.settings import Settings
from dicom_gateway.web.errors import NotFound, Unauthenticated, WebError
from dicom_gateway.web.media import MediaRange, accepted
from dicom_gateway.web.sessions import COOKIE, SessionStore, ViewerSession

T = TypeVar("T")
Endpoint = Callable[["Doors", Request], Response]
BodyEndpoint = Callable[["Doors", Request, bytes], Response]
AsyncEndpoint = Callable[["Doors", Request], Awaitable[Response]]


@dataclass(frozen=True)
class Doors:
    """The parts behind the web doors; `access` is None in archive mode, where only the static token opens."""

    gateway: Gateway
    access: Access | None = None
    sessions: SessionStore = field(init=False)
    looking: Looking = field(init=False)

    def __post_init__(self) -> None:
        """Keep sessions, and who looked, in the gateway's own database."""
        object.__setattr__(self, "sessions", SessionStore(self.engine))
        object.__setattr__(self, "looking", Looking(self.gateway, self.access))

    def bind(self, endpoint: Endpoint) -> Callable[[Request], Response]:
        """The endpoint as Starlette calls it, on a thread."""
        return partial(endpoint, self)

    def bind_async(self, endpoint: AsyncEndpoint) -> Callable[[Request], Awaitable[Response]]:
        """The endpoint on the event loop: only for those that must await the body."""
        return partial(endpoint, self)

    def bind_body(self, endpoint: BodyEndpoint) -> Callable[[Request], Awaitable[Response]]:
        """The endpoint on a thread, with the whole body read before: for small bodies."""

        async def call(request: Request) -> Response:
            return await run_in_threadpool(endpoint, self, request, await request.body())

        return call

    @property
    def settings(self) -> Settings:
        """The gateway's settings."""
        return self.gateway.settings

    @property
    def engine(self) -> Engine:
        """The gateway's database."""
        return self.gateway.engine

    @property
    def archive(self) -> Archive:
        """The gateway's objects."""
        return self.gateway.archive

    @property
    def root(self) -> str:
        """The DICOMweb root as clients see it."""
        return f"{self.settings.base_url.rstrip('/')}/dicom-web"


def bearer_of(request: Request) -> str | None:
    """The bearer token of a request.  RFC 6750 2.1; tokens in the query are not taken, they end in logs."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def viewer_session(doors: Doors, request: Request) -> ViewerSession | None:
    """The live viewer session of the request's cookie, its end moved on."""
    value = request.cookies.get(COOKIE)
    return doors.sessions.touch(value) if value else None


def looker(request: Request, token: str) -> Looker:
    """Who looks, from where."""
    return Looker(token, request.client.host if request.client else "")


def require_bearer(request: Request) -> str:
    """The caller's token.  Raises Unauthenticated."""
    token = bearer_of(request)
    if token is None:
        raise Unauthenticated
    return token


def grant_for_study(doors: Doors, request: Request, study: str) -> str:
    """Let the request go on if the caller is shown this study; gives whose token it is.  Raises Unauthenticated,
    NotFound.
    """
    if doors.access is None:
        static_grant(doors, request)
        return ""
    token = bearer_of(request)
    session = viewer_session(doors, request) if token is None else None
    if session is not None:
        token = session.token if study in session.studies else ""
    if token is None:
        raise Unauthenticated
    if not token or not ask(partial(doors.access.study, token, study)):
        raise NotFound
    return token


def grant_for_search(doors: Doors, request: Request) -> Grant:
    """Which studies a search above study level may find.  Raises Unauthenticated."""
    if doors.access is None:
        return static_grant(doors, request)
    token = bearer_of(request)
    if token is not None:
        return Grant(ask(partial(doors.access.studies, token)), token)
    session = viewer_session(doors, request)
    if session is None:
        raise Unauthenticated
    study = doors.access.study
    shown = frozenset(uid for uid in session.studies if ask(partial(study, session.token, uid)))
    return Grant(shown, session.token)


def ask(question: Callable[[], T]) -> T:
    """Ask the FHIR server; a token it refuses is no token here."""
    try:
        return question()
    except TokenRefused as error:
        raise Unauthenticated from error


def static_grant(doors: Doors, request: Request) -> Grant:
    """An archive has no FHIR server to ask: its DICOMweb is closed but to the one configured token."""
    expected = doors.settings.web_token
    token = bearer_of(request)
    if expected is None or token is None:
        raise Unauthenticated
    if not hmac.compare_digest(expected.get_secret_value().encode(), token.encode()):
        raise Unauthenticated
    return Grant(None)


def ranges(request: Request) -> list[MediaRange]:
    """What the client accepts, best first."""
    return accepted(request.query_params.getlist("accept"), request.headers.getlist("accept"))


def not_implemented(feature: str) -> WebError:
    """501 for a part of the standard that is not offered."""
    return WebError(501, f"{feature} is not offered.")
