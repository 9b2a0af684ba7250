"""OAuth over HTTP: token, keys, introspection, revocation, discovery.  Pages for people are in `sign_in.py`."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import InvalidClientError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from fhir_server.auth import clients, discovery, opaque, signing, styling, token_endpoint, tokens
from fhir_server.auth.federation.discovery import MetadataSource
from fhir_server.auth.jose import KeySource, Rejected, peek
from fhir_server.auth.server import AuthorizationServer, Cleaning
from fhir_server.caller import Caller
from fhir_server.http import auditing, invitations_api, oauth_form, reauthentication, sign_in
from fhir_server.settings import Settings
from fhir_server.store import auth_grants
from konsil.rate_limit import RateLimit
from konsil.serving import address_of

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Accept",
    "Access-Control-Max-Age": "600",
}
MORE = {401: {"WWW-Authenticate": 'Basic realm="oauth"'}, 429: {"Retry-After": "60"}}
PUBLIC = CORS | {"Cache-Control": "public, max-age=300"}

Endpoint = Callable[[Request], Awaitable[Response]]


def routes(settings: Settings, keys: KeySource | None = None) -> list[BaseRoute]:
    """List the routes of the authorization server, addresses relative to the application's root."""
    source, cleaning = keys if keys is not None else KeySource(), Cleaning()
    failures, providers = RateLimit(settings.failed_sign_ins_per_hour, 3600.0), MetadataSource()

    def server(request: Request) -> AuthorizationServer:
        return AuthorizationServer(request.app.state.node, source, failures=failures, providers=providers)

    async def token(request: Request) -> Response:
        here = server(request)
        await cleaning.run(here.db, here.clock())
        return JSONResponse(await _token(here, request), headers=NO_STORE | CORS)

    async def introspect(request: Request) -> Response:
        return JSONResponse(await _introspect(server(request), request), headers=NO_STORE)

    async def revoke(request: Request) -> Response:
        await _revoke(server(request), request)
        return Response(status_code=200, headers=NO_STORE | CORS)

    async def jwks(request: Request) -> Response:
        here = server(request)
        return JSONResponse(await signing.jwks(here.db, here.clock()), headers=PUBLIC)

    return [
        *_documents(settings),
        _endpoint("/oauth/token", token, "POST"),
        _endpoint("/oauth/revoke", revoke, "POST"),
        _endpoint("/oauth/jwks", jwks, "GET"),
        Route("/oauth/introspect", _answering(introspect), methods=["POST"]),
        *[_confidential(path, handler, server) for path, handler in reauthentication.HANDLERS.items()],
        *sign_in.routes(server),
        *invitations_api.routes(server),
    ]


async def _token(server: AuthorizationServer, request: Request) -> Mapping[str, Any]:
    """Answer a token request and put it down; renewals, which come by themselves each hour, only when refused."""
    parameters, address = await oauth_form.read(request), f"client {address_of(request.scope)}"
    try:
        if server.failures.closed(address):
            raise OAuth2Error("too many wrong credentials; wait", error="temporarily_unavailable", status_code=429)
        body = await token_endpoint.answer(server, parameters, request.headers.get("authorization"))
    except OAuth2Error as error:
        if error.error == "invalid_client":
            server.failures.wait(address)
        await auditing.signed_in(request, _asking(parameters), auditing.LOGIN, error.error or "refused")
        raise
    if parameters.get("grant_type") != ["refresh_token"]:
        await auditing.signed_in(request, _asking(parameters, body), auditing.LOGIN)
    return body


def _asking(parameters: Mapping[str, Sequence[str]], body: Mapping[str, Any] | None = None) -> Caller:
    """Who asks for a token: the client as it names itself, and the person it was given for."""
    named = next(iter(parameters.get("client_id", ())), "") or _subject(parameters)
    answer = body or {}
    roles = frozenset(str(role) for role in answer.get("roles", ()))
    return Caller(answer.get("fhirUser") or named, named, answer.get("fhirUser"), roles, answer.get("organization"))


def _subject(parameters: Mapping[str, Sequence[str]]) -> str:
    """The client that an assertion says it is from; nobody has checked it where the request was refused."""
    try:
        return str(peek(next(iter(parameters.get("client_assertion", ())), ""))[1].get("sub", ""))[:200]
    except Rejected:
        return ""


def _documents(settings: Settings) -> list[BaseRoute]:
    smart, openid = discovery.smart_configuration(settings), discovery.openid_configuration(settings)
    paths = {
        "/fhir/.well-known/smart-configuration": smart,
        "/.well-known/smart-configuration": smart,
        "/.well-known/openid-configuration": openid,
        styling.PATH: styling.STYLE,
    }
    return [_endpoint(path, _document(content), "GET") for path, content in paths.items()]


def _document(content: Mapping[str, Any]) -> Endpoint:
    async def answer(request: Request) -> Response:
        return JSONResponse(content, headers=PUBLIC)

    return answer


def _endpoint(path: str, handler: Endpoint, method: str) -> Route:
    """Make a route that pages of other origins may call."""
    guarded = _answering(handler)

    async def answer(request: Request) -> Response:
        return Response(status_code=204, headers=CORS) if request.method == "OPTIONS" else await guarded(request)

    return Route(path, answer, methods=[method, "OPTIONS"])


def _confidential(path: str, handler: reauthentication.Handler, server: sign_in.ServerOf) -> Route:
    """Make a route that only programs call, never a page."""

    async def answer(request: Request) -> Response:
        return JSONResponse(await handler(server(request), request), headers=NO_STORE)

    return Route(path, _answering(answer), methods=["POST"])


def _answering(handler: Endpoint) -> Endpoint:
    """Turn an OAuth2Error into its JSON.  RFC 6749 5.2"""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except OAuth2Error as error:
            body = {"error": error.error, "error_description": error.get_error_description()}
            status = error.status_code or 400
            return JSONResponse(body, status_code=status, headers=NO_STORE | CORS | MORE.get(status, {}))

    return answer


async def _introspect(server: AuthorizationServer, request: Request) -> Mapping[str, Any]:
    """Describe a token to the client it was given to, or to a resource server (a backend client of role system).

    To anybody else every token is inactive.  RFC 7662 2.1, 4
    """
    fields = await oauth_form.single(request)
    client = await clients.authenticate(server, fields, request.headers.get("authorization"))
    if client.type != "confidential":
        raise InvalidClientError("client authentication is missing", status_code=401)
    row = await auth_grants.find_token(server.db, opaque.digest(fields.get("token", "")))
    if row is not None and row["client_id"] != client.client_id and "system" not in client.roles:
        row = None
    return tokens.introspect(row, server.issuer, server.clock())


async def _revoke(server: AuthorizationServer, request: Request) -> None:
    """Take a token back for the client it was given to; an unknown one is no error.  RFC 7009 2.2"""
    fields = await oauth_form.single(request)
    client = await clients.authenticate(server, fields, request.headers.get("authorization"))
    row = await auth_grants.find_token(server.db, opaque.digest(fields.get("token", "")))
    if row is not None and row["client_id"] == client.client_id:
        await tokens.revoke(server.db, row, server.clock())
