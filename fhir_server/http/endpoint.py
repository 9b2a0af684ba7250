"""The way of every FHIR request: format, token, body, handler, answer; errors become OperationOutcomes here."""

import math
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from fhir_server import wire
from fhir_server.audit.trail import Trail
from fhir_server.caller import Caller
from fhir_server.context import Context, Node
from fhir_server.errors import FhirError, Invalid, NotAllowed, NotFound, TooManyRequests, Unauthorized
from fhir_server.http import auditing
from fhir_server.http.body import read_body
from fhir_server.http.browser import reader
from fhir_server.http.compression import packed
from fhir_server.http.negotiation import XML_TYPES, Preference, check_content_type, header, negotiate, preference
from fhir_server.http.responses import PREFLIGHT, failure
from fhir_server.settings import Settings
from fhir_server.store.database import Database
from fhir_server.xml.reading import read_xml
from konsil.rate_limit import RateLimit

PART = re.compile(r"[A-Za-z0-9\-.]{1,64}\Z")
Authenticate = Callable[[Database, str], Awaitable[Caller]]


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated request."""

    request: Request
    ctx: Context
    preference: Preference

    def path(self, name: str) -> str:
        """A part of the address. Raises NotFound for what cannot be an id."""
        part = str(self.request.scope["path_params"][name])
        if not PART.match(part):
            raise NotFound("There is nothing at this address.")
        return part

    @property
    def resource_type(self) -> str:
        """The type in the address. Raises NotFound for one that R4 does not have."""
        name = self.path("type")
        if name not in self.ctx.node.definitions.resource_types:
            raise NotFound(f"'{name[:40]}' is no resource type of R4.")
        return name

    @property
    def query(self) -> list[tuple[str, str]]:
        """The parameters of the address, in order."""
        return self.request.query_params.multi_items()

    @property
    def condition(self) -> str | None:
        """The address's query as a condition."""
        return self.request.url.query or None

    async def body(self) -> Any:
        """The resource in the body, JSON or XML as Content-Type says. Raises Invalid, TooLarge, UnsupportedMedia."""
        form = check_content_type(self.request)
        return self.parsed(await self.raw(), form)

    async def raw(self) -> bytes:
        """The bytes of the body, not none. Raises Invalid, TooLarge, UnsupportedMedia."""
        raw = await read_body(self.request, self.ctx.node.settings.max_body_bytes)
        if not raw:
            raise Invalid("The body is empty.")
        return raw

    def parsed(self, raw: bytes, media_type: str) -> Any:
        """A body of this media type. Raises Invalid."""
        depth = self.ctx.node.settings.max_json_depth
        return read_xml(raw, self.ctx.node.shapes, depth) if media_type in XML_TYPES else wire.loads(raw, depth)


Handler = Callable[[Call], Awaitable[Response]]


class Endpoint:
    """An address with its handlers by method, as an ASGI application."""

    def __init__(
        self, authenticate: Authenticate, handlers: Mapping[str, Handler], binary: Mapping[str, Handler] | None = None
    ) -> None:
        self.authenticate = authenticate
        self.handlers = _with_head(handlers)
        self.binary = _with_head(binary or handlers)
        self.allow = ", ".join(sorted([*self.handlers, "OPTIONS"]))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
        except FhirError as error:
            response = failure(error, request)
        response = await packed(request, response)
        if request.method == "HEAD":
            response = without_body(response)
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={**PREFLIGHT, "Allow": self.allow})
        node: Node = request.app.state.node
        is_binary = request.scope["path_params"].get("type") == "Binary"
        is_bytes = "file" in request.scope["path_params"] or (is_binary and self.binary != self.handlers)
        negotiate(request, native=is_bytes and request.method in {"GET", "HEAD"})
        handler = (self.binary if is_binary else self.handlers).get(request.method)
        try:
            caller = await authenticated(node, request, self.authenticate)
        except Unauthorized as error:
            await auditing.refused(node, request, Trail(auditing.origin_of(node, request, None)), error)
            raise
        if handler is None:
            raise NotAllowed(f"{request.method} is not offered here.", headers={"Allow": self.allow})
        node.journal.asked()
        now = time.time_ns() // 1000
        terms = await node.consents.terms(node.database, caller, now)
        ctx = Context.of(node, caller, now, auditing.origin_of(node, request, caller, terms), terms)
        try:
            response = await handler(Call(request, ctx, preference(request)))
        except FhirError as error:
            await auditing.refused(node, request, ctx.trail, error)
            raise
        await auditing.answered(node, request, ctx.trail)
        return response


def limited(authenticate: Authenticate, settings: Settings) -> Authenticate:
    """Refuse (429) who asks more often than a person, or a program that acts alone, may."""
    persons, programs = RateLimit(settings.requests_per_minute), RateLimit(settings.client_requests_per_minute)

    async def within_limits(database: Database, token: str) -> Caller:
        caller = await authenticate(database, token)
        limit = programs if caller.subject == caller.client_id else persons
        seconds = limit.wait(f"{caller.client_id} {caller.subject}")
        if seconds:
            raise TooManyRequests("Too many requests.", headers={"Retry-After": str(math.ceil(seconds))})
        return caller

    return within_limits


def _with_head(handlers: Mapping[str, Handler]) -> dict[str, Handler]:
    return {**handlers, **({"HEAD": handlers["GET"]} if "GET" in handlers else {})}


def without_body(response: Response) -> Response:
    """The answer to HEAD: the headers of GET."""
    if isinstance(response, StreamingResponse):
        return Response(status_code=response.status_code, headers=dict(response.headers))
    response.body = b""
    return response


async def authenticated(node: Node, request: Request, authenticate: Authenticate) -> Caller:
    """Who asks, by the bearer token (RFC 6750), or for pages by the browser's session. Raises Unauthorized."""
    given = header(request, b"authorization")
    if given is None and (person := await reader(request)) is not None:
        return person
    scheme, _, token = (given or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthorized("A bearer token is needed.")
    return await authenticate(node.database, token.strip())
