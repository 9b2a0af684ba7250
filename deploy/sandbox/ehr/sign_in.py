"""Signing in and out at a tenant; the session is that of its authorization server, so a launch asks nothing again."""

import time

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from deploy.sandbox.ehr.pages import page, tenant_of
from deploy.sandbox.ehr.tenant import Tenant
from fhir_server.auth import accounts, demo, sessions
from fhir_server.auth.server import AuthorizationServer

WRONG = "Name or password is not right."
LOCKED = "Too many attempts. Wait a little, then try again."


async def show(request: Request) -> Response:
    """The form."""
    return form(request, tenant_of(request), "")


def form(request: Request, tenant: Tenant, problem: str) -> Response:
    """The form with what went wrong."""
    return page(request, tenant, "sign_in.html", {"problem": problem, "account": None}, 401 if problem else 200)


async def enter(request: Request) -> Response:
    """Check name and password, start a session, go to the patient list."""
    tenant = tenant_of(request)
    sent = await request.form()
    database, settings, now = tenant.node.database, tenant.node.settings, time.time()
    try:
        account = await accounts.authenticate(database, str(sent.get("user", "")), str(sent.get("password", "")), now)
    except accounts.Locked:
        return form(request, tenant, LOCKED)
    if account is None:
        return form(request, tenant, WRONG)
    answer = RedirectResponse(f"{tenant.path}/", 303)
    token = await sessions.create(database, settings, account, now)
    answer.headers.append("set-cookie", sessions.set_cookie(settings, token))
    return answer


async def become(request: Request) -> Response:
    """Sign in by name alone and open the patient list; 404 unless this is a demo."""
    tenant = tenant_of(request)
    server = AuthorizationServer(tenant.node)
    account = await demo.account(server, request.path_params["user"])
    if account is None:
        raise HTTPException(404)
    answer = RedirectResponse(f"{tenant.path}/", 303)
    answer.headers.append("set-cookie", await demo.enter(server, account, request.cookies))
    return answer


async def leave(request: Request) -> Response:
    """End the session."""
    tenant = tenant_of(request)
    await sessions.end(tenant.node.database, tenant.node.settings, request.cookies)
    answer = RedirectResponse(f"{tenant.path}/sign-in", 303)
    answer.headers.append("set-cookie", sessions.clear_cookie(tenant.node.settings))
    return answer
