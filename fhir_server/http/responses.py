"""Results as HTTP: status, ETag, Last-Modified, Location, body.  https://hl7.org/fhir/R4/http.html"""

from collections.abc import Mapping
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache

from starlette.requests import Request
from starlette.responses import Response

from fhir_server import wire
from fhir_server.errors import FhirError
from fhir_server.http.html_page import HEADERS as HTML_HEADERS
from fhir_server.http.html_page import page
from fhir_server.http.negotiation import JSON_TYPE, XML_TYPE, Preference, header, presentation_of
from fhir_server.interactions.bundle import etag, outcome, refusal
from fhir_server.interactions.etag import is_among
from fhir_server.interactions.operation import Outcome
from fhir_server.interactions.subset import subset
from fhir_server.store.repository import Version
from fhir_server.xml.writing import write_xml

MEDIA_TYPE = f"{JSON_TYPE}; charset=utf-8"
XML_MEDIA_TYPE = f"{XML_TYPE}; charset=utf-8"
HTML_MEDIA_TYPE = "text/html; charset=utf-8"
# A Bundle holds what may itself be as deep as a body may be.
OWN_DEPTH = 250
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Accept-Ranges, Content-Location, Content-Range, ETag, Last-Modified, Location, "
    "WWW-Authenticate",
}
PREFLIGHT = CORS | {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Accept, Authorization, Content-Type, If-Match, If-Modified-Since, If-None-Exist, "
    "If-None-Match, Prefer, Range",
    "Access-Control-Max-Age": "600",
}
# Answers depend on who asks and must not lie about.
PRIVATE = {"Cache-Control": "private, no-cache", "Vary": "Accept, Accept-Encoding, Authorization"}


FIXED = [
    (name.lower().encode(), value.encode())
    for name, value in {**PRIVATE, **CORS, "Content-Type": f"{JSON_TYPE}; charset=utf-8"}.items()
]


class Stored(Response):
    """A stored version as it is: the answer to most requests, so its headers are put together from bytes."""

    def __init__(self, found: Version) -> None:
        self.status_code, self.background = 200, None
        self.body = found.content or b""
        self.raw_headers = [
            *FIXED,
            (b"content-length", b"%d" % len(self.body)),
            (b"etag", etag(found).encode()),
            (b"last-modified", _http_date(found.last_updated // 1_000_000).encode()),
        ]


def document(
    request: Request, content: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A resource made here."""
    return answer(request, wire.dumps(content), status, {**PRIVATE, **CORS, **(headers or {})})


def version(request: Request, found: Version, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """One stored version, its bytes as they are unless another form or a part is asked for."""
    body, asked = found.content or b"", presentation_of(request)
    if asked.is_plain and status == 200 and not headers:
        return Stored(found)
    if not asked.is_plain:
        body = subset(body, asked, request.app.state.node.definitions)
    return answer(request, body, status, {**PRIVATE, **CORS, **tags(found), **(headers or {})})


def answer(request: Request, body: bytes, status: int, headers: dict[str, str]) -> Response:
    """JSON of ours, in the form that was asked for."""
    if presentation_of(request).is_plain:
        return Response(body, status, headers, MEDIA_TYPE)
    body, media_type = rendered(request, body)
    return Response(body, status, headers | (HTML_HEADERS if media_type is HTML_MEDIA_TYPE else {}), media_type)


def rendered(request: Request, body: bytes) -> tuple[bytes, str]:
    """JSON of ours as the client wants it, and its media type."""
    asked = presentation_of(request)
    if asked.form == "html":
        return page(request.app.state.node.settings.fhir_url, wire.loads(body, OWN_DEPTH)), HTML_MEDIA_TYPE
    if asked.form == "xml":
        shapes = request.app.state.node.shapes
        return write_xml(wire.loads(body, OWN_DEPTH), shapes, pretty=asked.pretty), XML_MEDIA_TYPE
    return (wire.dumps_pretty(wire.loads(body, OWN_DEPTH)) if asked.pretty else body), MEDIA_TYPE


def tags(found: Version) -> dict[str, str]:
    """What names a version and its time.  https://hl7.org/fhir/R4/http.html#versioning"""
    return {"ETag": etag(found), "Last-Modified": _http_date(found.last_updated // 1_000_000)}


@lru_cache(maxsize=10_000)
def _http_date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)


def not_modified(request: Request, found: Version) -> Response | None:
    """304 when the client has this version.  https://hl7.org/fhir/R4/http.html#cread

    `If-Modified-Since` counts only without `If-None-Match`.  RFC 9110 13.1.3
    """
    known, since = header(request, b"if-none-match"), header(request, b"if-modified-since")
    fresh = is_among(etag(found), known) if known is not None else since is not None and _unchanged(found, since)
    return Response(status_code=304, headers={**PRIVATE, **CORS, **tags(found)}) if fresh else None


def _unchanged(found: Version, since: str) -> bool:
    """Whether it is not newer than an HTTP date; a date that is none is passed over."""
    try:
        return found.last_updated // 1_000_000 <= parsedate_to_datetime(since).timestamp()
    except ValueError:
        return False


def written(request: Request, done: Outcome, preference: Preference, fhir_url: str) -> Response:
    """The answer to a write, as `Prefer: return` asks: the resource, nothing, or an OperationOutcome."""
    found = done.version
    if found is None or found.content is None:
        headers = {} if found is None else {"ETag": etag(found)}
        return Response(status_code=204, headers={**PRIVATE, **CORS, **headers})
    place = f"{fhir_url}/{found.reference}/_history/{found.version_id}"
    headers = {"Location": place} if done.status == 201 else {"Content-Location": place}
    if preference.returns == "minimal":
        return Response(status_code=done.status, headers={**PRIVATE, **CORS, **tags(found), **headers})
    if preference.returns == "OperationOutcome":
        report = outcome("information", "informational", f"{found.reference} is stored.")
        return document(request, report, done.status, {"ETag": etag(found), **headers})
    return version(request, found, done.status, headers)


def failure(error: FhirError, request: Request | None = None) -> Response:
    """Every error as an OperationOutcome, in the form that was asked for where that is known."""
    body = wire.dumps(refusal(error))
    headers = {**CORS, "Cache-Control": "no-store", **error.headers}
    return (
        Response(body, error.status, headers, MEDIA_TYPE)
        if request is None
        else answer(request, body, error.status, headers)
    )
