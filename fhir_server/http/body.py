"""The body of a request, as far as the limit goes.  https://hl7.org/fhir/R4/http.html#compression"""

import zlib
from collections.abc import AsyncIterator

from starlette.requests import Request

from fhir_server.errors import Invalid, TooLarge, UnsupportedMedia

GZIP = {"gzip", "x-gzip"}
CHUNK = 65_536


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body. Raises TooLarge, Invalid, UnsupportedMedia."""
    return b"".join([chunk async for chunk in stream_body(request, limit)])


async def stream_body(request: Request, limit: int) -> AsyncIterator[bytes]:
    """The body piece by piece, unpacked; the limit is that of the unpacked bytes. Raises as `read_body` does."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {*GZIP, "identity"}:
        raise UnsupportedMedia("A body may be packed by gzip.", headers={"Accept-Encoding": "gzip"})
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > limit:
        raise _too_large(limit)
    pieces = _unpacked(request, limit) if encoding in GZIP else request.stream()
    size = 0
    async for piece in pieces:
        size += len(piece)
        if size > limit:
            raise _too_large(limit)
        yield piece


async def _unpacked(request: Request, limit: int) -> AsyncIterator[bytes]:
    """Never more than a chunk at a time, whatever a little packed body says."""
    unpacking = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        async for packed in request.stream():
            while packed:
                yield unpacking.decompress(packed, CHUNK)
                packed = unpacking.unconsumed_tail
    except zlib.error:
        raise Invalid("The body is not gzip.") from None
    if not unpacking.eof:
        raise Invalid("The gzip body ends too early.")


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"A body may have {limit} bytes here.", headers={"Connection": "close"})
