"""From a request and its answer to AuditEvents: which interaction it was, of what, and how it ended."""

import re
import time
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from fhir_server.access.terms import NO_TERMS, Terms
from fhir_server.audit.event import (
    ATTRIBUTES_CHANGED,
    AUTHENTICATION,
    EXPORT,
    MINOR,
    SECURITY,
    SERIOUS,
    SUCCESS,
    Happening,
    Origin,
)
from fhir_server.audit.trail import Trail
from fhir_server.caller import Caller
from fhir_server.context import Node
from fhir_server.errors import FhirError
from fhir_server.http.negotiation import header
from fhir_server.store.auth_values import Account

WRITES = {"POST": "create", "PUT": "update", "PATCH": "update", "DELETE": "delete"}
BUNDLES = frozenset({"batch", "transaction"})
WRITTEN = frozenset(WRITES.values())
ABOUT_A_PATIENT = re.compile(r"(?:Patient/)?([A-Za-z0-9\-.]{1,64})\Z")
UNKNOWN = Caller("", "")
EXPORTING = frozenset({"everything", "document"})
EXPORTED = b"x-konsil-export"
"""Sent by a program whose user takes what is read as a file: a report, a list."""
LOGIN, LOGOUT = "110122", "110123"


def origin_of(node: Node, request: Request, caller: Caller | None, terms: Terms = NO_TERMS) -> Origin:
    """Who asks, from where, and whose record is open in an emergency."""
    client = request.scope.get("client")
    address, emergencies = client[0] if client else "unknown", frozenset(terms.emergencies)
    return Origin(caller or UNKNOWN, address, node.settings.base_url, emergencies)


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


async def answered(node: Node, request: Request, trail: Trail) -> None:
    """Put down what was read. What was written has its event in its own transaction. Raises Unavailable."""
    if not node.journal.enabled:
        return
    interaction = trail.interaction or _interaction(request)
    if interaction in WRITTEN or (not trail.seen and (interaction in BUNDLES or _is_polling(trail, interaction))):
        return
    happening, exports = _happening(request, interaction, trail), is_export(request)
    if exports:
        happening = happening._replace(interaction=EXPORT.code, kind=EXPORT)
    noted = trail.noted(happening, None if trail.seen else _patient(request))
    await node.journal.add(noted, at_once=trail.sensitive or exports)


async def signed_in(request: Request, who: Caller, code: str, problem: str | None = None) -> None:
    """Put down a sign-in (`LOGIN`), its failure, or a sign-out (`LOGOUT`), at once.  DICOM PS3.15 A.5.3.12"""
    node: Node = request.app.state.node
    outcome = SUCCESS if problem is None else MINOR
    happening = Happening(code, time.time_ns() // 1000, outcome=outcome, problem=problem, kind=AUTHENTICATION)
    await node.journal.add(Trail(origin_of(node, request, who)).noted(happening), at_once=True)


async def changed(request: Request, who: Caller, what: str) -> None:
    """Put down what a person changed of the own account, at once.  DICOM 110113, 110137"""
    node: Node = request.app.state.node
    happening = Happening(ATTRIBUTES_CHANGED, time.time_ns() // 1000, problem=what, kind=SECURITY)
    await node.journal.add(Trail(origin_of(node, request, who)).noted(happening), at_once=True)


async def about(request: Request, who: Caller, what: str, patient: str, *, failed: bool = False) -> None:
    """Put down what concerns the account of a patient (`Patient/x`), or of who acts for one, at once."""
    node: Node = request.app.state.node
    outcome = MINOR if failed else SUCCESS
    now = time.time_ns() // 1000
    happening = Happening(ATTRIBUTES_CHANGED, now, outcome=outcome, problem=what, kind=SECURITY)
    noted = Trail(origin_of(node, request, who)).noted(happening, patient.rpartition("/")[2])
    await node.journal.add(noted, at_once=True)


async def proved(request: Request, who: Caller, resource: str, method: str, *, wrong: bool = False) -> None:
    """Put down that a person proved herself for signing a resource, by what, or failed to; at once."""
    node: Node = request.app.state.node
    said = f"proved for signing by {method}" if not wrong else f"not proved for signing: wrong {method}"
    outcome = MINOR if wrong else SUCCESS
    happening = Happening(LOGIN, time.time_ns() // 1000, resource, outcome=outcome, problem=said, kind=AUTHENTICATION)
    await node.journal.add(Trail(origin_of(node, request, who)).noted(happening), at_once=True)


def person(account: Account, client_id: str = "browser") -> Caller:
    """An account as the agent of an event."""
    return Caller(account.account_id, client_id, account.fhir_user, account.roles, account.organization)


async def refused(node: Node, request: Request, trail: Trail, error: FhirError) -> None:
    """Put down what was asked for in vain. Raises Unavailable."""
    if not node.journal.enabled:
        return
    asked = _happening(request, trail.interaction or _interaction(request), trail)
    outcome = SERIOUS if error.status >= 500 else MINOR
    failed = asked._replace(outcome=outcome, problem=f"{error.status} {error.issue_code}")
    await node.journal.add(trail.noted(failed, _patient(request)))


def is_export(request: Request) -> bool:
    """Whether what is shown leaves as a whole record or a document, or is taken as a file as the client says.

    DICOM PS3.15 A.5.3.8
    """
    return request.scope["path_params"].get("operation") in EXPORTING or header(request, EXPORTED) is not None


def _is_polling(trail: Trail, interaction: str) -> bool:
    """Whether a program of ours asked what is new, each few seconds, all day."""
    return "system" in trail.origin.caller.roles and interaction.startswith("history")


def _interaction(request: Request) -> str:
    scope = request.scope
    return interaction_of(scope["method"], scope["path"], scope["path_params"])


def _happening(request: Request, interaction: str, trail: Trail) -> Happening:
    parts = request.scope["path_params"]
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
