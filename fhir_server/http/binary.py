"""Binary as what it is: bytes in, bytes out, in pieces.  https://hl7.org/fhir/R4/binary.html#rest"""

import base64
import re
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from fhir_server import wire
from fhir_server.http.body import stream_body
from fhir_server.http.endpoint import Call
from fhir_server.http.handlers import target_of, written_by
from fhir_server.http.negotiation import FHIR_TYPES, presentation_of
from fhir_server.http.ranges import asked_range
from fhir_server.http.responses import CORS, PRIVATE, answer, not_modified, tags, version
from fhir_server.interactions.binary import Upload, binary_of, is_large
from fhir_server.interactions.create import create
from fhir_server.interactions.operation import Outcome
from fhir_server.interactions.read import read
from fhir_server.interactions.update import update
from fhir_server.interactions.vread import vread
from fhir_server.store.binaries import LARGEST_IN_ROW, Kept, kept_of, with_data
from fhir_server.store.parts import parts
from fhir_server.store.repository import Version

MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+(;[\x20-\x7e]*)?\Z", re.ASCII)
# What is uploaded by one may not act in the browser of another.
CAGED = {"Content-Security-Policy": "sandbox; default-src 'none'", "X-Content-Type-Options": "nosniff"}
MARK = "konsil-data-goes-here"


async def on_read(call: Call) -> Response:
    """GET [base]/Binary/[id]"""
    return await _shown(call, await read(call.ctx, "Binary", call.path("id")))


async def on_vread(call: Call) -> Response:
    """GET [base]/Binary/[id]/_history/[vid]"""
    return await _shown(call, await vread(call.ctx, ("Binary", call.path("id")), call.path("vid")))


async def on_create(call: Call) -> Response:
    """POST [base]/Binary, as FHIR or as anything else"""
    if not _is_fhir(call.request):
        call.ctx.grants.restriction("create", "Binary")
        return await _stored(call, None)
    condition = call.request.headers.get("if-none-exist")
    async with Upload(call.ctx) as upload:
        resource, kept = await _lightened(call, upload)
        done = await create(call.ctx, "Binary", resource, condition, kept=kept)
        upload.claimed = done.status == 201
    return written_by(call, done)


async def on_update(call: Call) -> Response:
    """PUT [base]/Binary/[id], as FHIR or as anything else"""
    if not _is_fhir(call.request):
        call.ctx.grants.restriction("update", "Binary")
        return await _stored(call, call.path("id"))
    async with Upload(call.ctx) as upload:
        resource, kept = await _lightened(call, upload)
        done = await update(call.ctx, target_of(call), resource, kept=kept)
        upload.claimed = True
    return written_by(call, done)


async def _lightened(call: Call, upload: Upload) -> tuple[Any, Kept | None]:
    """The resource in the body; large data go to the object store, if there is one, before the transaction begins."""
    resource = await call.body()
    if call.ctx.node.objects is None or not is_large(resource):
        return resource, None
    call.ctx.grants.restriction("create" if call.request.method == "POST" else "update", "Binary")
    return await upload.take(resource)


def _is_fhir(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() in FHIR_TYPES


async def _stored(call: Call, own: str | None) -> Response:
    """Take the bytes piece by piece; a little stays in the row, what is more is kept as it comes."""
    first = bytearray()
    async with Upload(call.ctx) as upload:
        async for piece in stream_body(call.request, call.ctx.node.settings.max_binary_bytes):
            first += piece
            if upload.size or len(first) > LARGEST_IN_ROW:
                await upload.add(bytes(first))
                first.clear()
        content = await upload.finish() if upload.size else bytes(first)
        done = await _written(call, own, content)
        upload.claimed = True
    return written_by(call, done)


async def _written(call: Call, own: str | None, content: bytes | Kept) -> Outcome:
    headers = call.request.headers
    context = headers.get("x-security-context", "").removeprefix(f"{call.ctx.node.settings.fhir_url}/")
    resource = binary_of(content, headers.get("content-type") or "application/octet-stream", context)
    kept = content if isinstance(content, Kept) else None
    if own is None:
        return await create(call.ctx, "Binary", resource, kept=kept)
    return await update(call.ctx, target_of(call), resource | {"id": own}, kept=kept)


async def _shown(call: Call, found: Version) -> Response:
    same = not_modified(call.request, found)
    if same is not None:
        return same
    kept = kept_of(found.content)
    if presentation_of(call.request).form == "native":
        return _native(call, found, kept)
    return version(call.request, found) if kept is None else _whole(call, found, kept)


def _native(call: Call, found: Version, kept: Kept | None) -> Response:
    resource: dict[str, Any] = wire.loads(found.content or b"{}")
    headers = {**PRIVATE, **CORS, **CAGED, **tags(found)}
    context = (resource.get("securityContext") or {}).get("reference", "")
    if context.isascii() and context.isprintable() and context:
        headers["X-Security-Context"] = context
    written = str(resource.get("contentType", ""))
    media_type = written if MEDIA_TYPE.match(written) else "application/octet-stream"
    headers |= {"Content-Type": media_type, "Accept-Ranges": "bytes"}
    content = base64.b64decode(resource.get("data", "")) if kept is None else b""
    size = len(content) if kept is None else kept.size
    asked = asked_range(call.request, size)
    start, end = asked or (0, size)
    if asked is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    status = 200 if asked is None else 206
    if kept is None:
        return Response(content[start:end], status, headers)
    headers["Content-Length"] = str(end - start)
    return StreamingResponse(parts(call.ctx.node.database, call.ctx.node.objects, kept, start, end), status, headers)


def _whole(call: Call, found: Version, kept: Kept) -> Response:
    """The resource in its form, with the data put in as they are read."""
    resource = with_data(wire.loads(found.content or b"{}"), MARK)
    response = answer(call.request, wire.dumps(resource), 200, {**PRIVATE, **CORS, **tags(found)})
    before, _, after = bytes(response.body).partition(MARK.encode())
    headers = {name: value for name, value in response.headers.items() if name != "content-length"}

    async def pieces() -> AsyncIterator[bytes]:
        yield before
        async for part in parts(call.ctx.node.database, call.ctx.node.objects, kept):
            yield base64.b64encode(part)
        yield after

    return StreamingResponse(pieces(), headers=headers)
