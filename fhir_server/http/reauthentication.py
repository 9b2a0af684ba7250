"""`/oauth/signing`: proving anew who signs, between a client and this server; the window is `signing_window`.

docs/signature.md.  The client proves itself by `private_key_jwt` and sends the person's token along; PIN and code come
from the page of the client, server to server.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import InvalidRequestError, UnauthorizedClientError
from starlette.requests import Request

from fhir_server.auth import clients, opaque, pins, reauthentication, tokens
from fhir_server.auth.reauthentication import Content, Method
from fhir_server.auth.server import AuthorizationServer
from fhir_server.http import auditing, oauth_form
from fhir_server.store import auth_grants, auth_registry
from fhir_server.store.auth_values import Account, Client

RESOURCE = re.compile(r"[A-Z][A-Za-z]{1,63}/[A-Za-z0-9\-.]{1,64}")
SHA256 = re.compile(r"[0-9a-f]{64}")
LONGEST_TITLE = 200
Fields = Mapping[str, str]
Answer = dict[str, Any]
Handler = Callable[[AuthorizationServer, Request], Awaitable[Answer]]


async def methods(server: AuthorizationServer, request: Request) -> Answer:
    """Say by what this person can prove herself without leaving the page."""
    _, account = await _both(server, request, await oauth_form.single(request))
    return {"methods": reauthentication.methods(account), "pin_locked": pins.is_locked(account)}


async def begin(server: AuthorizationServer, request: Request) -> Answer:
    """Begin a transaction; with `pin` or `code`, prove it at once."""
    fields = await oauth_form.single(request)
    client, account = await _both(server, request, fields)
    content = _content(fields)
    handle = await reauthentication.begin(server, account, client.client_id, content)
    answer: Answer = {"signing": handle, "expires_in": reauthentication.SECONDS}
    if (given := _given(fields)) is None:
        address = await reauthentication.window(server, client.client_id, handle)
        return answer | {"status": "waiting", "window": address}
    wrong = await reauthentication.prove(server, account, handle, given)
    who = auditing.person(account, client.client_id)
    await auditing.proved(request, who, content.resource, given[0], wrong=wrong is not None)
    if wrong is not None:
        return {"status": "wrong", "method": wrong.method, "locked": wrong.locked, "left": wrong.left}
    return answer | await reauthentication.state(server, client.client_id, handle)


async def status(server: AuthorizationServer, request: Request) -> Answer:
    """Say whether the person has proved herself in the window."""
    fields = await oauth_form.single(request)
    client, _ = await _both(server, request, fields)
    return await reauthentication.state(server, client.client_id, fields.get("signing", ""))


async def _both(server: AuthorizationServer, request: Request, fields: Fields) -> tuple[Client, Account]:
    """The client by its key, and the person by the token that this client holds.  Raises OAuth2Error."""
    client = await clients.authenticate(server, fields, request.headers.get("authorization"))
    if not client.has_keys:
        raise UnauthorizedClientError("only a client with keys signs for people")
    row = await auth_grants.find_token(server.db, opaque.digest(fields.get("token", "")))
    mine = row is not None and row["client_id"] == client.client_id and row["kind"] == "access"
    if row is None or not mine or not row["account_id"] or not tokens.is_active(row, server.clock()):
        raise OAuth2Error("the person's token has ended", error="invalid_token", status_code=401)
    account = await auth_registry.find_account(server.db, row["account_id"])
    if account is None or account.disabled:
        raise OAuth2Error("this person may no longer sign in", error="invalid_token", status_code=401)
    return client, account


def _content(fields: Fields) -> Content:
    resource, sha256 = fields.get("resource", ""), fields.get("sha256", "")
    if not RESOURCE.fullmatch(resource) or not SHA256.fullmatch(sha256):
        raise InvalidRequestError("resource and sha256 say what is to be signed")
    return Content(resource, sha256, fields.get("title", "")[:LONGEST_TITLE] or resource)


def _given(fields: Fields) -> tuple[Method, str] | None:
    if fields.get("pin"):
        return "pin", fields["pin"][: pins.LONGEST + 1]
    return ("code", fields["code"]) if fields.get("code") else None


HANDLERS: dict[str, Handler] = {
    "/oauth/signing": begin,
    "/oauth/signing/methods": methods,
    "/oauth/signing/status": status,
}
