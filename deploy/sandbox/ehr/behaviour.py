"""How two kinds of EHR behave in front of the same FHIR server: what they refuse, and how.

Epic-like: few types may be created, Task not at all; no conditional create or update (If-None-Exist is not looked
at), but a document that is held already is refused (59141, under 400); POST _search does not look at the address's
query; no Subscription, no AuditEvent.
Oracle-like: no Task, no ImagingStudy; answers 406 with an empty body unless FHIR JSON is accepted; a stale If-Match is
409; documents come 10 at a time, 100 at most; a new DocumentReference must be current, final, with one inline
attachment, an end of period, a LOINC type and an author; modifierExtension is refused.
"""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

EPIC_CREATES = frozenset(
    {
        "AllergyIntolerance",
        "Communication",
        "Condition",
        "DocumentReference",
        "Observation",
        "Patient",
        "ServiceRequest",
    }
)
EPIC_UPDATES = frozenset({"DiagnosticReport", "DocumentReference", "ServiceRequest", "Task"})
EPIC_ABSENT = frozenset({"AuditEvent", "Subscription"})
ORACLE_CREATES = frozenset({"AllergyIntolerance", "Communication", "Condition", "DocumentReference", "Patient"})
ORACLE_UPDATES = frozenset({"AllergyIntolerance", "Communication", "Condition", "DocumentReference", "Patient"})
ORACLE_ABSENT = frozenset({"AuditEvent", "ImagingStudy", "Subscription", "Task"})
FHIR_JSON = ("application/fhir+json", "application/json+fhir")
DOCUMENTS_BY_DEFAULT, DOCUMENTS_AT_MOST = "10", 100
OPEN = frozenset({"metadata", ".well-known"})
FHIR = "/fhir/"
EPIC_CODES = "urn:oid:1.2.840.114350.1.13.0.1.7.2.657369"


def outcome(status: int, code: str, text: str) -> Response:
    """A refusal as an OperationOutcome."""
    issue = {"severity": "error", "code": code, "details": {"text": text}, "diagnostics": text}
    content = {"resourceType": "OperationOutcome", "issue": [issue]}
    return JSONResponse(content, status, media_type="application/fhir+json")


class Behaviour:
    """ASGI middleware: requests to FHIR pass `refusal` and `adapt`; everything else passes untouched."""

    absent: frozenset[str] = frozenset()
    creates: frozenset[str] = frozenset()
    updates: frozenset[str] = frozenset()

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or hand on what the tenant would look at."""
        path = scope["path"].removeprefix(scope.get("root_path", "")) if scope["type"] == "http" else ""
        parts = path.removeprefix(FHIR).split("/")
        if not path.startswith(FHIR) or parts[0] in OPEN:
            await self.app(scope, receive, send)
            return
        refused = self.unknown(scope["method"], parts) or self.refusal(scope, parts)
        if refused is None:
            await self.pass_on(scope, receive, send, parts)
        else:
            await refused(scope, receive, send)

    def unknown(self, method: str, parts: list[str]) -> Response | None:
        """Types this EHR does not have, and writes it does not offer."""
        kind, searching = parts[0], parts[-1] == "_search"
        if kind in self.absent:
            return outcome(404, "not-supported", f"{kind} is not offered by this EHR.")
        if method == "POST" and not searching and len(parts) == 1 and kind and kind not in self.creates:
            return outcome(405, "not-supported", f"{kind} cannot be created in this EHR.")
        if method in {"PUT", "PATCH"} and kind not in self.updates:
            return outcome(405, "not-supported", f"{kind} cannot be changed in this EHR.")
        if method == "DELETE":
            return outcome(405, "not-supported", "Nothing can be deleted in this EHR.")
        return None

    def refusal(self, scope: Scope, parts: list[str]) -> Response | None:
        """Further reasons to refuse, from the request's head."""
        return None

    async def pass_on(self, scope: Scope, receive: Receive, send: Send, parts: list[str]) -> None:
        """Let the FHIR server answer."""
        await self.app(scope, receive, send)


class EpicLike(Behaviour):
    """Epic's habits."""

    absent, creates, updates = EPIC_ABSENT, EPIC_CREATES, EPIC_UPDATES

    def refusal(self, scope: Scope, parts: list[str]) -> Response | None:
        """No conditional update; If-None-Exist is dropped unseen."""
        if scope["method"] in {"PUT", "PATCH"} and len(parts) == 1:
            return outcome(405, "not-supported", "Conditional update is not offered by this EHR.")
        del MutableHeaders(scope=scope)["if-none-exist"]
        if scope["method"] == "POST" and parts[-1] == "_search":
            scope["query_string"] = b""
        return None

    async def pass_on(self, scope: Scope, receive: Receive, send: Send, parts: list[str]) -> None:
        """Refuse a document that the record holds already."""
        if scope["method"] == "POST" and parts == ["DocumentReference"]:
            body = await whole(receive)
            if await self.holds(scope, identifier_of(body)):
                await duplicate()(scope, receive, send)
                return
            receive = replay(body)
        await self.app(scope, receive, send)

    async def holds(self, scope: Scope, identifier: str) -> bool:
        """Whether a document with this identifier is in the record, asked with the writer's own rights."""
        if not identifier:
            return False
        headers = [(name, value) for name, value in scope["headers"] if name in (b"authorization", b"host")]
        query = urlencode({"identifier": identifier, "_summary": "count"}).encode()
        asked = {**scope, "method": "GET", "query_string": query, "headers": headers}
        answer = bytearray()

        async def keep(message: Message) -> None:
            answer.extend(message.get("body", b""))

        await self.app(asked, replay(b""), keep)
        return bool(json.loads(answer or b"{}").get("total"))


