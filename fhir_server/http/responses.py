"""Results as HTTP: status, ETag, Last-Modified, Location, body.  https://hl7.org/fhir/R4/http.html"""

from collections.abc import Mapping
from email.utils import formatdate

from starlette.requests import Request
from starlette.responses import Response

from fhir_server import wire
from fhir_server.errors import FhirError
from fhir_server.http.negotiation import JSON_TYPE, Preference
from fhir_server.interactions.bundle import etag, outcome
from fhir_server.interactions.operation import Outcome
from fhir_server.store.repository import Version

MEDIA_TYPE = f"{JSON_TYPE}; charset=utf-8"
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Content-Location, ETag, Last-Modified, Location, WWW-Authenticate",
}
PREFLIGHT = CORS | {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Accept, Authorization, Content-Type, If-Match, If-Modified-Since, If-None-Exist, "
    "If-None-Match, Prefer",
    "Access-Control-Max-Age": "600",
}
# Answers depend on who asks and must not lie about.
PRIVATE = {"Cache-Control": "private, no-cache", "Vary": "Accept, Authorization"}


def document(
    request: Request, content: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A resource made here."""
    pretty = request.query_params.get("_pretty") == "true"
    body = wire.dumps_pretty(content) if pretty else wire.dumps(content)
    return Response(body, status, {**PRIVATE, **CORS, **(headers or {})}, MEDIA_TYPE)


def version(request: Request, found: Version, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """One stored version, its bytes as they are."""
    tags = {"ETag": etag(found), "Last-Modified": formatdate(found.last_updated // 1_000_000, usegmt=True)}
    body = found.content or b""
    if request.query_params.get("_pretty") == "true":
        body = wire.dumps_pretty(wire.loads(body))
    return Response(body, status, {**PRIVATE, **CORS, **tags, **(headers or {})}, MEDIA_TYPE)


def not_modified(request: Request, found: Version) -> Response | None:
    """304 when the client has this version.  https://hl7.org/fhir/R4/http.html#cread"""
    known = request.headers.get("if-none-match")
    if known is None or etag(found) not in {text.strip() for text in known.split(",")}:
        return None
    return Response(status_code=304, headers={**PRIVATE, **CORS, "ETag": etag(found)})


def written(request: Request, done: Outcome, preference: Preference, fhir_url: str) -> Response:
    """The answer to a write, as `Prefer: return` asks: the resource, nothing, or an OperationOutcome."""
    found = done.version
    if found is None or found.content is None:
        headers = {} if found is None else {"ETag": etag(found)}
        return Response(status_code=204, headers={**PRIVATE, **CORS, **headers})
    place = f"{fhir_url}/{found.reference}/_history/{found.version_id}"
    headers = {"Location": place} if done.status == 201 else {"Content-Location": place}
    if preference.returns == "minimal":
        tags = {"ETag": etag(found), "Last-Modified": formatdate(found.last_updated // 1_000_000, usegmt=True)}
        return Response(status_code=done.status, headers={**PRIVATE, **CORS, **tags, **headers})
    if preference.returns == "OperationOutcome":
        report = outcome("information", "informational", f"{found.reference} is stored.")
        return document(request, report, done.status, {"ETag": etag(found), **headers})
    return version(request, found, done.status, headers)


def failure(error: FhirError) -> Response:
    """Every error as an OperationOutcome."""
    body = wire.dumps(outcome("error", error.issue_code, error.diagnostics, error.expression))
    return Response(body, error.status, {**CORS, "Cache-Control": "no-store", **error.headers}, MEDIA_TYPE)
