"""Making trouble over HTTP, from this machine only.

`POST /sandbox/misbehave` begins it, `GET /sandbox/trouble` lists it, `POST /sandbox/behave` stops it.
"""

from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from deploy.sandbox.ehr.trouble import ANSWERS, MOMENTS, Trouble, Troubles
from fhir_server.settings import is_loopback

FORM = "application/x-www-form-urlencoded"


def troubles_of(request: Request) -> Troubles:
    """What goes wrong at present.  Raises 403 for callers from another machine."""
    if request.client is None or not is_loopback(request.client.host):
        raise HTTPException(403, "Only this machine may make trouble.")
    troubles: Troubles = request.app.state.troubles
    return troubles


async def misbehave(request: Request) -> Response:
    """Begin a trouble.

    JSON or a form: `tenant`; `when` (a moment) or `path` with `method`, shell patterns below the tenant; `status`,
    one of the answers; `count`, 0 until stopped; `seconds` for Retry-After and slowness.  400 says what is wrong.
    """
    troubles = troubles_of(request)
    is_form = request.headers.get("content-type", "").startswith(FORM)
    sent: Mapping[str, Any] = dict(await request.form()) if is_form else await request.json()
    try:
        made = troubles.add(read(sent, request.app.state.tenants))
    except (KeyError, ValueError) as error:
        raise HTTPException(400, f"No trouble of that kind: {error}") from error
    return (
        RedirectResponse("/#trouble", 303) if is_form else JSONResponse({"id": made.number, "title": made.title}, 201)
    )


def read(sent: Mapping[str, Any], tenants: Mapping[str, object]) -> Trouble:
    """What was asked for.  Raises KeyError, ValueError."""
    tenant, answer = str(sent["tenant"]), str(sent["status"])
    if tenant not in tenants or answer not in ANSWERS:
        raise ValueError(f"{tenant}, {answer}")
    moment = MOMENTS[str(sent["when"])] if "when" in sent else None
    method, path = (moment.method, moment.path) if moment else (str(sent.get("method", "*")), str(sent["path"]))
    count = int(sent.get("count", 1))
    return Trouble(tenant, path, answer, method, count or None, float(sent.get("seconds", 3)))


async def going(request: Request) -> Response:
    """List what goes wrong."""
    listed = [{"id": each.number, "tenant": each.tenant, "title": each.title} for each in troubles_of(request).going]
    return JSONResponse({"going": listed})


async def behave(request: Request) -> Response:
    """Stop all of it."""
    troubles_of(request).stop()
    is_form = request.headers.get("content-type", "").startswith(FORM)
    return RedirectResponse("/#trouble", 303) if is_form else JSONResponse({"going": []})