def identifier_of(body: bytes) -> str:
    """The first identifier of a resource as a search token, empty when it has none or cannot be read."""
    try:
        found = json.loads(body)["identifier"][0]
        return f"{found['system']}|{found['value']}"
    except (ValueError, LookupError, TypeError):
        return ""


def duplicate() -> Response:
    """Epic's 59141: what is to be created is there already."""
    text = "The resource could not be created because it is a duplicate."
    coded = {"coding": [{"system": EPIC_CODES, "code": "59141"}], "text": text}
    issue = {"severity": "fatal", "code": "duplicate", "details": coded, "diagnostics": text}
    return JSONResponse({"resourceType": "OperationOutcome", "issue": [issue]}, 400, media_type=FHIR_JSON[0])


class OracleLike(Behaviour):
    """Oracle Health's habits."""

    absent, creates, updates = ORACLE_ABSENT, ORACLE_CREATES, ORACLE_UPDATES

    def refusal(self, scope: Scope, parts: list[str]) -> Response | None:
        """406 without a body unless FHIR JSON is accepted; documents come few at a time."""
        accepted = Headers(scope=scope).get("accept", "")
        if not any(each in accepted for each in FHIR_JSON):
            return Response(status_code=406)
        if scope["method"] == "GET" and parts == ["DocumentReference"]:
            scope["query_string"] = few(scope["query_string"])
        return None

    async def pass_on(self, scope: Scope, receive: Receive, send: Send, parts: list[str]) -> None:
        """Look at what is written; say 409 where the standard says 412."""
        if scope["method"] in {"POST", "PUT"} and parts[-1] != "_search":
            body = await whole(receive)
            problem = written_wrong(parts[0], body)
            if problem:
                await outcome(422, "business-rule", problem)(scope, receive, send)
                return
            receive = replay(body)
        await self.app(scope, receive, conflict_instead(send))


def few(query: bytes) -> bytes:
    """A document search's query with `_count` given and within bounds."""
    pairs = parse_qsl(query.decode(), keep_blank_values=True)
    if any(name == "_cursor" for name, _ in pairs):
        return query
    asked = next((value for name, value in pairs if name == "_count"), DOCUMENTS_BY_DEFAULT)
    count = min(int(asked) if asked.isdigit() else DOCUMENTS_AT_MOST, DOCUMENTS_AT_MOST)
    return urlencode([*((n, v) for n, v in pairs if n != "_count"), ("_count", str(count))]).encode()


async def whole(receive: Receive) -> bytes:
    """The request's body."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def replay(body: bytes) -> Receive:
    """A body that was read, to be read again."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return waiting.pop() if waiting else {"type": "http.disconnect"}

    return receive


def conflict_instead(send: Send) -> Send:
    """412 becomes 409."""

    async def changed(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 412:
            message = {**message, "status": 409}
        await send(message)

    return changed


def written_wrong(kind: str, body: bytes) -> str:
    """What is wrong with a resource to be written, or nothing; malformed JSON is the FHIR server's to refuse."""
    try:
        resource = json.loads(body)
    except ValueError:
        return ""
    if not isinstance(resource, dict):
        return ""
    if "modifierExtension" in resource:
        return "modifierExtension is not accepted."
    return document_wrong(resource) if kind == "DocumentReference" else ""


def document_wrong(document: dict[str, Any]) -> str:
    """What Oracle Health would say to a DocumentReference."""
    types = document.get("type", {}).get("coding", [])
    rules: list[tuple[str, bool]] = [
        ("status must be current.", document.get("status") == "current"),
        ("docStatus must be final.", document.get("docStatus") == "final"),
        ("exactly one content.attachment with data is needed.", one_inline(document.get("content", []))),
        ("context.period.end is needed.", bool(document.get("context", {}).get("period", {}).get("end"))),
        ("type needs a LOINC coding.", any(each.get("system") == "http://loinc.org" for each in types)),
        ("author is needed.", bool(document.get("author"))),
    ]
    return next((f"DocumentReference: {text}" for text, kept in rules if not kept), "")


def one_inline(contents: list[dict[str, Any]]) -> bool:
    """Whether there is one attachment and it carries its data."""
    return len(contents) == 1 and bool(contents[0].get("attachment", {}).get("data"))


BEHAVIOURS: dict[str, Callable[[ASGIApp], Behaviour]] = {"epic": EpicLike, "oracle": OracleLike}
