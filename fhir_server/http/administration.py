"""The administration API: clients, tenants, accounts and roles, for people of role administrator.

Served below /admin.  Every call carries a bearer token with the scope `administration`; there is no cookie, so no
other site can call it in somebody's name.  A change names the version that it changes (If-Match, RFC 9110 13.1.1).
"""

import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Header, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.responses import Response

from fhir_server import wire
from fhir_server.access.policy import POLICY
from fhir_server.audit.event import MINOR, SECURITY, Happening
from fhir_server.audit.trail import Trail
from fhir_server.auth import register
from fhir_server.auth.register import By, Changed, Stale, Unsuitable
from fhir_server.auth.shown import Shown
from fhir_server.caller import Caller
from fhir_server.context import Node
from fhir_server.errors import FhirError, Forbidden, Invalid, Unauthorized
from fhir_server.http import auditing
from fhir_server.http.body import read_body
from fhir_server.http.endpoint import Authenticate
from fhir_server.http.negotiation import header
from fhir_server.scopes import ADMINISTRATION
from fhir_server.store import auth_registry
from fhir_server.store.auth_registry import Kind
from fhir_server.store.database import Contention

RESTRICTED_FUNCTION = "110132"
"""DICOM PS3.16 CID 401: use of a restricted function."""
PROBLEM = "application/problem+json"
MOST_BYTES, MOST_DEPTH = 200_000, 10
KINDS: Mapping[str, Kind] = {"clients": "client", "tenants": "tenant", "accounts": "account"}
Kinds = Literal["clients", "tenants", "accounts"]
Deed = Literal["activate", "deactivate", "new-secret", "reset", "sign-out"]
Match = Annotated[str, Header(alias="If-Match")]


def administration(authenticate: Authenticate) -> FastAPI:
    """Make the API; `authenticate` turns a bearer token into its caller."""
    refusals = {error: _refused for error in (FhirError, RequestValidationError, HTTPException, Contention)}
    api = FastAPI(title="konsil administration", docs_url=None, redoc_url=None, exception_handlers=refusals)  # type: ignore[arg-type]

    async def administrator(request: Request) -> By:
        return await _administrator(request, authenticate)

    Administrator = Annotated[By, Depends(administrator)]  # noqa: N806 - a type

    @api.get("/roles")
    async def roles(request: Request, by: Administrator) -> Response:
        return _answer({"roles": await _roles(_node(request))})

    @api.get("/{kinds}")
    async def every(request: Request, by: Administrator, kinds: Kinds) -> Response:
        return _answer({kinds: [each.document() for each in await register.every(_node(request), KINDS[kinds])]})

    @api.post("/{kinds}", status_code=201)
    async def add(request: Request, by: Administrator, kinds: Kinds) -> Response:
        values = await _body(request)
        return _changed(await register.add(_node(request), by, KINDS[kinds], values), 201)

    @api.get("/{kinds}/{key:path}")
    async def show(request: Request, by: Administrator, kinds: Kinds, key: str) -> Response:
        return _shown(await register.show(_node(request), KINDS[kinds], key))

    @api.put("/{kinds}/{key:path}")
    async def change(request: Request, by: Administrator, kinds: Kinds, key: str, match: Match) -> Response:
        values = await _body(request)
        before = await _before(request, kinds, key, match)
        return _changed(await register.change(_node(request), by, before, values))

    @api.post("/{kinds}/{key:path}/{deed}")
    async def do(  # noqa: PLR0913, PLR0917 - what the request consists of
        request: Request, by: Administrator, kinds: Kinds, key: str, deed: Deed, match: Match
    ) -> Response:
        return _changed(await _done(_node(request), by, await _before(request, kinds, key, match), deed))

    return api


