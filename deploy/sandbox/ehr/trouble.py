"""Making an EHR misbehave on demand: what a visitor, or a test, wants to see the app survive.

A trouble belongs to one tenant, fits requests by method and path below the tenant (shell patterns), and lasts for a
number of requests or until it is stopped.  Only FHIR and the token endpoint can be troubled: the screens keep working.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import anyio
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

OPEN = ("/fhir/metadata", "/fhir/.well-known")
LONGEST_SECONDS = 120.0
ANSWERS = {
    "401": "answers 401: the sign-in is not accepted",
    "403": "answers 403: a scope is missing",
    "break-the-glass": "answers 403: the chart is protected (break the glass)",
    "429": "answers 429: too many requests, wait",
    "500": "answers 500: it failed",
    "503": "answers 503: down for maintenance",
    "nothing": "says nothing at all",
    "slow": "is slow",
    "garbage": "answers with something that is no FHIR",
}


@dataclass(frozen=True)
class Moment:
    """A point in a case's life at which the EHR is asked something."""

    title: str
    method: str
    path: str


MOMENTS = {
    "chart": Moment("the chart is read", "GET", "/fhir/*"),
    "labs": Moment("laboratory values are read", "GET", "/fhir/Observation*"),
    "documents": Moment("notes and documents are read", "GET", "/fhir/DocumentReference*"),
    "token": Moment("the sign-in is made or renewed", "POST", "/oauth/token"),
    "write-back": Moment("the report is filed in the chart", "POST", "/fhir/DocumentReference"),
}


@dataclass
class Trouble:
    """One thing that goes wrong; `left` None means until it is stopped, `seconds` is how long to wait or be slow."""

    tenant: str
    path: str
    answer: str
    method: str = "*"
    left: int | None = None
    seconds: float = 3.0
    number: int = 0

    def fits(self, tenant: str, method: str, path: str) -> bool:
        """Whether this request meets it."""
        return (
            tenant == self.tenant
            and self.left != 0
            and fnmatchcase(method, self.method)
            and fnmatchcase(path, self.path)
        )

    @property
    def title(self) -> str:
        """What it does, in words."""
        when = next(
            (each.title for each in MOMENTS.values() if (each.method, each.path) == (self.method, self.path)), ""
        )
        often = "until stopped" if self.left is None else f"{self.left} more times" if self.left > 1 else "once more"
        return f"{when or f'{self.method} {self.path}'}: it {ANSWERS[self.answer]} ({often})"


@dataclass
class Troubles:
    """All that go wrong at present, in this process only."""

    going: list[Trouble] = field(default_factory=list)
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def add(self, trouble: Trouble) -> Trouble:
        """Begin one."""
        trouble.number = next(self.numbers)
        self.going.append(trouble)
        return trouble

    def stop(self) -> None:
        """End them all; who waits for an answer is let go."""
        for each in self.going:
            each.left = 0
        self.going.clear()

    def meet(self, tenant: str, method: str, path: str) -> Trouble | None:
        """The trouble that this request runs into, counted down."""
        found = next((each for each in self.going if each.fits(tenant, method, path)), None)
        if found is not None and found.left is not None:
            found.left -= 1
            if found.left == 0:
                self.going.remove(found)
        return found


class Troubled:
    """ASGI middleware before a tenant's FHIR server."""

    def __init__(self, app: ASGIApp, tenant: str, troubles: Troubles) -> None:
        self.app, self.tenant, self.troubles = app, tenant, troubles

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, unless it runs into trouble."""
        path = scope["path"].removeprefix(scope.get("root_path", "")) if scope["type"] == "http" else ""
        found = None
        if path == "/oauth/token" or (path.startswith("/fhir/") and not path.startswith(OPEN)):
            found = self.troubles.meet(self.tenant, scope["method"], path)
        if found is None:
            await self.app(scope, receive, send)
        elif found.answer == "slow":
            await anyio.sleep(min(found.seconds, LONGEST_SECONDS))
            await self.app(scope, receive, send)
        elif found.answer == "nothing":
            await wait_until_gone(receive)
        else:
            await REFUSALS[found.answer](found)(scope, receive, send)


async def wait_until_gone(receive: Receive) -> None:
    """Say nothing until the client has had enough, or two minutes have passed."""
    with anyio.move_on_after(LONGEST_SECONDS):
        while (await receive())["type"] != "http.disconnect":
            pass


def outcome(status: int, code: str, text: str, **headers: str) -> Response:
    """A refusal as an OperationOutcome, worded as EHRs word them."""
    issue: dict[str, Any] = {"severity": "fatal" if status >= 500 else "error", "code": code, "diagnostics": text}
    content = {"resourceType": "OperationOutcome", "issue": [{**issue, "details": {"text": text}}]}
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return JSONResponse(content, status, names, "application/fhir+json")


def unauthorized(_: Trouble) -> Response:
    """RFC 6750 3.1"""
    challenge = 'Bearer error="invalid_token", error_description="The access token expired"'
    return outcome(401, "login", "The access token is not valid.", www_authenticate=challenge)


def forbidden(_: Trouble) -> Response:
    """RFC 6750 3.1, insufficient_scope"""
    return outcome(
        403,
        "forbidden",
        "The scopes of the token do not cover this.",
        www_authenticate='Bearer error="insufficient_scope"',
    )


def protected(_: Trouble) -> Response:
    """Epic's break-the-glass, 4130: the physician has to give a reason in the EHR itself; asking again is no use."""
    text = "Break-the-Glass security has prevented access to this patient's record."
    coded = {"coding": [{"system": "urn:oid:1.2.840.114350.1.13.0.1.7.2.657369", "code": "4130"}], "text": text}
    issue = {"severity": "fatal", "code": "suppressed", "details": coded, "diagnostics": text}
    content = {"resourceType": "OperationOutcome", "issue": [issue]}
    return JSONResponse(content, 403, media_type="application/fhir+json")


def too_many(trouble: Trouble) -> Response:
    """RFC 6585 4"""
    return outcome(429, "throttled", "Too many requests.", retry_after=f"{trouble.seconds:.0f}")


def failed(_: Trouble) -> Response:
    """RFC 9110 15.6.1, with a page instead of an OperationOutcome, as gateways in front of an EHR give it."""
    return Response("<html><body><h1>Internal Server Error</h1></body></html>", 500, media_type="text/html")


def unavailable(trouble: Trouble) -> Response:
    """RFC 9110 15.6.4"""
    return outcome(503, "transient", "Down for maintenance.", retry_after=f"{trouble.seconds:.0f}")


def garbage(_: Trouble) -> Response:
    """200, and JSON that breaks off."""
    return Response('{"resourceType":"Bundle","type":"searchset","entry":[{"resour', media_type="application/fhir+json")


REFUSALS: dict[str, Callable[[Trouble], Response]] = {
    "401": unauthorized,
    "403": forbidden,
    "break-the-glass": protected,
    "429": too_many,
    "500": failed,
    "503": unavailable,
    "garbage": garbage,
}
