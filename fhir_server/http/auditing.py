"""From a request and its answer to AuditEvents: which interaction it was, of what, and how it ended."""

import re
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from starlette.requests import Request

from fhir_server.audit.event import AUTHENTICATION, MINOR, SERIOUS, SUCCESS, Happening, Origin
from fhir_server.audit.trail import Trail
from fhir_server.caller import Caller
from fhir_server.context import Node
from fhir_server.errors import FhirError
from fhir_server.store.auth_values import Account

WRITES = {"POST": "create", "PUT": "update", "PATCH": "update", "DELETE": "delete"}
BUNDLES = frozenset({"batch", "transaction"})
WRITTEN = frozenset(WRITES.values())
ABOUT_A_PATIENT = re.compile(r"(?:Patient/)?([A-Za-z0-9\-.]{1,64})\Z")
UNKNOWN = Caller("", "")
LOGIN, LOGOUT = "110122", "110123"


def origin_of(request: Request, caller: Caller | None) -> Origin:
    """Who asks, and from where."""
    node: Node = request.app.state.node
    address = request.client.host if request.client else "unknown"
    return Origin(caller or UNKNOWN, address, node.settings.base_url)


def interaction_of(method: str, path: str, parts: Mapping[str, Any]) -> str:
    """The code of a request.  http://hl7.org/fhir/restful-interaction"""
    level = "instance" if "id" in parts else "type" if "type" in parts else "system"
    if "operation" in parts:
        return "operation"
    if "vid" in parts:
        return "vread"
    if path.endswith("/_history"):
        return f"history-{level}"
    if "held" in parts or path.endswith("/_search"):
        return "search-type" if "type" in parts else "search-system"
    if method in {"GET", "HEAD"}:
        return "read" if level == "instance" else f"search-{level}"
    return "transaction" if level == "system" else WRITES.get(method, "operation")


async def answered(request: Request, trail: Trail) -> None:
    """Put down what was read. What was written has its event in its own transaction. Raises Unavailable."""
    node: Node = request.app.state.node
    if not node.journal.enabled:
        return
    interaction = trail.interaction or _interaction(request)
    if interaction in WRITTEN or (not trail.seen and (interaction in BUNDLES or _is_polling(trail, interaction))):
        return
    rows = trail.rows(_happening(request, interaction, trail), None if trail.seen else _patient(request))
    await node.journal.add(rows, at_once=trail.sensitive)


async def signed_in(request: Request, who: Caller, code: str, problem: str | None = None) -> None:
    """Put down a sign-in (`LOGIN`), its failure, or a sign-out (`LOGOUT`), at once.  DICOM PS3.15 A.5.3.12"""
    node: Node = request.app.state.node
    outcome = SUCCESS if problem is None else MINOR
    happening = Happening(code, time.time_ns() // 1000, outcome=outcome, problem=problem, kind=AUTHENTICATION)
    await node.journal.add(Trail(origin_of(request, who)).rows(happening), at_once=True)


def person(account: Account, client_id: str = "browser") -> Caller:
    """An account as the agent of an event."""
    return Caller(account.account_id, client_id, account.fhir_user, account.roles, account.organization)


async def refused(request: Request, trail: Trail, error: FhirError) -> None:
    """Put down what was asked for in vain. Raises Unavailable."""
    node: Node = request.app.state.node
    if not node.journal.enabled:
        return
    asked = _happening(request, trail.interaction or _interaction(request), trail)
    outcome = SERIOUS if error.status >= 500 else MINOR
    failed = replace(asked, outcome=outcome, problem=f"{error.status} {error.issue_code}")
    await node.journal.add(trail.rows(failed, _patient(request)))


def _is_polling(trail: Trail, interaction: str) -> bool:
    """Whether a program of ours asked what is new, each few seconds, all day."""
    return "system" in trail.origin.caller.roles and interaction.startswith("history")


def _interaction(request: Request) -> str:
    return interaction_of(request.method, request.scope["path"], request.path_params)


def _happening(request: Request, interaction: str, trail: Trail) -> Happening:
    parts = request.path_params
    reference = f"{parts['type']}/{parts['id']}" if "type" in parts and "id" in parts else None
    query = None
    if interaction.startswith(("search", "history", "operation")):
        address = request.scope["path"].partition("/fhir")[2].lstrip("/")
        query = trail.query or f"{address}?{request.scope['query_string'].decode('latin-1')}"
    return Happening(interaction, time.time_ns() // 1000, reference, query)


def _patient(request: Request) -> str | None:
    """The patient that the address names, whether or not something was found."""
    parts = request.path_params
    if parts.get("type") == "Patient" and "id" in parts:
        return str(parts["id"])
    for name in ("patient", "subject"):
        match = ABOUT_A_PATIENT.match(request.query_params.get(name, ""))
        if match:
            return match[1]
    return None