async def _administrator(request: Request, authenticate: Authenticate) -> By:
    """Who calls.  Raises Unauthorized without a token, Forbidden for anybody but an administrator; both are noted."""
    node, caller = _node(request), None
    try:
        scheme, _, token = (header(request, b"authorization") or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthorized("A bearer token is needed.")
        caller = await authenticate(node.database, token.strip())
        _check(caller)
    except (Unauthorized, Forbidden) as error:
        trail = Trail(auditing.origin_of(node, request, caller))
        now, what = time.time_ns() // 1000, f"{error.status} administration"
        await node.journal.add(
            trail.noted(Happening(RESTRICTED_FUNCTION, now, outcome=MINOR, problem=what, kind=SECURITY)), at_once=True
        )
        raise
    account = await auth_registry.find_account(node.database, caller.subject)
    return By(auditing.origin_of(node, request, caller), account.name if account else caller.subject)


def _check(caller: Caller) -> None:
    """Raises Forbidden.  RFC 6750 3.1"""
    if "administrator" not in caller.roles or caller.subject == caller.client_id:
        raise Forbidden("Administration is for people of role administrator.")
    if ADMINISTRATION not in caller.scopes:
        challenge = f'Bearer error="insufficient_scope", scope="{ADMINISTRATION}"'
        raise Forbidden(
            f"The token lacks the scope {ADMINISTRATION}: the client has to be registered for it.",
            headers={"WWW-Authenticate": challenge},
        )


async def _body(request: Request) -> dict[str, Any]:
    """The values in the body, once it is known who sends them.  Raises Invalid, TooLarge."""
    values = wire.loads(await read_body(request, MOST_BYTES), MOST_DEPTH)
    if not isinstance(values, dict):
        raise Invalid("The body is a JSON object of values.")
    return values


async def _before(request: Request, kinds: Kinds, key: str, match: str) -> Shown:
    """The state that is to be changed.  Raises NotFound, Stale, Invalid."""
    version = match.removeprefix("W/").strip('"')
    if not version.isdecimal():
        raise Invalid("If-Match names a version.")
    found = await register.show(_node(request), KINDS[kinds], key)
    if found.version != int(version):
        raise Stale(found)
    return found


async def _done(node: Node, by: By, before: Shown, deed: Deed) -> Changed:
    if deed in {"activate", "deactivate"}:
        return await register.activate(node, by, before, active=deed == "activate")
    deeds = {"new-secret": register.new_secret, "reset": register.reset, "sign-out": register.sign_out}
    return await deeds[deed](node, by, before)


async def _roles(node: Node) -> Sequence[Mapping[str, Any]]:
    """Every role of the policy, how many hold it, and what it opens: resource types by interaction."""
    held = [each for kind in KINDS.values() if kind != "tenant" for each in await register.every(node, kind)]
    of = {role: sum(role in each.values["roles"] for each in held if each.active) for role in POLICY}
    return [
        {"role": role, "people": role in register.PEOPLES_ROLES, "held": of[role], "grants": _grants(role)}
        for role in POLICY
    ]


def _grants(role: str) -> list[dict[str, Any]]:
    return [
        {
            "types": sorted(grant.resource_types),
            "interactions": sorted(grant.interactions),
            "which": str(getattr(grant.relation, "__name__", "")).replace("_", " "),
        }
        for grant in POLICY[role]
    ]


def _node(request: Request) -> Node:
    node: Node = request.app.state.node
    return node


def _answer(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse(content, status, headers={"Cache-Control": "no-store", **(headers or {})})


def _shown(one: Shown) -> Response:
    return _answer(one.document(), headers={"ETag": f'W/"{one.version}"'})


def _changed(changed: Changed, status: int = 200) -> Response:
    once = {} if changed.once is None else {"once": changed.once}
    return _answer(changed.now.document() | once, status, {"ETag": f'W/"{changed.now.version}"'})


async def _refused(request: Request, error: Exception) -> Response:
    """In the words of RFC 9457; nothing of what was given is said again: it may be a secret."""
    content: dict[str, Any] = {}
    status, detail, headers = 500, "", {}
    if isinstance(error, FhirError):
        status, detail, headers = error.status, error.diagnostics, dict(error.headers)
    elif isinstance(error, HTTPException):
        status, detail = error.status_code, str(error.detail)
    elif isinstance(error, Contention):
        status, detail, headers = 503, "Others change the same; try again.", {"Retry-After": "1"}
    elif isinstance(error, RequestValidationError):
        missing = any(each["loc"] == ("header", "If-Match") for each in error.errors())
        status, detail = (428, "If-Match names the version.") if missing else (400, "The request cannot be read.")
    if isinstance(error, Unsuitable):
        content = {"fields": error.fields}
    elif isinstance(error, Stale):
        content = {"current": error.current.document()}
    body = {"status": status, "detail": detail, **content}
    fixed = {"Cache-Control": "no-store", **headers}
    return JSONResponse(body, status, headers=fixed, media_type=PROBLEM)
