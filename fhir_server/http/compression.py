"""Answers packed by gzip for clients that take it.  https://hl7.org/fhir/R4/http.html#compression"""

import gzip

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

# Below this an answer fits into a few packets, and packing costs more than it saves.
SMALLEST = 4_096
# From here on packing would hold up the other requests: a thread does it.
LARGE = 200_000
LEVEL = 3


async def packed(request: Request, response: Response) -> Response:
    """The response, its body packed when that is worth it."""
    if isinstance(response, StreamingResponse) or len(response.body) < SMALLEST or not takes_gzip(request):
        return response
    if "content-encoding" in response.headers or not _is_text(response.headers.get("content-type", "")):
        return response
    body = bytes(response.body)
    short = await run_in_threadpool(_pack, body) if len(body) > LARGE else _pack(body)
    response.body = short
    response.headers["Content-Encoding"] = "gzip"
    response.headers["Content-Length"] = str(len(short))
    return response


def takes_gzip(request: Request) -> bool:
    """Whether `Accept-Encoding` names gzip with a weight above nothing."""
    for text in request.headers.get("accept-encoding", "").lower().split(","):
        name, _, weight = text.partition(";")
        if name.strip() in {"gzip", "*"}:
            return weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False


def _is_text(media_type: str) -> bool:
    return media_type.startswith("text/") or "json" in media_type or "xml" in media_type


def _pack(body: bytes) -> bytes:
    return gzip.compress(body, LEVEL, mtime=0)
